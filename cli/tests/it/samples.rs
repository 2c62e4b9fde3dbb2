//! What a real Sentry has sent.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use serde_json::Value;
use simulator::{Deliver, OverHttp};

use crate::running::{PATIENCE, Serve, command, free_port};

struct Sample {
    name: String,
    secret: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Every recorded request that carries `Sentry-Hook-Signature`.
fn samples() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let sample: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if sample["signature_header"] == "Sentry-Hook-Signature" {
            samples.push(Sample {
                name: sample["kind"].as_str().unwrap().to_owned(),
                secret: sample["client_secret"].as_str().unwrap().to_owned(),
                headers: serde_json::from_value(sample["headers"].clone()).unwrap(),
                body: base64::engine::general_purpose::STANDARD.decode(sample["body"].as_str().unwrap()).unwrap(),
            });
        }
    }
    samples
}

async fn post(address: &str, sample: &Sample, body: Vec<u8>) -> u16 {
    let mut request = http::Request::post(format!("http://{address}/webhook"));
    for (name, value) in &sample.headers {
        if name.to_lowercase().starts_with("sentry-hook") || name == "Request-ID" || name == "Content-Type" {
            request = request.header(name, value);
        }
    }
    OverHttp.send(request.body(body.into()).unwrap(), PATIENCE).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn every_recorded_webhook_is_taken_and_refused_with_one_bit_changed() {
    let mut by_secret: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for sample in samples() {
        by_secret.entry(sample.secret.clone()).or_default().push(sample);
    }
    let taken: usize = by_secret.values().map(Vec::len).sum();
    assert!(taken >= 20, "only {taken} samples were found");
    for (secret, samples) in by_secret {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = command(folder.path(), port);
        command.env("SENTRY_CLIENT_ID", "id").env("SENTRY_CLIENT_SECRET", secret);
        let serve = Serve::start(command, port).await;
        for sample in samples {
            let mut changed = sample.body.clone();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            assert_eq!(post(&serve.address, &sample, changed).await, 401, "{} with one bit changed", sample.name);
            assert_eq!(post(&serve.address, &sample, sample.body.clone()).await, 202, "{}", sample.name);
        }
    }
}

//! The adapters pass the suites that those on AWS pass, in memory and on a file.

use std::collections::BTreeMap;

use shared::ports::SystemClock;
use shared_conformance::{self as conformance, ExpectedSecrets, TestClock};
use shared_embedded::{EnvSecrets, Store};

/// Each suite on a store of its own, once in memory and once on a file.
macro_rules! on_both {
    ($name:ident, $clock:expr, |$store:ident $(, $time:ident)?| $suite:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let dir = tempfile::tempdir().expect("folder");
            let clock = $clock;
            $(let $time = clock.clone();)?
            for $store in [
                Store::open_in_memory(clock.clone()).expect("in memory"),
                Store::open(dir.path(), clock.clone()).expect("on a file"),
            ] {
                $suite.await;
            }
        }
    };
}

on_both!(installations, SystemClock, |store| conformance::installations(store.installations()));
on_both!(deliveries, SystemClock, |store| conformance::deliveries(store.deliveries()));
on_both!(settings, SystemClock, |store| conformance::settings(store.settings()));
on_both!(events, TestClock::default(), |store, time| conformance::queue_full(store.events(), &time, 100));
on_both!(outbox, TestClock::default(), |store, time| conformance::queue_full(store.outbox(), &time, 100));
on_both!(sending_in_real_time, SystemClock, |store, time| conformance::queue_sending(store.events(), &time));

#[tokio::test]
async fn secrets() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("secrets.toml");
    std::fs::write(&file, "pushover-token = \"größe\"\nslack = 'https://hooks.example/\"x\"'\n").expect("file");
    let destinations = [("pushover-token", "größe"), ("slack", "https://hooks.example/\"x\"")];
    let internal = ExpectedSecrets {
        client_id: "id".into(),
        client_secret: "current-secret \"quoted\"".into(),
        api_token: Some("sntrys_x".into()),
        previous_client_secret: Some("previous-secret".into()),
        destinations: BTreeMap::from(destinations.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        token_key: "k".repeat(64),
    };
    let public = ExpectedSecrets {
        api_token: None,
        previous_client_secret: None,
        destinations: BTreeMap::new(),
        ..internal.clone()
    };
    for (expected, destinations_file) in [(internal, Some(file)), (public, None)] {
        let given = EnvSecrets {
            client_id: expected.client_id.clone(),
            client_secret: expected.client_secret.clone().into(),
            previous_client_secret: expected.previous_client_secret.clone().map(Into::into),
            api_token: expected.api_token.clone().map(Into::into),
            destinations_file,
            token_key: expected.token_key.clone().into(),
        };
        conformance::secrets(&given, &expected).await;
    }
}

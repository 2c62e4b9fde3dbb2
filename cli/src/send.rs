//! `switchboard send`: one signed webhook, as Sentry sends it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, Request, Uri};
use shared::ids::InstallationId;
use shared::outgoing::{Reqwest, Roots};
use shared::ports::{CallError, Chance, Clock, Outgoing, Policy, SystemChance, SystemClock};
use shared::secrets::ClientSecret;
use shared::signature;

use crate::samples::Sample;
use crate::start;

/// Post a signed sample of one of Sentry's webhooks
///
/// The body is signed with `SENTRY_CLIENT_SECRET` from the environment; `switchboard dev` prints its own at start.
///
/// Each send is an event of its own, so that none is dropped as a repeat of the one before: the id of the issue, error,
/// comment, alert, build or run is new, and its times are now. Only `installation.deleted` has nothing that could be new:
/// sent again, it is the same event.
#[derive(Args)]
pub(crate) struct Send {
    /// What happened, such as `issue.created`; an unknown one lists them all
    event: String,
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787/webhook")]
    to: Uri,
    /// From this installation instead of the sample's; of one on the page of `dev`, the issue of an alert can be looked up
    #[arg(long, value_name = "UUID")]
    installation: Option<InstallationId>,
    /// In this project instead of the sample's: its name, of which the slug is made
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
}

/// Longer than any answer of ours; Sentry itself waits 1 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// So much of an answer is worth showing.
const SHOWN_BYTES: usize = 2000;

impl Send {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut sample = Sample::of(&self.event)?;
        let secret = ClientSecret::parse(&start::required("SENTRY_CLIENT_SECRET")?)
            .map_err(|error| anyhow::anyhow!("the environment variable SENTRY_CLIENT_SECRET: {error}"))?;
        ensure!(
            matches!(self.to.scheme_str(), Some("http" | "https")),
            "--to: {} is no address that begins with http:// or https://",
            self.to
        );
        sample.renew(&SystemChance, SystemClock.now());
        if let Some(installation) = self.installation {
            sample.of_installation(installation);
        }
        if let Some(project) = &self.project {
            sample.in_project(project)?;
        }
        let body = Bytes::from(sample.body());
        let mut request = Request::post(&self.to).body(body).context("--to")?;
        *request.headers_mut() = headers(&sample, &secret, request.body())?;

        let outgoing = Reqwest::new(&Roots::System { ca_file: None }, true)?;
        let policy = Policy { guarded: false, timeout: PATIENCE, max_body_bytes: SHOWN_BYTES };
        let began = Instant::now();
        let response = outgoing.call(request, policy).await.map_err(|error| self.unanswered(&error))?;
        let (status, ms) = (response.status(), began.elapsed().as_secs_f64() * 1000.0);
        println!("{} to {}: {status} in {ms:.1} ms", self.event, self.to);
        let text = String::from_utf8_lossy(response.body());
        if !text.trim().is_empty() {
            println!("{}", one_line(&text));
        }
        if !status.is_success() {
            bail!("the webhook was not accepted");
        }
        Ok(())
    }

    fn unanswered(&self, error: &CallError) -> anyhow::Error {
        match error {
            CallError::Unreachable(_) => {
                anyhow::anyhow!("nobody listens at {}: is `switchboard dev` running?", self.to)
            }
            other => anyhow::anyhow!("{}: {other}", self.to),
        }
    }
}

/// As Sentry sends them; nothing but the body is signed.
fn headers(sample: &Sample, secret: &ClientSecret, body: &[u8]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("user-agent", sample.user_agent.clone()),
        ("accept", "*/*".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("request-id", shared::ids::hex(&SystemChance.bytes::<16>())),
        ("sentry-hook-resource", sample.resource.clone()),
        ("sentry-hook-timestamp", SystemClock.now().as_second().to_string()),
        ("sentry-hook-signature", signature::sign(secret, body)),
    ] {
        headers.insert(name, value.parse()?);
    }
    Ok(headers)
}

/// Without line breaks and control characters: a terminal is not for strangers to write on.
fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_over_the_body_that_is_sent() {
        let secret = ClientSecret::parse("0123abcd").expect("a good secret");
        let sample = Sample::of("issue.created").expect("a sample");
        let headers = headers(&sample, &secret, &sample.body()).expect("headers");
        let claimed = signature::Claimed::from_headers(&headers, &signature::HOOK_SIGNATURE).expect("a signature");
        assert!(claimed.fits(&secret, &sample.body()));
        assert_eq!(headers["sentry-hook-resource"], "issue");
        assert_eq!(headers["request-id"].len(), 32);
    }

    #[test]
    fn an_answer_is_shown_on_one_line() {
        assert_eq!(one_line("{\n \"error\": \"a\u{1b}[2Jb\"\r\n}"), "{ \"error\": \"a [2Jb\" }");
    }
}

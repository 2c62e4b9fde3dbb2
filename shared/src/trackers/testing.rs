//! What the tests of trackers share: settings out of a routes file, and a way to a stand-in without a socket.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tower::ServiceExt as _;

use super::api::{Answering, Wire};
use super::{Api, NewTicket};
use crate::destinations::settings::Settings;
use crate::ports::{CallError, Policy};
use crate::routing::Routes;
use crate::secrets::DestinationSecrets;

/// The settings of a tracker `t` of this type; `lines` are its other keys.
pub(super) fn settings<'a>(kind: &str, lines: &str, secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Settings {
    let file = format!("[[tracker]]\nname = \"t\"\ntype = \"{kind}\"\n{lines}\n");
    let routes = Routes::compile(&file).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let tracker = routes.trackers().next().expect("one tracker");
    Settings::resolve_tracker(tracker, &DestinationSecrets::from_iter(secrets)).expect("all secrets are there")
}

/// Every host is the router's.
pub(super) struct Plugged(pub(super) Router);

impl Wire for Plugged {
    fn call(&self, request: Request<Bytes>, policy: Policy) -> Answering<'_> {
        assert!(policy.guarded);
        let router = self.0.clone();
        let mut request = request;
        // As every outgoing call has one.
        let agent = http::HeaderValue::from_static("sentry-switchboard/0");
        request.headers_mut().insert(http::header::USER_AGENT, agent);
        Box::pin(async move {
            let answer =
                router.oneshot(request.map(axum::body::Body::from)).await.unwrap_or_else(|never| match never {});
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| CallError::BrokenOff(error.into()))?;
            Ok(http::Response::from_parts(parts, body.to_bytes()))
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }
}

impl Plugged {
    /// Ten seconds are left.
    pub(super) fn api<'a>(&'a self, settings: &'a Settings) -> Api<'a> {
        Api::on(self, settings, self.now() + Duration::from_secs(10))
    }
}

/// A ticket with a link; its marker is of this letter.
pub(super) fn new_ticket(project: &str, title: &str, text: &str, letter: char) -> NewTicket {
    NewTicket {
        project: project.to_owned(),
        title: title.to_owned(),
        text: text.to_owned(),
        link: Some("https://sentry.example/issues/7/".to_owned()),
        labels: Vec::new(),
        assignee: None,
        marker: format!("sentry-switchboard-{}", letter.to_string().repeat(32)),
    }
}

/// Texts that would do something where they are taken for more than text.
pub(super) fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "@team @ada @here [~ada] [~accountid:5b10a2844c20165700ede21g]",
        "{noformat}[~ada]{noformat} {NoFormat} {code}x{code} {panel}",
        r"\[~ada] \{noformat}[~ada]",
        "*bold* _it_ h1. head\nh1. head\nbq. quoted\n# one\n* two\n----\n||a||b||\n|c|d|",
        "!image.png! [click|http://evil.test] http://evil.test www.evil.test mailto:a@b.test",
        "https://linear.app/acme/profiles/ada https://linear.app/acme/issue/ENG-1",
        "```\nfence\n```\n````\n~~~",
        "<script>alert(1)</script> &lt; <@U1> <!channel>",
        "a\u{0}b\u{1b}[31mc\rd\u{2028}e\u{202e}f",
        "[\u{202e}~ada] [\u{feff}~ada]",
        "\\",
        "",
        " \n\n\n ",
        "\u{200b}",
        "\n\n\n\nx\n\n\n\n\n\ny\n",
    ]
    .map(str::to_owned)
    .into();
    texts.extend([
        "a".repeat(10_000),
        "\n".repeat(100_000),
        "\"\\".repeat(40_000),
        "👨‍👩‍👧".repeat(20_000),
        "[~a]\nx\n\n".repeat(20_000),
    ]);
    texts
}

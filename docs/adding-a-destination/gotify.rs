//! `gotify`: to the phones and browsers of a self-hosted Gotify. <https://gotify.net/api-docs>

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{DeliveryError, judge_webhook};
use super::kind::{Action, Key, Kind, Learned, Notification, Takes};
use super::request::json;
use super::settings::Settings;
use super::text::{cut, one_line};
use crate::message::Tone;

/// Gotify has no limits of its own; what is longer than this nobody reads on a phone. UTF-16 units.
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 4000;

pub(super) static KIND: Kind = Kind::new("gotify", render)
    .keys(&[Key::new("url", Takes::Secret), Key::new("token", Takes::Secret)])
    .needs(&[&["url", "token"]]);

#[derive(Serialize)]
struct Body {
    title: String,
    message: String,
    /// 0 to 10: from 4 on it makes a sound, from 8 on it rings.
    priority: u8,
    extras: Extras,
}

#[derive(Serialize)]
struct Extras {
    /// Plain text, whatever the client's default is: an error message is never markup.
    #[serde(rename = "client::display")]
    display: Display,
    #[serde(rename = "client::notification", skip_serializing_if = "Option::is_none")]
    notification: Option<Click>,
}

#[derive(Serialize)]
struct Display {
    #[serde(rename = "contentType")]
    content_type: &'static str,
}

#[derive(Serialize)]
struct Click {
    click: Target,
}

#[derive(Serialize)]
struct Target {
    url: String,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let message = notification.message;
    let body = Body {
        title: one_line(&message.title, TITLE_MAX),
        message: cut(&message.text, MESSAGE_MAX),
        priority: match message.tone {
            Tone::Fatal => 10,
            Tone::Error => 8,
            Tone::Warning => 5,
            Tone::Info => 4,
            Tone::Resolved | Tone::Muted => 2,
        },
        extras: Extras {
            display: Display { content_type: "text/plain" },
            notification: message.link.clone().map(|url| Click { click: Target { url } }),
        },
    };
    let address = settings.address("url")?.to_string();
    let address = format!("{}/message", address.trim_end_matches('/'));
    // In a header and not in the query: addresses end up in the logs of proxies.
    let request = http::Request::post(address).header("X-Gotify-Key", settings.required("token")?);
    Ok(Action::call(json(request, &body)?, judge))
}

/// 401 and 403 mean the token, 404 the address: whatever else is sent will fail too, so the destination is paused.
fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    judge_webhook(answer, now, || reason(answer.body()))
}

/// `{"error": "Unauthorized", "errorCode": 401, "errorDescription": "you need to provide a valid access token …"}`
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "errorDescription")]
        description: String,
    }
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => one_line(&answer.description, 500),
        Err(_) => "no reason given".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::destinations::error::Next;
    use crate::destinations::testing::{accepted_at, calls, samples, settings_of};
    use crate::normalized::Normalized;

    fn settings() -> Settings {
        let lines = "url = \"secret:server\"\ntoken = \"secret:token\"";
        settings_of(&KIND, lines, [("server", "https://push.example/gotify/"), ("token", "A.b-c")])
    }

    #[test]
    fn every_kind_of_event_makes_a_message() {
        for event in samples() {
            let calls = calls(&KIND, &settings(), &event);
            let body: serde_json::Value = serde_json::from_slice(calls[0].request.body()).unwrap();
            assert_ne!((&body["title"], &body["message"]), (&"".into(), &"".into()), "{}", event.event);
            assert_eq!(body["extras"]["client::display"]["contentType"], "text/plain");
        }
    }

    #[test]
    fn a_fatal_error_rings_and_opens_its_page() {
        let event = Normalized {
            event: "issue.created".into(),
            resource: "issue".into(),
            action: "created".into(),
            level: Some("fatal".into()),
            title: Some("Out of memory".into()),
            url: Some("https://sentry.example/issues/7/".into()),
            ..Normalized::default()
        };
        let request = &calls(&KIND, &settings(), &event)[0].request;
        assert_eq!(request.uri(), "https://push.example/gotify/message");
        assert_eq!(request.headers()["x-gotify-key"], "A.b-c");
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body["priority"], 10);
        assert_eq!(body["extras"]["client::notification"]["click"]["url"], "https://sentry.example/issues/7/");
        assert!(body["title"].as_str().unwrap().contains("Out of memory"));
    }

    #[test]
    fn an_answer_means_what_gotify_says() {
        let wrong_token = r#"{"error":"Unauthorized","errorCode":401,"errorDescription":"no valid token"}"#;
        let pause = Next::Pause { until: None };
        let cases = [
            (200, "{\"id\":1}", None),
            (401, wrong_token, Some((pause, "refuses everything with 401: no valid token"))),
            (400, "", Some((Next::GiveUp, "refused with 400: no reason given"))),
            (502, "<html>", Some((Next::Retry { not_before: None }, "failed with 502"))),
        ];
        for (status, body, expected) in cases {
            let answer = http::Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap();
            let judged = judge(&answer, accepted_at()).err().map(|error| (error.next(), error.to_string()));
            assert_eq!(judged, expected.map(|(next, text)| (next, text.to_owned())), "{status}");
        }
    }
}

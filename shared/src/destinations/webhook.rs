//! `webhook`: to any receiver, signed as Standard Webhooks say. <https://www.standardwebhooks.com>
//!
//! `webhook-id` is the delivery's id and the same for every try, so a receiver can drop what it has already.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::HeaderName;
use jiff::Timestamp;
use serde::Serialize;

use super::error::{DeliveryError, judge_webhook};
use super::kind::{Action, Key, Kind, Learned, Notification, Takes};
use super::request::with_body;
use super::settings::Settings;
use super::text;
use crate::alert_rule::RuleSettings;
use crate::normalized::Normalized;
use crate::routing::Value;
use crate::signature::hmac_sha256;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Sentry's own header. It tells a receiver of the original body what that is; neither Sentry nor we sign it.
const RESOURCE: HeaderName = HeaderName::from_static("sentry-hook-resource");

const ORIGINAL: &str = "original";

pub(super) static KIND: Kind = Kind::new("webhook", render)
    .keys(&[
        Key::new("url", Takes::Secret),
        // Several, separated by spaces, while receivers change from one to the next: each makes its signature.
        Key::new("secret", Takes::Secret),
        Key::new("body", Takes::OneOf(&["normalized", ORIGINAL])),
    ])
    .needs(&[&["url", "secret"]])
    .forwards(|destination| matches!(destination.values.get("body"), Some(Value::Text(body)) if body == ORIGINAL));

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    data: &'a Normalized,
    /// What an alert rule's form says: `rule` (its name), `note`, `mention` and `priority`, those that are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_rule: Option<&'a RuleSettings>,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let keys = keys(settings.required("secret")?)?;
    let is_original = settings.text("body") == Some(ORIGINAL);
    let body = if is_original { original(notification)? } else { normalized(notification).into() };
    let (id, seconds) = (notification.delivery.as_str(), notification.now.as_second());
    let mut request = http::Request::post(settings.address("url")?)
        .header(ID, id)
        .header(TIMESTAMP, seconds)
        .header(SIGNATURE, signatures(&keys, id, seconds, &body));
    if is_original {
        request = request.header(RESOURCE, &notification.event.resource);
    }
    Ok(Action::call(with_body(request, "application/json", body)?, judge))
}

/// Exactly as Sentry sent it.
fn original(notification: &Notification<'_>) -> Result<Bytes, DeliveryError> {
    let problem = "wants Sentry's own bytes, which this delivery does not have: they were too large to be kept, or the routes have changed meanwhile";
    notification.original.map(Bytes::copy_from_slice).ok_or(DeliveryError::BadValue { key: "body", problem })
}

fn normalized(notification: &Notification<'_>) -> Vec<u8> {
    // "Full stop delimited … [a-zA-Z0-9_]": what Sentry calls its events is that already; the exact name is in `data`.
    let word = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '_' };
    let envelope = Envelope {
        kind: notification.event.event.chars().map(word).collect(),
        timestamp: notification.accepted_at.to_string(),
        data: notification.event,
        alert_rule: notification.rule,
    };
    serde_json::to_vec(&envelope).expect("texts and numbers have a JSON form")
}

/// Padding is optional: it is easily lost by whoever copies.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `whsec_` and base64 of "between 24 bytes (192 bits) and 64 bytes (512 bits)".
fn keys(secret: &str) -> Result<Vec<Vec<u8>>, DeliveryError> {
    let key = |text: &str| {
        let key = BASE64.decode(text.strip_prefix("whsec_")?).ok()?;
        (24..=64).contains(&key.len()).then_some(key)
    };
    let keys: Option<Vec<_>> = secret.split_whitespace().map(key).collect();
    let problem = "is not `whsec_` followed by base64 of 24 to 64 bytes (or several of these, separated by spaces)";
    keys.filter(|keys| !keys.is_empty()).ok_or(DeliveryError::BadValue { key: "secret", problem })
}

/// `v1,` and base64 of the HMAC over `{id}.{timestamp}.{body}`, for each key one, separated by spaces.
fn signatures(keys: &[Vec<u8>], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    let signature = |key: &Vec<u8>| format!("v1,{}", BASE64_STANDARD.encode(hmac_sha256(key, &signed)));
    keys.iter().map(signature).collect::<Vec<_>>().join(" ")
}

fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    judge_webhook(answer, now, || text::reason(&String::from_utf8_lossy(answer.body()), 200))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Write;

    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;
    use crate::alert_rule::Priority;
    use crate::destinations::error::Next;
    use crate::destinations::testing::{
        accepted_at, answer, calls, calls_of, carried_out, rendered, samples, settings,
    };
    use crate::message::Message;
    use crate::routing::Routes;
    use simulator::Receiver;

    /// That of the specification's example.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const URL: &str = "https://hooks.example/in/4f5e?a=b";

    fn webhook(lines: &str) -> Settings {
        let lines = format!("url = \"secret:u\"\nsecret = \"secret:s\"\n{lines}");
        settings("webhook", &lines, [("u", URL), ("s", SECRET)])
    }

    fn call(
        settings: &Settings,
        event: &Normalized,
        original: Option<&[u8]>,
    ) -> Result<http::Request<Bytes>, DeliveryError> {
        let message = Message::of(event, "https://sentry.example");
        let action = rendered(&KIND, settings, event, &message, original)?;
        Ok(calls_of(action).remove(0).request)
    }

    #[test]
    fn the_signature_is_that_of_the_specification() {
        let keys = keys(SECRET).unwrap();
        assert_eq!(
            signatures(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn what_an_alert_rule_says_stands_beside_the_event() {
        let (event, delivery) = (Normalized::default(), "0".repeat(64).parse().unwrap());
        let message = Message::of(&event, "https://sentry.example");
        let (note, priority) = (Some("Look".to_owned()), Some(Priority::High));
        let rule = RuleSettings { rule: Some("Page us".to_owned()), note, priority, ..RuleSettings::default() };
        let at = accepted_at();
        for (rule, expected) in [
            (Some(&rule), serde_json::json!({"rule": "Page us", "note": "Look", "priority": "high"})),
            (None, Json::Null),
        ] {
            let (event, message) = (&event, &message);
            let notification = Notification {
                delivery: &delivery,
                event,
                message,
                rule,
                thread: None,
                original: None,
                accepted_at: at,
                now: at,
            };
            let body: Json = serde_json::from_slice(&normalized(&notification)).unwrap();
            assert_eq!(body["alert_rule"], expected);
        }
    }

    #[test]
    fn every_kind_of_event_makes_a_body() {
        let mut shown = String::new();
        for event in samples() {
            let calls = calls(&KIND, &webhook(""), &event);
            let body: Json = serde_json::from_slice(calls[0].request.body()).unwrap();
            writeln!(shown, "{}", serde_json::to_string_pretty(&body).unwrap()).unwrap();
        }
        insta::assert_snapshot!(shown);
    }

    #[tokio::test]
    async fn a_receiver_finds_each_signature_right_in_whichever_form() {
        let clock = || std::sync::Arc::new(|| accepted_at() + std::time::Duration::from_mins(2));
        let receiver = |secret| Receiver::new(secret, clock(), simulator::Config::default().sleep);
        let (old, new) = (SECRET, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let both = format!("{new} {old}");
        for (lines, original) in [("", None), ("body = \"original\"", Some("{\"a\": \"ü\"}\n".as_bytes()))] {
            let lines = format!("url = \"secret:u\"\nsecret = \"secret:s\"\n{lines}");
            let settings = settings("webhook", &lines, [("u", URL), ("s", both.as_str())]);
            for secret in [old, new] {
                let receiver = receiver(secret);
                for event in samples() {
                    let message = Message::of(&event, "https://sentry.example");
                    let calls = calls_of(rendered(&KIND, &settings, &event, &message, original).unwrap());
                    carried_out(calls, receiver.router()).await.unwrap();
                }
                assert_eq!(receiver.hooks().len(), samples().len());
                assert!(original.is_none_or(|bytes| receiver.hooks().iter().all(|hook| hook.body == bytes)));
            }
        }
        let wrong = receiver("whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB");
        let refused = carried_out(calls(&KIND, &webhook(""), &samples()[0]), wrong.router()).await;
        assert_eq!(refused.unwrap_err().to_string(), "refused with 400: no signature fits");
    }

    #[test]
    fn a_receiver_learns_what_it_is_and_when_it_was_tried() {
        let event =
            Normalized { event: "issue.created".to_owned(), resource: "issue".to_owned(), ..Normalized::default() };
        let request = call(&webhook(""), &event, None).unwrap();
        let header = |request: &http::Request<Bytes>, name: &str| {
            request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(request.uri(), URL);
        assert_eq!(header(&request, "webhook-id").map(|id| id.len()), Some(64), "the delivery's id");
        assert_eq!(header(&request, "webhook-timestamp").as_deref(), Some("1700000060"), "that of the try");
        assert_eq!(header(&request, "content-type").as_deref(), Some("application/json"));
        assert_eq!(header(&request, "sentry-hook-resource"), None);
        let body: Json = serde_json::from_slice(request.body()).unwrap();
        assert_eq!((&body["type"], &body["timestamp"]), (&"issue.created".into(), &"2023-11-14T22:13:20Z".into()));

        let bytes: &[u8] = b"{\"action\" : \"created\", \"odd\": \"\xff\"}\n";
        let forwarding = webhook("body = \"original\"");
        let request = call(&forwarding, &event, Some(bytes)).unwrap();
        assert_eq!(request.body(), bytes);
        assert_eq!(header(&request, "sentry-hook-resource").as_deref(), Some("issue"));
        let expected =
            signatures(&keys(SECRET).unwrap(), &header(&request, "webhook-id").unwrap(), 1_700_000_060, bytes);
        assert_eq!(header(&request, "webhook-signature"), Some(expected));
        let missing = call(&forwarding, &event, None).unwrap_err();
        assert_eq!(missing.next(), Next::GiveUp, "{missing}");
    }

    #[test]
    fn only_a_destination_of_original_bodies_carries_them() {
        for (lines, forwards) in [("", false), ("body = \"normalized\"", false), ("body = \"original\"", true)] {
            let file = format!(
                "[[destination]]\nname = \"d\"\ntype = \"webhook\"\nurl = \"secret:u\"\nsecret = \"secret:s\"\n{lines}\n"
            );
            let routes = Routes::compile(&file).unwrap();
            assert_eq!((KIND.forwards)(routes.destinations().next().unwrap()), forwards, "{lines}");
        }
    }

    #[test]
    fn a_secret_is_one_key_or_several_and_nothing_else() {
        let other = format!("whsec_{}", BASE64_STANDARD.encode([7; 64]));
        let good = [
            (SECRET.to_owned(), 1),
            (format!("{SECRET}\n"), 1),
            (format!("{SECRET} {other}"), 2),
            (other.trim_end_matches('=').to_owned(), 1),
        ];
        for (secret, count) in good {
            let keys = keys(&secret).unwrap();
            assert_eq!(keys.len(), count);
            assert_eq!(signatures(&keys, "a", 1, b"").split(' ').count(), count);
        }
        let of_bytes = |count: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![7; count]));
        let bad = ["", " ", "whsec_", "whsec_!!!", &SECRET[6..], &of_bytes(23), &of_bytes(65), &format!("{SECRET} x")];
        for secret in bad {
            let error = keys(secret).unwrap_err().to_string();
            assert!(error.starts_with("its `secret` is not `whsec_`"), "{error}");
            assert!(secret.len() < 8 || !error.contains(&secret[6..]), "no secret in {error}");
        }
    }

    #[test]
    fn an_answer_means_what_the_specification_says() {
        let now = accepted_at();
        let retry = Next::Retry { not_before: None };
        let later = Next::Retry { not_before: Timestamp::from_second(1_700_000_120).ok() };
        let pause = Next::Pause { until: None };
        let cases = [
            (answer(200, &[], ""), None),
            (answer(204, &[], ""), None),
            (answer(202, &[], "{\"ok\":false}"), None),
            (
                answer(301, &[("location", "https://elsewhere.example")], ""),
                Some((Next::GiveUp, "redirects with 301, which is not followed: check the address")),
            ),
            (answer(400, &[], "no such\nfield"), Some((Next::GiveUp, "refused with 400: no such field"))),
            (answer(401, &[], "bad signature"), Some((pause, "refuses everything with 401: bad signature"))),
            (answer(404, &[], "<html>"), Some((pause, "refuses everything with 404: no reason given"))),
            (answer(410, &[], ""), Some((pause, "refuses everything with 410: no reason given"))),
            (answer(429, &[("retry-after", "120")], ""), Some((later, "rate limited"))),
            (answer(502, &[], ""), Some((retry, "failed with 502"))),
            (answer(504, &[], ""), Some((retry, "failed with 504"))),
        ];
        for (answer, expected) in cases {
            let judged = judge(&answer, now).err().map(|error| (error.next(), error.to_string()));
            assert_eq!(judged, expected.map(|(next, text)| (next, text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn whatever_an_event_is_called_its_type_is_one(name in any::<String>(), title in any::<String>()) {
            let event = Normalized { event: name.clone(), title: Some(title), ..Normalized::default() };
            let body: Json = serde_json::from_slice(call(&webhook(""), &event, None).unwrap().body()).unwrap();
            let kind = body["type"].as_str().unwrap();
            prop_assert!(kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')));
            prop_assert_eq!(body["data"]["event"].as_str(), Some(name.as_str()));
        }
    }
}

//! `pushover`: to a phone. <https://pushover.net/api>

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{DeliveryError, judge_by_status};
use super::kind::{Action, Key, Kind, Learned, Notification, Takes};
use super::settings::Settings;
use super::text::{cut, one_line};

/// "title is limited to 250 characters, message to 1024 4-byte UTF-8 characters, url to 512, `url_title` to 100".
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 1024;
const URL_MAX: usize = 512;

pub(super) static KIND: Kind = Kind::new("pushover", render)
    .keys(&[Key::new("user", Takes::Secret), Key::new("token", Takes::Secret)])
    .needs(&[&["user", "token"]])
    // "You may have no more than 2 concurrent HTTP requests."
    .concurrency(2);

#[derive(Serialize)]
struct Form<'a> {
    token: &'a str,
    user: &'a str,
    title: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_title: Option<&'static str>,
    priority: i8,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let message = notification.message;
    // A cut address leads nowhere: one that is too long is left out.
    let url = message.link.clone().filter(|url| url.chars().count() <= URL_MAX);
    let form = Form {
        token: settings.required("token")?,
        user: settings.required("user")?,
        title: one_line(&message.title, TITLE_MAX),
        message: cut(&message.text, MESSAGE_MAX),
        url_title: url.is_some().then_some("Issue Details"),
        url,
        priority: 0,
    };
    let address = format!("{}/1/messages.json", settings.base_url("https://api.pushover.net"));
    Ok(Action::call(super::request::form(&address, &form)?, judge))
}

/// 429 is no rate limit here but the month's quota: a back-off of seconds is useless.
fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    if answer.status() == http::StatusCode::TOO_MANY_REQUESTS {
        let reset = answer.headers().get("x-limit-app-reset").and_then(|value| value.to_str().ok()?.parse().ok());
        return Err(DeliveryError::QuotaUsedUp {
            until: reset.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        });
    }
    judge_by_status(answer, now, || reason(answer.body()))
}

/// `{"status":0,"errors":["user identifier is invalid"]}`
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        errors: Vec<String>,
    }
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) if !answer.errors.is_empty() => one_line(&answer.errors.join("; "), 500),
        _ => "no reason given".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::destinations::error::Next;
    use crate::destinations::kind::Call;
    use crate::ids::{DeliveryId, EventId};
    use crate::message::Message;
    use crate::normalized::Normalized;
    use crate::payload;
    use crate::routing::Routes;
    use crate::secrets::DestinationSecrets;

    fn settings() -> Settings {
        let file = "[[destination]]\nname = \"p\"\ntype = \"pushover\"\nuser = \"secret:u\"\ntoken = \"secret:t\"\n";
        let routes = Routes::compile(file).unwrap();
        let secrets = DestinationSecrets::from_iter([("u", "user-key"), ("t", "app-token")]);
        Settings::resolve(routes.destinations().next().unwrap(), &secrets).unwrap()
    }

    fn form(event: &Normalized) -> Vec<(String, String)> {
        let notification = Notification {
            delivery: &DeliveryId::of(&EventId::of_signature("s"), Timestamp::UNIX_EPOCH, &"p".parse().unwrap()),
            event,
            message: &Message::of(event, "https://sentry.example"),
            thread: None,
            original: None,
            accepted_at: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
        };
        let Action::Calls(calls) = render(&settings(), &notification).unwrap() else { panic!("pushover calls") };
        let [Call { request, .. }] = calls.as_slice() else { panic!("one call") };
        assert_eq!(request.uri(), "https://api.pushover.net/1/messages.json");
        serde_urlencoded::from_bytes(request.body()).unwrap()
    }

    fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
        form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn every_kind_of_event_makes_a_message() {
        let mut rendered = String::new();
        for name in payload::tests::sample_names() {
            let mut event = Normalized::of(&payload::tests::sample(&name));
            event.organization.get_or_insert_with(|| "acme".to_owned());
            writeln!(rendered, "{}", event.event).unwrap();
            for (name, value) in form(&event) {
                writeln!(rendered, "    {name}: {value}").unwrap();
            }
        }
        insta::assert_snapshot!(rendered);
    }

    #[test]
    fn everything_fits_and_nothing_is_empty() {
        let long = Normalized {
            event: "issue.created".into(),
            title: Some("é".repeat(400)),
            value: Some("🦀".repeat(2000)),
            url: Some(format!("https://sentry.example/{}", "a".repeat(600))),
            ..Normalized::default()
        };
        let long = form(&long);
        assert_eq!(field(&long, "title").unwrap().chars().count(), 250);
        assert!(field(&long, "message").unwrap().chars().count() <= 1024);
        assert_eq!((field(&long, "url"), field(&long, "url_title")), (None, None), "a cut address leads nowhere");
        let bare =
            form(&Normalized { event: "new_thing.happened".into(), value: Some(" ".into()), ..Normalized::default() });
        assert_eq!(field(&bare, "message"), Some("new_thing.happened"));
        assert_eq!(field(&bare, "priority"), Some("0"));
    }

    #[test]
    fn an_answer_means_what_pushover_says() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let answer = |status: u16, headers: &[(&str, &str)], body: &'static str| {
            let mut answer = http::Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(*name, *value);
            }
            answer.body(Bytes::from_static(body.as_bytes())).unwrap()
        };
        let retry = Next::Retry { not_before: None };
        let later = Next::Retry { not_before: Timestamp::from_second(1_700_000_060).ok() };
        let reset = Next::Pause { until: Timestamp::from_second(1_700_006_400).ok() };
        let cases = [
            ("sent", answer(200, &[], r#"{"status":1}"#), None),
            (
                "a refused key",
                answer(400, &[], r#"{"errors":["user identifier is invalid"]}"#),
                Some((Next::GiveUp, "refused with 400: user identifier is invalid")),
            ),
            ("a page", answer(404, &[], "<html>"), Some((Next::GiveUp, "refused with 404: no reason given"))),
            (
                "quota",
                answer(429, &[("x-limit-app-reset", "1700006400")], ""),
                Some((reset, "quota used up until 2023-11-15T00:00:00Z")),
            ),
            (
                "quota without a reset",
                answer(429, &[], ""),
                Some((Next::Pause { until: None }, "quota used up until the first of next month")),
            ),
            ("their trouble", answer(502, &[], ""), Some((retry, "failed with 502"))),
            (
                "their trouble, with a floor",
                answer(503, &[("retry-after", "60")], ""),
                Some((later, "failed with 503")),
            ),
            (
                "a redirect",
                answer(302, &[], ""),
                Some((Next::GiveUp, "redirects with 302, which is not followed: check the address")),
            ),
        ];
        for (name, answer, expected) in cases {
            let judged = judge(&answer, now).err().map(|error| (error.next(), error.to_string()));
            assert_eq!(judged, expected.map(|(next, text)| (next, text.to_owned())), "{name}");
        }
    }
}

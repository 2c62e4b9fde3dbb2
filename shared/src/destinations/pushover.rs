//! `pushover`: to a phone. <https://pushover.net/api>
//!
//! Where its priority can be 2, an emergency that an issue caused is cancelled once the issue is over. So is one that an
//! alert rule alone made one: that it rang is remembered in the issue's thread.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{DeliveryError, judge_by_status};
use super::incident::{self, Turn};
use super::kind::{Action, Call, Key, Kind, Learned, Notification, Takes, Thread};
use super::request::form;
use super::settings::Settings;
use super::text::{cut, cut_before_link, is_blank, one_line, visible};
use crate::alert_rule::Priority;
use crate::message::Message;

/// "title is limited to 250 characters, message to 1024 4-byte UTF-8 characters, url to 512, `url_title` to 100".
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 1024;
const URL_MAX: usize = 512;
/// Of the message, this much at most is for the fields below its text, so that neither pushes the other out.
const FIELDS_MAX: usize = 400;
const FIELD_MAX: usize = 100;
/// "device … up to 25 characters long, and will contain the character set `[A-Za-z0-9_-]`".
const DEVICE_MAX: usize = 25;

const NORMAL: i64 = 0;
/// Repeated every `retry` seconds until somebody acknowledges it or `expire` seconds are over.
const EMERGENCY: i64 = 2;
/// "must have a value of at least 30 seconds", "at most 10800 seconds (3 hours)".
const RETRY_S: i64 = 60;
const RETRY_MIN_S: i64 = 30;
const EXPIRE_S: i64 = 3600;
const EXPIRE_MAX_S: i64 = 10_800;

/// The word of a thread that says that an alert rule made an emergency of it.
const RANG: &str = "rang";

pub(super) static KIND: Kind = Kind::new("pushover", render)
    .keys(&[
        Key::new("user", Takes::Secret),
        Key::new("token", Takes::Secret),
        Key::new("device", Takes::Text),
        Key::new("sound", Takes::Text),
        Key::new("priority", Takes::NumberByLevel { min: -2, max: EMERGENCY }),
        Key::new("retry", Takes::Number { min: RETRY_MIN_S, max: EXPIRE_MAX_S }),
        Key::new("expire", Takes::Number { min: RETRY_MIN_S, max: EXPIRE_MAX_S }),
    ])
    .needs(&[&["user", "token"]])
    // What cancels an emergency must not overtake what causes it.
    .threads()
    // "You may have no more than 2 concurrent HTTP requests."
    .concurrency(2);

#[derive(Serialize)]
struct Form<'a> {
    token: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    /// Without one, Pushover shows the application's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_title: Option<&'static str>,
    priority: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    /// Seconds since 1970.
    timestamp: i64,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let (event, message) = (notification.event, notification.message);
    let (token, user) = (settings.required("token")?.trim(), settings.required("user")?.trim());
    let is_over = Turn::of(event) == Turn::Resolve;
    // News of a fatal issue's ticket does not ring as the issue does.
    let level = event.level.as_deref().filter(|_| event.has_level());
    let by_file = settings.number("priority", level).unwrap_or(NORMAL);
    let priority = message.priority.map_or(by_file, number);
    // Good news wakes nobody.
    let priority = if is_over { priority.min(NORMAL) } else { priority };
    let is_emergency = priority == EMERGENCY;
    let tag = incident::key(event);
    // A cut address leads nowhere: one that is too long is left out.
    let url = message.link.as_deref().filter(|url| url.chars().count() <= URL_MAX);
    let form_of_message = Form {
        token,
        user,
        device: device(settings)?,
        title: Some(one_line(&message.title, TITLE_MAX)).filter(|title| !is_blank(title)),
        message: text(message, &event.event, url.is_some()),
        url_title: url.is_some().then_some("Issue Details"),
        url,
        priority,
        retry: is_emergency.then(|| settings.number("retry", None).unwrap_or(RETRY_S)),
        expire: is_emergency.then(|| settings.number("expire", None).unwrap_or(EXPIRE_S)),
        tags: tag.as_deref().filter(|_| is_emergency),
        sound: settings.text("sound"),
        timestamp: notification.accepted_at.as_second(),
    };
    let base_url = settings.base_url("https://api.pushover.net");
    let mut calls = Vec::new();
    let is_urgent = message.priority == Some(Priority::Urgent);
    let has_rung = notification.thread.is_some_and(|thread| thread.get(RANG).is_some());
    let may_ring = settings.greatest("priority") == Some(EMERGENCY) || is_urgent || has_rung;
    if let Some(tag) = tag.as_deref().filter(|_| is_over && may_ring) {
        let address = format!("{base_url}/1/receipts/cancel_by_tag/{tag}.json");
        calls.push(Call { request: form(&address, &[("token", token)])?, judge: judge_cancelled });
    }
    // Cancelling may be repeated, ringing should not: so it comes last.
    let judge = if is_emergency && is_urgent { judge_rung } else { judge };
    calls.push(Call { request: form(&format!("{base_url}/1/messages.json"), &form_of_message)?, judge });
    Ok(Action::Calls(calls))
}

/// What an alert rule says, in Pushover's numbers.
fn number(priority: Priority) -> i64 {
    match priority {
        Priority::Low => -1,
        Priority::Normal => NORMAL,
        Priority::High => 1,
        Priority::Urgent => EMERGENCY,
    }
}

/// One name, or several with commas.
fn device(settings: &Settings) -> Result<Option<&str>, DeliveryError> {
    let Some(devices) = settings.text("device").map(str::trim) else { return Ok(None) };
    let is_name = |name: &str| {
        (1..=DEVICE_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if devices.split(',').all(is_name) {
        return Ok(Some(devices));
    }
    let problem = "is no name of a device: at most 25 letters, digits, `-` and `_`, or several of these with commas";
    Err(DeliveryError::BadValue { key: "device", problem })
}

/// The text and, below it, the fields. Never blank, which Pushover refuses.
fn text(message: &Message, otherwise: &str, has_link: bool) -> String {
    let mut fields = String::new();
    for field in message.fields.iter().filter(|field| !is_blank(&field.value)) {
        fields.push('\n');
        fields.push_str(&one_line(&format!("{}: {}", field.name.trim(), field.value.trim()), FIELD_MAX));
    }
    let fields = cut(&fields, FIELDS_MAX);
    let said = [message.text.as_str(), otherwise].map(visible);
    let said = said.iter().map(|said| said.trim()).find(|said| !is_blank(said)).unwrap_or("…");
    cut_before_link(said, MESSAGE_MAX - fields.encode_utf16().count(), has_link) + &fields
}

/// 429 is no rate limit here but the month's quota: a back-off of seconds is useless. A refused key is refused for
/// every message, and who goes on asking is blocked by address.
fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    if answer.status() == http::StatusCode::TOO_MANY_REQUESTS {
        let reset = answer.headers().get("x-limit-app-reset").and_then(|value| value.to_str().ok()?.parse().ok());
        return Err(DeliveryError::QuotaUsedUp {
            until: reset.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        });
    }
    let said: Answer = serde_json::from_slice(answer.body()).unwrap_or_default();
    match judge_by_status(answer, now, || said.reason()) {
        Err(DeliveryError::Refused { status, reason }) if said.refuses_a_key() => {
            Err(DeliveryError::Shut { status, reason })
        }
        Ok(_) if said.status.is_some_and(|status| status != 1) => {
            Err(DeliveryError::Refused { status: answer.status().as_u16(), reason: said.reason() })
        }
        judged => judged,
    }
}

/// [`judge`], and what a later end of the issue must know.
fn judge_rung(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    judge(answer, now).map(|_| Some(Thread::from([(RANG, "as an alert rule said")])))
}

/// [`judge`], but that there is nothing to cancel is no reason to keep the message back.
fn judge_cancelled(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    match judge(answer, now) {
        Err(DeliveryError::Refused { .. }) => Ok(None),
        judged => judged,
    }
}

/// `{"user":"invalid","errors":["user identifier is invalid"],"status":0,"request":"…"}`
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    status: Option<i64>,
    token: Option<String>,
    user: Option<String>,
    errors: Vec<String>,
}

impl Answer {
    fn refuses_a_key(&self) -> bool {
        [&self.token, &self.user].into_iter().any(|key| key.as_deref() == Some("invalid"))
    }

    fn reason(&self) -> String {
        let errors = one_line(&self.errors.join("; "), 500);
        if errors.is_empty() { "no reason given".to_owned() } else { errors }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Write;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::destinations::error::Next;
    use crate::destinations::testing::{
        accepted_at, calls, calls_of, carried_out, rendered, rendered_in, samples, settings,
    };
    use crate::message::Field;
    use crate::normalized::Normalized;
    use crate::routing::Routes;
    use simulator::Simulator;

    const KEYS: [(&str, &str); 2] = [("u", "user-key"), ("t", "app-token\n")];

    fn pushover(lines: &str) -> Settings {
        settings("pushover", &format!("user = \"secret:u\"\ntoken = \"secret:t\"\n{lines}"), KEYS)
    }

    type Fields = Vec<(String, String)>;

    fn fields(call: &Call) -> (String, Fields) {
        let address = call.request.uri().to_string();
        (address, serde_urlencoded::from_bytes(call.request.body()).unwrap())
    }

    fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
        form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn sent(settings: &Settings, event: &Normalized, message: &Message) -> Fields {
        let mut calls = calls_of(rendered(&KIND, settings, event, message, None).unwrap());
        let (address, form) = fields(&calls.remove(0));
        assert_eq!((address.as_str(), calls.len()), ("https://api.pushover.net/1/messages.json", 0));
        form
    }

    fn issue(event: &str, level: &str) -> Normalized {
        Normalized {
            event: event.to_owned(),
            resource: "issue".to_owned(),
            installation: "i".to_owned(),
            issue: Some("7".to_owned()),
            level: Some(level.to_owned()),
            ..Normalized::default()
        }
    }

    #[test]
    fn every_kind_of_event_makes_a_message() {
        let mut shown = String::new();
        for event in samples() {
            for call in calls(&KIND, &pushover("priority = { error = 2 }"), &event) {
                let (address, form) = fields(&call);
                writeln!(shown, "{} {address}", event.event).unwrap();
                for (name, value) in form {
                    writeln!(shown, "    {name}: {value}").unwrap();
                }
            }
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn the_keys_of_the_file_are_those_of_pushover() {
        let event = issue("issue.created", "fatal");
        let message = Message::of(&event, "https://sentry.example");
        let form = sent(&pushover(""), &event, &message);
        let given = |name| field(&form, name);
        assert_eq!((given("user"), given("token")), (Some("user-key"), Some("app-token")));
        assert_eq!((given("priority"), given("timestamp")), (Some("0"), Some("1700000000")));
        for name in ["device", "sound", "retry", "expire", "tags"] {
            assert_eq!(given(name), None, "{name}");
        }

        let form = sent(&pushover("device = \"droid4,i_Pad-2\"\nsound = \"siren\"\npriority = -1"), &event, &message);
        let given = |name| field(&form, name);
        assert_eq!(
            (given("device"), given("sound"), given("priority")),
            (Some("droid4,i_Pad-2"), Some("siren"), Some("-1"))
        );
        for bad in ["a b", "droid4,", "ü", "abcdefghijklmnopqrstuvwxyz"] {
            let settings = pushover(&format!("device = \"{bad}\""));
            let error = rendered(&KIND, &settings, &event, &message, None).err().unwrap();
            assert!(error.to_string().starts_with("its `device` is no name"), "{bad}: {error}");
        }
    }

    #[test]
    fn an_emergency_says_how_often_it_rings_and_what_cancels_it() {
        let lines = "priority = { fatal = 2, error = 1 }";
        let ring = |lines: &str, level: &str| {
            let event = issue("issue.created", level);
            let form = sent(&pushover(lines), &event, &Message::of(&event, "https://sentry.example"));
            ["priority", "retry", "expire"].map(|name| field(&form, name).map(str::to_owned))
        };
        let owned = |values: [Option<&str>; 3]| values.map(|value| value.map(str::to_owned));
        assert_eq!(ring(lines, "fatal"), owned([Some("2"), Some("60"), Some("3600")]));
        assert_eq!(ring(lines, "error"), owned([Some("1"), None, None]));
        assert_eq!(ring(lines, "info"), owned([Some("0"), None, None]));
        let ticket = Normalized { resource: "switchboard".into(), ..issue("switchboard.ticket_opened", "fatal") };
        let form = sent(&pushover(lines), &ticket, &Message::of(&ticket, "https://sentry.example"));
        assert_eq!(field(&form, "priority"), Some("0"), "news of a ticket is none of its issue's emergency");
        let own = "priority = 2\nretry = 30\nexpire = 10800";
        assert_eq!(ring(own, "info"), owned([Some("2"), Some("30"), Some("10800")]));
    }

    #[test]
    fn an_alert_rules_priority_wins_over_the_files_and_its_emergency_is_cancelled() {
        let alert = issue("event_alert.triggered", "fatal");
        let message = Message::of(&alert, "https://sentry.example");
        for (priority, expected) in
            [(Priority::Low, "-1"), (Priority::Normal, "0"), (Priority::High, "1"), (Priority::Urgent, "2")]
        {
            for lines in ["priority = 2", "priority = { fatal = -2 }", ""] {
                let form = sent(&pushover(lines), &alert, &Message { priority: Some(priority), ..message.clone() });
                assert_eq!(field(&form, "priority"), Some(expected), "{lines}");
                let rings = priority == Priority::Urgent;
                assert_eq!(field(&form, "retry"), rings.then_some("60"));
                assert_eq!(field(&form, "tags").is_some(), rings);
            }
        }
        let over = issue("issue.resolved", "fatal");
        let message = Message { priority: Some(Priority::Urgent), ..Message::of(&over, "https://sentry.example") };
        let calls = calls_of(rendered(&KIND, &pushover(""), &over, &message, None).unwrap());
        assert!(fields(&calls[0]).0.contains("/receipts/cancel_by_tag/"));
        assert_eq!((calls.len(), field(&fields(&calls[1]).1, "priority")), (2, Some("0")));
    }

    #[tokio::test]
    async fn what_rang_by_an_alert_rule_alone_is_cancelled_when_a_route_tells_of_the_end() {
        let keys = [("u", "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"), ("t", "azGDORePK8gMaC0QOYAMyEEuzJnyUi")];
        let settings = settings("pushover", "user = \"secret:u\"\ntoken = \"secret:t\"", keys);
        let simulator = Simulator::new(simulator::Config::default());
        let alert = issue("event_alert.triggered", "fatal");
        let told = async |event: &Normalized, priority: Option<Priority>, thread: Option<&Thread>| {
            let message = Message { priority, ..Message::of(event, "https://sentry.example") };
            let calls = calls_of(rendered_in(thread, &KIND, &settings, event, &message, None).unwrap());
            (calls.len(), carried_out(calls, simulator.pushover_router()).await.unwrap())
        };
        assert_eq!(told(&alert, Some(Priority::High), None).await, (1, None), "that does not ring");
        let (_, thread) = told(&alert, Some(Priority::Urgent), None).await;
        let rings = || simulator.pushover_messages().iter().any(|message| message.rings_at(Timestamp::now()));
        assert!(rings() && thread.is_some());
        let over = issue("issue.resolved", "fatal");
        assert_eq!(told(&over, None, None).await, (1, None), "nothing is asked for where nothing rang");
        assert!(rings());
        assert_eq!(told(&over, None, thread.as_ref()).await, (2, None));
        assert!(!rings());
    }

    #[test]
    fn the_end_of_an_issue_cancels_its_emergency_and_rings_at_most_normally() {
        let tag_of = |event: &Normalized| {
            let form = sent(&pushover("priority = 2"), event, &Message::of(event, "https://sentry.example"));
            field(&form, "tags").unwrap().to_owned()
        };
        let tag = tag_of(&issue("issue.created", "fatal"));
        assert_ne!(tag, tag_of(&Normalized { issue: Some("8".to_owned()), ..issue("issue.created", "fatal") }));
        for name in ["issue.resolved", "issue.ignored"] {
            for (lines, cancels) in
                [("priority = { fatal = 2 }", true), ("priority = 2", true), ("priority = 1", false), ("", false)]
            {
                let calls = calls(&KIND, &pushover(lines), &issue(name, "fatal"));
                let (calls, message) = (&calls[..calls.len() - 1], fields(&calls[calls.len() - 1]));
                assert_eq!(field(&message.1, "priority"), Some("0"), "{name} {lines}");
                assert_eq!(field(&message.1, "tags"), None);
                let cancelled: Vec<_> = calls.iter().map(fields).collect();
                let address = format!("https://api.pushover.net/1/receipts/cancel_by_tag/{tag}.json");
                let expected = (address, vec![("token".to_owned(), "app-token".to_owned())]);
                assert_eq!(cancelled, if cancels { vec![expected] } else { Vec::new() }, "{name} {lines}");
            }
        }
        let quiet = calls(&KIND, &pushover("priority = -2"), &issue("issue.resolved", "fatal"));
        assert_eq!(field(&fields(&quiet[0]).1, "priority"), Some("-2"));
    }

    #[tokio::test]
    async fn pushover_takes_what_every_sample_makes_and_stops_ringing_when_the_issue_is_over() {
        let keys = [("u", "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"), ("t", "azGDORePK8gMaC0QOYAMyEEuzJnyUi")];
        let lines = "user = \"secret:u\"\ntoken = \"secret:t\"\npriority = 2\ndevice = \"phone\"";
        let settings = settings("pushover", lines, keys);
        let simulator = Simulator::new(simulator::Config::default());
        for event in samples() {
            let taken = carried_out(calls(&KIND, &settings, &event), simulator.pushover_router()).await;
            assert!(taken.is_ok(), "{}: {taken:?}", event.event);
        }
        assert_eq!(simulator.pushover_messages().len(), samples().len());

        let simulator = Simulator::new(simulator::Config::default());
        let ringing = || {
            let messages = simulator.pushover_messages();
            messages.iter().filter(|message| message.rings_at(Timestamp::now())).count()
        };
        for (event, expected) in
            [("issue.created", 1), ("issue.resolved", 0), ("issue.unresolved", 1), ("issue.ignored", 0)]
        {
            let calls = calls(&KIND, &settings, &issue(event, "fatal"));
            carried_out(calls, simulator.pushover_router()).await.unwrap();
            assert_eq!(ringing(), expected, "{event}");
        }
    }

    #[test]
    fn retry_is_pushovers_own_as_a_number_and_the_waits_as_a_list() {
        let destination = |line: &str| {
            let file = format!(
                "[[destination]]\nname = \"d\"\ntype = \"pushover\"\nuser = \"secret:u\"\ntoken = \"secret:t\"\n{line}\n"
            );
            Routes::compile(&file).map(|routes| routes.destinations().next().unwrap().clone())
        };
        let number = destination("retry = 90").unwrap();
        assert_eq!((number.retry, number.values.contains_key("retry")), (None, true));
        let list = destination("retry = [\"9s\"]").unwrap();
        assert_eq!((list.retry, list.values.contains_key("retry")), (Some(vec![Duration::from_secs(9)]), false));
        assert!(destination("retry = 29").is_err(), "Pushover wants 30 s at least");
        assert!(destination("retry = \"9s\"").is_err());
    }

    #[test]
    fn everything_fits_and_nothing_is_empty() {
        let long = Normalized {
            event: "issue.created".into(),
            title: Some("é".repeat(400)),
            value: Some("🦀".repeat(250_000)),
            url: Some(format!("https://sentry.example/{}", "a".repeat(600))),
            ..Normalized::default()
        };
        let long_message = Message::of(&long, "https://sentry.example");
        let form = sent(&pushover(""), &long, &long_message);
        assert_eq!(field(&form, "title").unwrap().chars().count(), 250);
        assert!(field(&form, "message").unwrap().chars().count() <= 1024);
        assert_eq!((field(&form, "url"), field(&form, "url_title")), (None, None), "a cut address leads nowhere");

        let row = Field { name: "Release".to_owned(), value: "1.2\n3".to_owned() };
        let with_fields = Message { fields: vec![row.clone(); 100], ..long_message };
        let form = sent(&pushover(""), &long, &with_fields);
        let message = field(&form, "message").unwrap();
        assert!(message.encode_utf16().count() <= 1024 && message.contains("…\nRelease: 1.2 3\n"), "{message}");

        let bare = Normalized { event: "new_thing.happened".into(), ..Normalized::default() };
        let blank = Message { title: "\u{0}".to_owned(), text: " \n".to_owned(), ..Message::of(&bare, "") };
        let form = sent(&pushover(""), &bare, &blank);
        assert_eq!((field(&form, "title"), field(&form, "message")), (None, Some("new_thing.happened")));
        let short = Message { text: "boom".to_owned(), fields: vec![row], ..blank };
        assert_eq!(field(&sent(&pushover(""), &bare, &short), "message"), Some("boom\nRelease: 1.2 3"));
    }

    proptest! {
        #[test]
        fn whatever_is_said_makes_a_message_that_pushover_takes(
            event in any::<String>(), title in any::<String>(), text in any::<String>(), value in "\\PC{0,600}",
        ) {
            let event = Normalized { event, ..Normalized::default() };
            let fields = vec![Field { name: "Field".to_owned(), value: value.clone() }; 3];
            let message = Message { title, text: format!("{text}{value}"), fields, ..Message::of(&event, "") };
            let form = sent(&pushover("priority = 2"), &event, &message);
            let said = field(&form, "message").unwrap();
            prop_assert!(!is_blank(said) && said.encode_utf16().count() <= 1024);
            prop_assert!(!said.contains(|c: char| c.is_control() && c != '\n'));
            let title = field(&form, "title");
            prop_assert!(title.is_none_or(|title| !title.is_empty() && title.encode_utf16().count() <= 250));
        }
    }

    #[test]
    fn an_answer_means_what_pushover_says() {
        let now = accepted_at();
        let answer = |status: u16, headers: &[(&str, &str)], body: &'static str| {
            let answer = http::Response::builder().status(status);
            let answer = headers.iter().fold(answer, |answer, (name, value)| answer.header(*name, *value));
            answer.body(Bytes::from_static(body.as_bytes())).unwrap()
        };
        let retry = Next::Retry { not_before: None };
        let later = Next::Retry { not_before: Timestamp::from_second(1_700_000_060).ok() };
        let pause = |until: Option<i64>| Next::Pause { until: until.and_then(|s| Timestamp::from_second(s).ok()) };
        let cases = [
            ("sent", answer(200, &[], r#"{"status":1,"request":"a"}"#), None),
            (
                "200, and yet refused",
                answer(200, &[], r#"{"status":0,"errors":["no active devices to send to"]}"#),
                Some((Next::GiveUp, "refused with 200: no active devices to send to")),
            ),
            (
                "a refused user",
                answer(400, &[], r#"{"user":"invalid","errors":["user identifier is invalid"],"status":0}"#),
                Some((pause(None), "refuses everything with 400: user identifier is invalid")),
            ),
            (
                "a refused application",
                answer(400, &[], r#"{"token":"invalid","errors":["application token is invalid"],"status":0}"#),
                Some((pause(None), "refuses everything with 400: application token is invalid")),
            ),
            (
                "a refused message",
                answer(400, &[], r#"{"message":"cannot be blank","errors":["message cannot be blank"],"status":0}"#),
                Some((Next::GiveUp, "refused with 400: message cannot be blank")),
            ),
            ("a page", answer(404, &[], "<html>"), Some((Next::GiveUp, "refused with 404: no reason given"))),
            (
                "quota",
                answer(429, &[("x-limit-app-reset", "1700006400")], r#"{"token":"invalid","status":0}"#),
                Some((pause(Some(1_700_006_400)), "quota used up until 2023-11-15T00:00:00Z")),
            ),
            (
                "quota without a reset",
                answer(429, &[], ""),
                Some((pause(None), "quota used up until the first of next month")),
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
            let kept_back = judge_cancelled(&answer, now).err().map(|error| error.next());
            let expected = judged.map(|(next, _)| next).filter(|next| *next != Next::GiveUp || name == "a redirect");
            assert_eq!(kept_back, expected, "{name}, of a cancelling");
        }
    }
}

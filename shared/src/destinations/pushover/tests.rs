#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::destinations::kind::Thread;
use crate::destinations::testing::{calls, calls_of, carried_out, rendered, rendered_in, samples, settings};
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

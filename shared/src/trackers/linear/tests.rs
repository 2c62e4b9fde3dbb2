#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use simulator::{Fault, Linear as StandIn};

use super::*;
use crate::destinations::settings::Settings;
use crate::trackers::testing::{Plugged, hostile, new_ticket, settings};

const ADA: &str = "b8f2d6a0-3c4e-4f5a-8b6c-7d8e9f0a1b2c";
const PAGE: &str = "https://linear.app/acme/issue/ENG-1/slug";

fn of(token: &str) -> Settings {
    settings("linear", "token = \"secret:t\"", [("t", token)])
}

fn values(choices: Vec<Choice>) -> Vec<String> {
    choices.into_iter().map(|choice| choice.value).collect()
}

#[tokio::test]
async fn a_ticket_is_opened_found_read_said_something_in_closed_and_opened_again() {
    let linear = StandIn::default();
    let wire = Plugged(linear.router());
    for (token, at, letter) in [(linear.api_key(), 0, 'a'), (linear.oauth_token(), 1, 'b')] {
        let settings = of(token);
        let api = wire.api(&settings);
        let mut new = new_ticket("eng", "It broke", "First line.\nSecond line.", letter);
        new.labels = vec!["Bug".into(), "backend".into(), "Bug".into()];
        new.assignee = Some(ADA.to_owned());
        assert_eq!(Linear.find(&api, "ENG", &new.marker).await.unwrap(), None);
        let ticket = Linear.open(&api, &new).await.unwrap();
        let identifier = format!("ENG-{}", at + 1);
        assert_eq!((&*ticket.project, &*ticket.identifier), ("ENG", &*identifier));
        let kept = &linear.tickets()[at];
        assert_eq!(
            (&*kept.title, kept.assignee.as_deref(), &*kept.labels.join(" ")),
            ("It broke", Some(ADA), "Bug backend")
        );
        let text = format!(
            "```\nFirst line.\nSecond line.\n```\n\n[See the issue in Sentry](https://sentry.example/issues/7/)\n\n{}",
            new.marker
        );
        assert_eq!(kept.text, text);
        assert_eq!(kept.links, ["https://sentry.example/issues/7/"]);

        assert_eq!(Linear.find(&api, "ENG", &new.marker).await.unwrap(), Some(ticket.clone()));
        assert_eq!(Linear.find(&api, "DES", &new.marker).await.unwrap(), None);
        for id in [
            &identifier[4..],
            &format!("#{}", &identifier[4..]),
            &identifier,
            &format!(" {} ", identifier.to_lowercase()),
            &ticket.url,
        ] {
            assert_eq!(Linear.read(&api, "ENG", id).await.unwrap(), ticket, "{id}");
        }
        Linear.comment(&api, &ticket, "Seen again.").await.unwrap();
        Linear.comment(&api, &ticket, "\u{200b}").await.unwrap();
        assert_eq!(linear.tickets()[at].comments, ["Seen again.", "```\n(no text)\n```"]);

        let before = linear.transitions();
        // By the id, and by the identifier where only that is known.
        for known in [ticket.clone(), Ticket { id: String::new(), ..ticket.clone() }] {
            Linear.close(&api, &known).await.unwrap();
            assert_eq!(linear.tickets()[at].state, "completed");
        }
        assert_eq!(linear.transitions(), before + 1, "one that is closed stays so");
        for _ in 0..2 {
            Linear.reopen(&api, &ticket).await.unwrap();
        }
        assert_eq!((&*linear.tickets()[at].state, linear.transitions()), ("unstarted", before + 2));
    }
}

#[tokio::test]
async fn what_a_person_picks_from_is_listed() {
    let linear = StandIn::default();
    let wire = Plugged(linear.router());
    let settings = of(linear.api_key());
    let api = wire.api(&settings);
    assert_eq!(values(Linear.projects(&api, "").await.unwrap()), ["ENG", "DES"]);
    assert_eq!(Linear.projects(&api, "sign").await.unwrap(), [Choice::new("DES", "Design (DES)")]);
    assert_eq!(values(Linear.projects(&api, "des").await.unwrap()), ["DES"]);
    assert_eq!(Linear.assignees(&api, "ENG", "LOVE").await.unwrap(), [Choice::new(ADA, "Ada Lovelace")]);
    assert_eq!(Linear.assignees(&api, "ENG", "").await.unwrap().len(), 2, "nobody who has left");
    // Its own and the workspace's; groups are none.
    assert_eq!(values(Linear.labels(&api, "ENG", "").await.unwrap()), ["Bug", "backend"]);
    assert_eq!(values(Linear.labels(&api, "ENG", "BACK").await.unwrap()), ["backend"]);

    let titles = ["Checkout is slow", "Login is broken", "Nothing \"quoted\" works"];
    for (title, letter) in titles.iter().zip('a'..) {
        Linear.open(&api, &new_ticket("ENG", title, "", letter)).await.unwrap();
    }
    let last = Linear.read(&api, "ENG", "3").await.unwrap();
    Linear.close(&api, &last).await.unwrap();
    let cases: [(&str, &[&str]); 8] = [
        ("", &["ENG-2", "ENG-1", "ENG-3"]),
        ("IS", &["ENG-2", "ENG-1"]),
        ("2", &["ENG-2"]),
        ("eng-1", &["ENG-1"]),
        ("DES-1", &[]),
        ("\"quoted\"", &["ENG-3"]),
        ("\"}) { x", &[]),
        (PAGE, &["ENG-1"]),
    ];
    for (query, expected) in cases {
        assert_eq!(values(Linear.tickets(&api, "ENG", query).await.unwrap()), expected, "{query}");
    }
    assert_eq!(Linear.tickets(&api, "ENG", "check").await.unwrap()[0].label, "ENG-1 Checkout is slow");
}

#[tokio::test]
async fn what_is_refused_is_told_in_a_persons_words() {
    let linear = StandIn::default();
    let wire = Plugged(linear.router());
    let settings = of(linear.api_key());
    let api = wire.api(&settings);
    let error = |result: Result<Ticket, TrackerError>| {
        let error = result.unwrap_err();
        format!("{} {error}", error.status().as_u16())
    };
    let unknown = |what: &str| {
        format!("400 does not know `{what}`, or its token may not see it (404): check the name and the token's rights")
    };
    for project in ["NOPE", "a/b", "A\" OR", ""] {
        assert_eq!(error(Linear.open(&api, &new_ticket(project, "t", "", 'a')).await), unknown(project));
        for listed in [
            Linear.labels(&api, project, "").await,
            Linear.assignees(&api, project, "").await,
            Linear.tickets(&api, project, "").await,
            Linear.tickets(&api, project, "1").await,
        ] {
            assert!(matches!(&listed, Err(TrackerError::NotFound(what)) if what == project), "{project}: {listed:?}");
        }
    }
    Linear.open(&api, &new_ticket("DES", "t", "", 'b')).await.unwrap();
    for id in ["9", "DES-1", "../x", "", "1.0", "+1", "99999999999999999999", "https://evil.test/acme/issue/ENG-1"] {
        assert_eq!(error(Linear.read(&api, "ENG", id).await), unknown(id));
    }
    let with = |labels: &[&str]| NewTicket {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..new_ticket("ENG", "t", "", 'c')
    };
    for label in ["nope", "colours", "Area"] {
        let said = format!("400 refuses this (400): ENG has no label `{label}`: make it there, or leave it out");
        assert_eq!(error(Linear.open(&api, &with(&["Bug", label])).await), said);
    }
    let nobody = NewTicket { assignee: Some("nobody".into()), ..with(&[]) };
    let said = "400 refuses this (400): Entity not found: User - Could not find referenced User.";
    assert_eq!(error(Linear.open(&api, &nobody).await), said);
    let gone = Ticket { project: "ENG".into(), identifier: "ENG-9".into(), id: "9".into(), url: String::new() };
    for done in
        [Linear.close(&api, &gone).await, Linear.reopen(&api, &gone).await, Linear.comment(&api, &gone, "x").await]
    {
        assert!(matches!(&done, Err(TrackerError::NotFound(what)) if what == "ENG-9"), "{done:?}");
    }
    linear.fail_next(1, &Fault::html(503));
    assert_eq!(error(Linear.read(&api, "ENG", "1").await), "502 is in trouble (503): try again in a minute");
    linear.revoke_tokens();
    let renewed = "502 does not know its token (401): its operator must renew it";
    assert_eq!(error(Linear.read(&api, "ENG", "1").await), renewed);
    assert_eq!(linear.tickets().len(), 1);
}

#[tokio::test]
async fn a_ticket_is_opened_once_and_not_over_one_in_the_trash() {
    let linear = StandIn::default();
    let wire = Plugged(linear.router());
    let settings = of(linear.api_key());
    let api = wire.api(&settings);
    let new = new_ticket("ENG", "t", "x", 'a');
    // The first call asks for the team.
    linear.fail_next(1, &Fault::slow(Duration::ZERO));
    linear.fail_next(1, &Fault::lost_answer());
    assert!(matches!(Linear.open(&api, &new).await, Err(TrackerError::Failing { status: 504, .. })));
    let found = Linear.find(&api, "ENG", &new.marker).await.unwrap().unwrap();
    assert_eq!(Linear.open(&api, &new).await.unwrap(), found, "also where nobody looked for it");
    assert_eq!(linear.tickets().len(), 1);
    linear.delete("ENG-1");
    assert_eq!(Linear.find(&api, "ENG", &new.marker).await.unwrap(), None);
    let refused = Linear.open(&api, &new).await.unwrap_err().to_string();
    let said = "refuses this (409): this issue's ticket, ENG-1, was deleted and lies in the trash: restore it there";
    assert_eq!(refused, said);
}

#[tokio::test]
async fn a_hostile_text_is_shown_and_does_nothing() {
    let linear = StandIn::default();
    let wire = Plugged(linear.router());
    let settings = of(linear.api_key());
    let api = wire.api(&settings);
    for (text, letter) in hostile().iter().zip('a'..) {
        let new = new_ticket("ENG", text, text, letter);
        let ticket = Linear.open(&api, &new).await.unwrap_or_else(|error| panic!("{error}: {text:.100}"));
        Linear.comment(&api, &ticket, text).await.unwrap_or_else(|error| panic!("{error}: {text:.100}"));
        let kept = linear.tickets().pop().unwrap();
        assert_eq!(kept.mentions, Vec::<String>::new(), "{text:.100}");
        assert_eq!(kept.links, ["https://sentry.example/issues/7/"], "{text:.100}");
        let end = format!("[See the issue in Sentry](https://sentry.example/issues/7/)\n\n{}", new.marker);
        assert!(kept.text.ends_with(&end), "{text:.100}");
        for text in [&kept.text, &kept.comments[0]] {
            assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:.100}");
            assert!(text.encode_utf16().count() <= text::MAX);
            assert_eq!(markup_of(text), Vec::<String>::new(), "{text:.100}");
        }
    }
    assert!(linear.tickets().iter().any(|ticket| ticket.text.starts_with(&"a".repeat(10_000))), "what fits is not cut");
}

/// What Markdown makes of it, but for paragraphs, blocks of code and the link to Sentry.
fn markup_of(markdown: &str) -> Vec<String> {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    let is_plain = |event: &Event<'_>| match event {
        Event::Text(_) | Event::Start(Tag::Paragraph | Tag::CodeBlock(_)) => true,
        Event::Start(Tag::Link { dest_url, .. }) => &**dest_url == "https://sentry.example/issues/7/",
        Event::End(end) => matches!(end, TagEnd::Paragraph | TagEnd::CodeBlock | TagEnd::Link),
        _ => false,
    };
    let events = Parser::new_ext(markdown, Options::all()).filter(|event| !is_plain(event));
    events.map(|event| format!("{event:?}")).collect()
}

#[test]
fn markdown_is_left_bare_only_where_it_is_none() {
    let block = |text: &str| format!("```\n{text}\n```");
    let cases = [
        ("It's resolved.", "It's resolved.".to_owned()),
        ("1. one", block("1. one")),
        ("    code", block("    code")),
        ("see evil.test now", block("see evil.test now")),
        ("ENG-1", block("ENG-1")),
        ("@ada", block("@\u{200b}ada")),
        ("```\nx\n```", "````\n```\nx\n```\n````".to_owned()),
    ];
    for (text, expected) in cases {
        assert_eq!(text::markdown(text, None, None), expected);
    }
    let linked = text::markdown("", Some("https://a.test/x)(y]?q=1"), None);
    assert_eq!(linked, "[See the issue in Sentry](https://a.test/x%29%28y%5D?q=1)");
    assert_eq!(text::markdown("a", Some("javascript:alert(1)"), None), "a");
}

#[test]
fn a_tickets_id_is_made_from_its_marker() {
    let id = id_of("sentry-switchboard-00");
    assert_eq!(id, id_of("sentry-switchboard-00"));
    assert_ne!(id, id_of("sentry-switchboard-01"));
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 4);
}

#[test]
fn an_answer_means_what_linear_says() {
    let now = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let judged = |status: u16, reset: Option<&str>, body: &str| {
        let builder = http::Response::builder().status(status);
        let builder = reset.into_iter().fold(builder, |builder, at| builder.header("x-ratelimit-requests-reset", at));
        let answer = builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        match answer::judged(&answer, now, "ENG-1") {
            Ok(data) => format!("done {data}"),
            Err(error) => format!("{} {error}", error.status().as_u16()),
        }
    };
    let said = |code: &str, message: &str| {
        format!(r#"{{"errors":[{{"message":"{message}","extensions":{{"code":"{code}"}}}}],"data":null}}"#)
    };
    let cases = [
        (200, None, r#"{"data":{"a":1}}"#.to_owned(), "done {\"a\":1}"),
        (200, None, "<html>".to_owned(), "502 answers what is not understood (no JSON): check its `base_url`"),
        (200, None, "[]".to_owned(), "502 answers what is not understood (no data): check its `base_url`"),
        (
            200,
            None,
            r#"{"errors":7,"data":7}"#.to_owned(),
            "502 answers what is not understood (no data): check its `base_url`",
        ),
        (
            302,
            None,
            String::new(),
            "400 refuses this (302): `ENG-1` has moved: check its name, and the tracker's `base_url`",
        ),
        (404, None, String::new(), "502 answers what is not understood (404, no API): check its `base_url`"),
        (200, None, said("INVALID_INPUT", "a\\u0007b"), "400 refuses this (400): a b"),
        (400, None, said("GRAPHQL_VALIDATION_FAILED", "Odd."), "400 refuses this (400): Odd."),
        (400, None, String::new(), "400 refuses this (400): no reason given"),
        (
            200,
            None,
            r#"{"errors":[{"message":"x","extensions":{"code":"A","userPresentableMessage":"For you."}}]}"#.to_owned(),
            "400 refuses this (400): For you.",
        ),
        (
            200,
            None,
            r#"{"errors":[{"message":"No code."}],"data":null}"#.to_owned(),
            "400 refuses this (400): No code.",
        ),
        (
            200,
            None,
            said("INPUT_ERROR", "Entity not found: Issue - Could not find referenced Issue."),
            "400 does not know `ENG-1`, or its token may not see it (404): check the name and the token's rights",
        ),
        (200, None, said("FORBIDDEN", "Not yours."), "400 does not allow this (403): Not yours."),
        (400, None, said("AUTHENTICATION_ERROR", "x"), "502 does not know its token (401): its operator must renew it"),
        (401, None, String::new(), "502 does not know its token (401): its operator must renew it"),
        (400, None, said("RATELIMITED", "x"), "429 has taken too many requests (429): try again in a minute"),
        (
            400,
            Some("1700000060000"),
            said("RATELIMITED", "x"),
            "429 has taken too many requests (429): try again after 2023-11-14T22:14:20Z",
        ),
        (
            400,
            Some("99999999999999"),
            said("RATELIMITED", "x"),
            "429 has taken too many requests (429): try again in a minute",
        ),
        (200, None, said("INTERNAL_SERVER_ERROR", "x"), "502 is in trouble (500): try again in a minute"),
        (503, None, String::new(), "502 is in trouble (503): try again in a minute"),
    ];
    for (status, reset, body, expected) in cases {
        assert_eq!(judged(status, reset, &body), expected, "{status} {body}");
    }
}

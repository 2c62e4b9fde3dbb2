#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use simulator::{Fault, Jira as StandIn};

use super::*;
use crate::destinations::settings::Settings;
use crate::trackers::testing::{Plugged, hostile, new_ticket, settings};

const ADA: (&str, &str) = ("5b10a2844c20165700ede21g", "ada");

fn cloud(stand_in: &StandIn, lines: &str) -> Settings {
    let lines = format!(
        "url = \"https://acme.atlassian.net/\"\nemail = \"{}\"\ntoken = \"secret:t\"\n{lines}",
        stand_in.email()
    );
    settings("jira", &lines, [("t", stand_in.token())])
}

fn data_center(stand_in: &StandIn, lines: &str) -> Settings {
    let lines = format!("url = \"https://jira.acme.example\"\ntoken = \"secret:t\"\n{lines}");
    settings("jira", &lines, [("t", stand_in.token())])
}

/// Both editions: the stand-in, its settings, and whether it is the cloud's.
fn both() -> [(StandIn, Settings, bool); 2] {
    let (one, other) = (StandIn::cloud(), StandIn::data_center());
    let settings = [cloud(&one, ""), data_center(&other, "")];
    let [first, second] = settings;
    [(one, first, true), (other, second, false)]
}

#[tokio::test]
async fn a_ticket_is_opened_found_read_said_something_in_closed_and_opened_again() {
    for (jira, settings, is_cloud) in both() {
        let wire = Plugged(jira.router());
        let api = wire.api(&settings);
        let ada = if is_cloud { ADA.0 } else { ADA.1 };
        let mut new = new_ticket("OPS", "It broke", "First line.\nSecond line.", 'a');
        new.labels = vec!["needs triage".into(), "backend".into(), "backend".into(), " ".into()];
        new.assignee = Some(ada.to_owned());
        assert_eq!(Jira.find(&api, "OPS", &new.marker).await.unwrap(), None);
        let ticket = Jira.open(&api, &new).await.unwrap();
        let page =
            if is_cloud { "https://acme.atlassian.net/browse/OPS-1" } else { "https://jira.acme.example/browse/OPS-1" };
        assert_eq!((&*ticket.project, &*ticket.identifier, &*ticket.url), ("OPS", "OPS-1", page));
        let kept = &jira.tickets()[0];
        assert_eq!((&*kept.title, &*kept.issue_type, kept.assignee.as_deref()), ("It broke", "Task", Some(ada)));
        assert_eq!(kept.labels, [&*new.marker, "needs-triage", "backend"]);
        let text = format!(
            "First line.\nSecond line.\n\nSee the issue in Sentry: https://sentry.example/issues/7/\n\n{}",
            new.marker
        );
        assert_eq!(kept.text, text);
        assert_eq!((kept.links.clone(), kept.mentions.len()), (vec!["https://sentry.example/issues/7/".to_owned()], 0));

        assert_eq!(Jira.find(&api, "OPS", &new.marker).await.unwrap(), Some(ticket.clone()));
        assert_eq!(Jira.find(&api, "WEB", &new.marker).await.unwrap(), None);
        for id in ["1", "#1", "OPS-1", " ops-1 ", page, &format!("{page}?focusedId=7#x")] {
            assert_eq!(Jira.read(&api, "OPS", id).await.unwrap(), ticket, "{id}");
        }
        Jira.comment(&api, &ticket, "Seen again").await.unwrap();
        Jira.comment(&api, &ticket, " ").await.unwrap();
        assert_eq!(
            jira.tickets()[0].comments,
            ["Seen again", if is_cloud { "(no text)" } else { "{noformat}\n(no text)\n{noformat}" }]
        );

        for _ in 0..2 {
            Jira.close(&api, &ticket).await.unwrap();
        }
        assert_eq!((&*jira.tickets()[0].state, jira.transitions()), ("Done", 1), "one that is closed stays so");
        for _ in 0..2 {
            Jira.reopen(&api, &ticket).await.unwrap();
        }
        assert_eq!((&*jira.tickets()[0].state, jira.transitions()), ("To Do", 2));
        jira.forbid_done();
        let refused = Jira.close(&api, &ticket).await.unwrap_err();
        assert!(refused.to_string().contains("take OPS-1 to no state of the category Done"), "{refused}");
        jira.delete("OPS-1");
        let gone = Jira.close(&api, &ticket).await.unwrap_err();
        assert!(matches!(&gone, TrackerError::NotFound(what) if what == "OPS-1"), "{gone}");
    }
}

#[tokio::test]
async fn what_a_person_picks_from_is_listed() {
    for (jira, settings, is_cloud) in both() {
        let wire = Plugged(jira.router());
        let api = wire.api(&settings);
        let values = |choices: Vec<Choice>| choices.into_iter().map(|choice| choice.value).collect::<Vec<_>>();
        assert_eq!(Jira.projects(&api, "").await.unwrap().len(), 2);
        assert_eq!(Jira.projects(&api, "shop").await.unwrap(), [Choice::new("WEB", "Web shop (WEB)")]);
        let ada = if is_cloud { ADA.0 } else { ADA.1 };
        assert_eq!(Jira.assignees(&api, "OPS", "love").await.unwrap(), [Choice::new(ada, "Ada Lovelace")]);
        assert_eq!(Jira.assignees(&api, "OPS", "").await.unwrap().len(), 2);

        let titles = ["Checkout is slow", "Login is broken", "Nothing \"quoted\" works"];
        for (title, letter) in titles.iter().zip('a'..) {
            Jira.open(&api, &new_ticket("OPS", title, "", letter)).await.unwrap();
        }
        let first = Jira.read(&api, "OPS", "3").await.unwrap();
        Jira.close(&api, &first).await.unwrap();
        let cases: [(&str, &[&str]); 9] = [
            ("", &["OPS-2", "OPS-1", "OPS-3"]),
            ("is", &["OPS-2", "OPS-1"]),
            ("check", &["OPS-1"]),
            ("2", &["OPS-2"]),
            ("OPS-1", &["OPS-1"]),
            ("WEB-1", &[]),
            ("\"quoted\" AND project = WEB", &[]),
            ("\"quoted\"", &["OPS-3"]),
            ("*?\\\" ~", &[]),
        ];
        for (query, expected) in cases {
            assert_eq!(values(Jira.tickets(&api, "OPS", query).await.unwrap()), expected, "{query}");
        }
        assert_eq!(Jira.tickets(&api, "OPS", "check").await.unwrap()[0].label, "OPS-1 Checkout is slow");
        // Over several pages, and without those that only say which issue it is.
        let labels = Jira.labels(&api, "OPS", "").await.unwrap();
        assert_eq!(values(labels), if is_cloud { vec!["backend", "urgent"] } else { vec![] });
    }
}

#[tokio::test]
async fn what_is_refused_is_told_in_a_persons_words() {
    for (jira, _, is_cloud) in both() {
        let of = |lines| if is_cloud { cloud(&jira, lines) } else { data_center(&jira, lines) };
        let wire = Plugged(jira.router());
        let good = of("");
        let api = wire.api(&good);
        let error = |result: Result<Ticket, TrackerError>| {
            let error = result.unwrap_err();
            format!("{} {error}", error.status().as_u16())
        };
        let unknown = |what: &str| {
            format!(
                "400 does not know `{what}`, or its token may not see it (404): check the name and the token's rights"
            )
        };
        assert_eq!(error(Jira.open(&api, &new_ticket("NOPE", "t", "", 'a')).await), unknown("NOPE"));
        assert_eq!(error(Jira.open(&api, &new_ticket("A\" OR", "t", "", 'a')).await), unknown("A\" OR"));
        assert_eq!(error(Jira.read(&api, "OPS", "99").await), unknown("OPS-99"));
        Jira.open(&api, &new_ticket("WEB", "t", "", 'b')).await.unwrap();
        let elsewhere = "https://evil.test/browse/WEB-1";
        for (id, told) in
            [("WEB-1", "WEB-1"), ("../x", "../x"), ("", ""), (elsewhere, elsewhere), ("OPS-1/../2", "OPS-1/../2")]
        {
            assert_eq!(error(Jira.read(&api, "OPS", id).await), unknown(told), "{id}");
        }
        for project in ["NOPE", "../..", ""] {
            assert!(matches!(Jira.tickets(&api, project, "").await, Err(TrackerError::NotFound(_))), "{project}");
            assert!(matches!(Jira.assignees(&api, project, "").await, Err(TrackerError::NotFound(_))), "{project}");
            assert!(matches!(Jira.find(&api, project, "m").await, Err(TrackerError::NotFound(_))), "{project}");
        }
        let nobody = NewTicket { assignee: Some("nobody".into()), ..new_ticket("OPS", "t", "", 'c') };
        let refused = "400 refuses this (400): assignee: User 'nobody' cannot be assigned issues.";
        assert_eq!(error(Jira.open(&api, &nobody).await), refused);

        let odd = of("issue_type = \"Story\"");
        let refused = error(Jira.open(&wire.api(&odd), &new_ticket("OPS", "t", "", 'c')).await);
        let said = "400 refuses this (400): OPS takes no issue of the type `Story`: its operator must set `issue_type` to one of Task, Bug";
        assert_eq!(refused, said);

        jira.fail_next(1, &Fault::retry_after(429, Duration::from_mins(1)));
        let throttled = "429 has taken too many requests (429): try again after 2023-11-14T22:14:20Z";
        assert_eq!(error(Jira.read(&api, "OPS", "1").await), throttled);
        jira.fail_next(1, &Fault::html(503));
        assert_eq!(error(Jira.read(&api, "OPS", "1").await), "502 is in trouble (503): try again in a minute");
        jira.revoke_token();
        let renewed = "502 does not know its token (401): its operator must renew it";
        assert_eq!(error(Jira.read(&api, "OPS", "1").await), renewed);
        assert_eq!(jira.tickets().len(), 1);
    }
}

#[tokio::test]
async fn without_labels_on_the_screen_the_marker_in_the_text_is_enough() {
    for (jira, settings, _) in both() {
        jira.take_labels_off_the_screen();
        let wire = Plugged(jira.router());
        let api = wire.api(&settings);
        let new = new_ticket("OPS", "t", "x", 'a');
        let ticket = Jira.open(&api, &new).await.unwrap();
        assert_eq!(Jira.find(&api, "OPS", &new.marker).await.unwrap(), Some(ticket));
        assert_eq!(Jira.find(&api, "OPS", &new_ticket("OPS", "", "", 'b').marker).await.unwrap(), None);
        let asked = NewTicket { labels: vec!["urgent".into()], ..new };
        let refused = Jira.open(&api, &asked).await.unwrap_err().to_string();
        assert!(refused.contains("labels: Field 'labels' cannot be set"), "{refused}");
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_one_ticket_that_is_found() {
    for (jira, settings, _) in both() {
        let wire = Plugged(jira.router());
        let api = wire.api(&settings);
        let new = new_ticket("OPS", "t", "x", 'a');
        jira.fail_next(1, &Fault::lost_answer());
        assert!(matches!(Jira.open(&api, &new).await, Err(TrackerError::Failing { status: 504, .. })));
        assert_eq!(Jira.find(&api, "OPS", &new.marker).await.unwrap().unwrap().identifier, "OPS-1");
    }
}

#[tokio::test]
async fn a_ticket_of_the_cloud_is_found_before_the_search_knows_it() {
    for (jira, settings, is_cloud) in both() {
        let wire = Plugged(jira.router());
        let api = wire.api(&settings);
        let new = |letter: char| new_ticket("OPS", "t", "x", letter);
        let found = async |letter: char| Jira.find(&api, "OPS", &new(letter).marker).await.unwrap();
        for begin in [true, false] {
            jira.let_search_lag();
            let letters = if begin { ['a', 'b'] } else { ['c', 'd'] };
            for letter in letters {
                Jira.open(&api, &new(letter)).await.unwrap();
                assert_eq!(found(letter).await.is_some(), is_cloud, "{letter}");
            }
            assert_eq!(found('e').await, None, "nobody has opened that one");
            jira.index();
            assert!(found(letters[0]).await.is_some() && found(letters[1]).await.is_some());
        }
        Jira.open(&api, &new_ticket("WEB", "t", "x", 'f')).await.unwrap();
        assert_eq!(found('f').await, None, "another project's");
    }
}

#[tokio::test]
async fn where_nobody_may_look_behind_the_search_the_search_must_do() {
    for status in [403, 404, 410] {
        let jira = StandIn::cloud();
        let refused = axum::routing::post(move || async move { http::StatusCode::from_u16(status).unwrap() });
        let way = axum::Router::new().route("/rest/api/3/issue/bulkfetch", refused).fallback_service(jira.router());
        let (wire, settings) = (Plugged(way), cloud(&jira, ""));
        let api = wire.api(&settings);
        let new = new_ticket("OPS", "t", "x", 'a');
        assert_eq!(Jira.find(&api, "OPS", &new.marker).await.unwrap(), None, "{status}");
        Jira.open(&api, &new).await.unwrap();
        assert!(Jira.find(&api, "OPS", &new.marker).await.unwrap().is_some(), "{status}");
    }
}

#[tokio::test]
async fn a_hostile_text_is_shown_and_does_nothing() {
    for (jira, settings, is_cloud) in both() {
        let wire = Plugged(jira.router());
        let api = wire.api(&settings);
        for (text, letter) in hostile().iter().zip('a'..) {
            let new = new_ticket("OPS", text, text, letter);
            let ticket = Jira.open(&api, &new).await.unwrap_or_else(|error| panic!("{error}: {text:.100}"));
            Jira.comment(&api, &ticket, text).await.unwrap_or_else(|error| panic!("{error}: {text:.100}"));
            let kept = jira.tickets().pop().unwrap();
            assert_eq!(kept.mentions, Vec::<String>::new(), "{text:.100}");
            assert_eq!(kept.links, ["https://sentry.example/issues/7/"], "{text:.100}");
            assert!(kept.text.ends_with(&format!("https://sentry.example/issues/7/\n\n{}", new.marker)), "{text:.100}");
            let shown = [&kept.text, &kept.comments[0]];
            assert!(
                shown.iter().all(|text| !text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'))
            );
            if !is_cloud {
                for text in shown {
                    assert_eq!(text.to_lowercase().matches("{noformat}").count() % 2, 0, "{text:.100}");
                    let outside: String = text.split("{noformat}").step_by(2).collect();
                    let outside = outside.replace("Sentry: https://sentry.example/issues/7/", "").replace('-', "");
                    let is_bare = |c: char| c.is_alphanumeric() || " \n.,'".contains(c);
                    assert!(outside.chars().all(is_bare), "{outside:.200}");
                }
            }
        }
        let long =
            jira.tickets().into_iter().find(|ticket| ticket.text.starts_with("aaa") || ticket.text.contains("\naaa"));
        assert!(long.unwrap().text.contains(&"a".repeat(10_000)), "what fits is not cut");
    }
}

#[test]
fn wiki_markup_is_left_bare_only_where_it_is_none() {
    let block = |text: &str| format!("{{noformat}}\n{text}\n{{noformat}}");
    let cases = [
        ("It's resolved.", "It's resolved.".to_owned()),
        ("Zeile eins,\nZeile zwei.", "Zeile eins,\nZeile zwei.".to_owned()),
        ("h1. big", block("h1. big")),
        ("a\nbq. quoted", block("a\nbq. quoted")),
        ("see evil.test now", block("see evil.test now")),
        ("a-b OPS-1", block("a-b OPS-1")),
        (":) (!)", block(":) (!)")),
        ("[~ada]", block("[\u{200b}~ada]")),
        ("{NOFORMAT}*x*", block("{\u{200b}NOFORMAT}*x*")),
    ];
    for (text, expected) in cases {
        assert_eq!(text::markup(text, None, None), expected);
    }
    for link in ["javascript:alert(1)", "https://a b", "https:///x", "https://ä.test/", "x"] {
        assert_eq!(text::markup("a", Some(link), None), "a", "{link}");
    }
    let linked = text::markup("", Some("https://a.test/x]|{y}?q=*"), None);
    assert_eq!(linked, "See the issue in Sentry: https://a.test/x%5D%7C%7By%7D?q=%2A");
}

#[test]
fn an_answer_means_what_jira_says() {
    let judged = |status: u16, body: &'static str| {
        let answer = http::Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap();
        let judged = site::judged(&answer, jiff::Timestamp::UNIX_EPOCH, "OPS");
        match judged.and_then(|said| said.map_err(|refusal| refusal.error)) {
            Ok(said) => format!("done {said}"),
            Err(error) => format!("{} {error}", error.status().as_u16()),
        }
    };
    let cases = [
        (200, "{}", "done {}"),
        (204, "", "done null"),
        (200, "<html>", "502 answers what is not understood (no JSON): check its `base_url`"),
        (302, "", "400 refuses this (302): `OPS` has moved: check its name, and the tracker's `base_url`"),
        (400, r#"{"errorMessages":["a\u0007b"],"errors":{"b":"c"}}"#, "400 refuses this (400): a b b: c"),
        (400, "<html>", "400 refuses this (400): no reason given"),
        (401, "", "502 does not know its token (401): its operator must renew it"),
        (403, r#"{"message":"No."}"#, "400 does not allow this (403): No."),
        (404, "", "400 does not know `OPS`, or its token may not see it (404): check the name and the token's rights"),
        (429, "", "429 has taken too many requests (429): try again in a minute"),
        (500, "", "502 is in trouble (500): try again in a minute"),
    ];
    for (status, body, expected) in cases {
        assert_eq!(judged(status, body), expected, "{body}");
    }
}

#[tokio::test]
async fn settings_that_lead_nowhere_are_told() {
    let cases = [
        ("url = \"acme.atlassian.net\"", "t", "is not configured: its `url` is no address that begins with https://"),
        (
            "url = \"https://a.test/jira\"",
            "a\nb",
            "is not configured: its `token` holds what no token has, like a line break",
        ),
    ];
    let jira = StandIn::cloud();
    let wire = Plugged(jira.router());
    for (line, token, expected) in cases {
        let settings = settings("jira", &format!("{line}\ntoken = \"secret:t\""), [("t", token)]);
        let error = Jira.projects(&wire.api(&settings), "").await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn json_of_another_shape_is_told_or_an_empty_list_and_no_panic() {
    for body in ["null", "[]", "[[]]", "{}", "7", r#"{"values":7,"issues":7,"errors":[]}"#] {
        let answer = move || async move { ([("content-type", "application/json")], body) };
        let wire = Plugged(axum::Router::new().fallback(answer));
        let stand_in = StandIn::cloud();
        for settings in [cloud(&stand_in, ""), data_center(&stand_in, "")] {
            let api = wire.api(&settings);
            assert!(Jira.projects(&api, "").await.unwrap().is_empty());
            assert!(Jira.labels(&api, "OPS", "").await.unwrap().is_empty());
            assert!(Jira.assignees(&api, "OPS", "").await.unwrap().is_empty());
            assert!(matches!(Jira.tickets(&api, "OPS", "").await, Err(TrackerError::NotUnderstood(_))), "{body}");
            assert!(Jira.read(&api, "OPS", "1").await.is_err());
            let opened = Jira.open(&api, &new_ticket("OPS", "t", "", 'a')).await;
            assert!(matches!(opened, Err(TrackerError::NotUnderstood(_))), "{body}");
        }
    }
}

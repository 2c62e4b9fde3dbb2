#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::destinations::error::Next;
use crate::destinations::kind::Call;
use crate::destinations::testing::{self, answer};
use crate::ids::{DeliveryId, EventId};

const URL: &str = "https://discord.com/api/webhooks/11/t0ken";
const PAGE: &str = "https://sentry.example/organizations/acme/issues/7/";

fn call_of(url: &str, event: &Normalized, message: &Message, thread: Option<&Thread>) -> Result<Call, DeliveryError> {
    let settings = testing::settings("discord", "url = \"secret:u\"", [("u", url)]);
    let at = testing::accepted_at();
    let delivery = DeliveryId::of(&EventId::of_signature("00"), at, &"d".parse().unwrap());
    let notification = Notification {
        delivery: &delivery,
        event,
        message,
        rule: None,
        thread,
        original: None,
        accepted_at: at,
        now: at,
    };
    Ok(testing::calls_of(render(&settings, &notification)?).remove(0))
}

fn body(call: &Call) -> Value {
    serde_json::from_slice(call.request.body()).unwrap()
}

fn message(title: &str, text: &str) -> Message {
    Message {
        title: title.to_owned(),
        text: text.to_owned(),
        fields: vec![Field { name: "Project".into(), value: title.to_owned() }],
        link: Some(PAGE.to_owned()),
        tone: Tone::Error,
        mention: None,
        priority: None,
    }
}

fn event(name: &str) -> Normalized {
    let (resource, action) = name.split_once('.').unwrap();
    Normalized { event: name.into(), resource: resource.into(), action: action.into(), ..Normalized::default() }
}

#[test]
fn every_kind_of_event_makes_a_message() {
    let mut rendered = String::new();
    for event in testing::samples() {
        let message = Message::of(&event, "https://sentry.example");
        let call = call_of(URL, &event, &message, None).unwrap();
        let body = serde_json::to_string_pretty(&body(&call)).unwrap();
        writeln!(rendered, "{}: {} {}\n{body}", event.event, call.request.method(), call.request.uri()).unwrap();
    }
    insta::assert_snapshot!(rendered);
}

/// The way of one issue, each answer being what Discord would say.
#[test]
fn an_issue_has_one_message_until_it_comes_back() {
    let now = testing::accepted_at();
    let story = [
        event("issue.created"),
        event("issue.assigned"),
        event("comment.created"),
        event("issue.resolved"),
        Normalized { substatus: Some("regressed".into()), ..event("issue.unresolved") },
        event("issue.ignored"),
        event("issue.unresolved"),
        event("event_alert.triggered"),
        event("issue.resolved"),
    ];
    let mut thread: Option<Thread> = None;
    let mut rendered = String::new();
    for (at, event) in story.iter().enumerate() {
        let message = Message { mention: Some("<@&42>".into()), ..message("TypeError: x", "x is undefined") };
        let call = call_of(URL, event, &message, thread.as_ref()).unwrap();
        let posted = format!(r#"{{"id":"{}"}}"#, 100 + at);
        if let Some(learned) = (call.judge)(&answer(200, &[], &posted), now).unwrap() {
            thread = Some(learned);
        }
        let (method, target) = (call.request.method(), call.request.uri().to_string().replace(URL, ""));
        let pings = body(&call)["content"].clone();
        let kept = thread.as_ref().and_then(|thread| thread.get(MESSAGE)).unwrap();
        writeln!(rendered, "{}: {method} {target} pings {pings}, then {kept}", event.event).unwrap();
    }
    insta::assert_snapshot!(rendered, @r#"
    issue.created: POST ?wait=true pings "<@&42>", then 100
    issue.assigned: PATCH /messages/100 pings null, then 100
    comment.created: POST ?wait=true pings "<@&42>", then 100
    issue.resolved: PATCH /messages/100 pings null, then 100
    issue.unresolved: POST ?wait=true pings "<@&42>", then 104
    issue.ignored: PATCH /messages/104 pings null, then 104
    issue.unresolved: PATCH /messages/104 pings null, then 104
    event_alert.triggered: POST ?wait=true pings "<@&42>", then 107
    issue.resolved: PATCH /messages/107 pings null, then 107
    "#);
}

#[test]
fn the_address_keeps_its_thread_and_must_be_a_webhook() {
    let id = Thread::from([(MESSAGE, "77")]);
    let cases = [
        (URL, Ok(("?wait=true", "/messages/77"))),
        ("https://discord.com/api/webhooks/11/t0ken/", Ok(("?wait=true", "/messages/77"))),
        (
            "https://discord.com/api/webhooks/11/t0ken?wait=false&thread_id=5",
            Ok(("?wait=true&thread_id=5", "/messages/77?thread_id=5")),
        ),
        (
            "https://discord.com/api/webhooks/11/t0ken/slack",
            Err("its `url` ends in /slack or /github, which takes other messages than ours: leave that off"),
        ),
        (
            "https://discord.com/channels/11/22",
            Err("its `url` is no webhook of Discord, which is https://discord.com/api/webhooks/ID/TOKEN"),
        ),
    ];
    for (url, expected) in cases {
        let target = |event: &Normalized| {
            let call = call_of(url, event, &message("a", "b"), Some(&id));
            call.map(|call| call.request.uri().to_string()).map_err(|error| error.to_string())
        };
        let expected = expected.map_err(str::to_owned);
        assert_eq!(target(&event("issue.created")), expected.clone().map(|(new, _)| format!("{URL}{new}")), "{url}");
        assert_eq!(target(&event("issue.resolved")), expected.map(|(_, edit)| format!("{URL}{edit}")), "{url}");
    }
    for odd in ["", "../../1", "7/../8", "12a", "７", &"1".repeat(21)] {
        let call = call_of(URL, &event("issue.resolved"), &message("a", "b"), Some(&Thread::from([(MESSAGE, odd)])));
        assert_eq!(call.unwrap().request.method(), "POST", "{odd:?} is no id");
    }
}

#[test]
fn those_whom_the_routes_file_names_are_woken_and_nobody_else() {
    let cases = [
        (None, json!(null), json!({"parse": []})),
        (Some(" "), json!(null), json!({"parse": []})),
        (Some("<@1>"), json!("<@1>"), json!({"parse": [], "users": ["1"]})),
        (Some("<@!1> <@&2>"), json!("<@!1> <@&2>"), json!({"parse": [], "users": ["1"], "roles": ["2"]})),
        (Some("@here"), json!("@here"), json!({"parse": ["everyone"]})),
        (Some("@everyone"), json!("@everyone"), json!({"parse": ["everyone"]})),
        (Some("@oncall"), json!("\\@oncall"), json!({"parse": []})),
        (Some("<@1x>"), json!("\\<\\@1x>"), json!({"parse": []})),
    ];
    let hostile = message("@everyone <@9> <@&9>", "@here <@9>");
    for (mention, content, allowed) in cases {
        let message = Message { mention: mention.map(str::to_owned), ..hostile.clone() };
        let body = body(&call_of(URL, &event("issue.created"), &message, None).unwrap());
        assert_eq!((&body["content"], &body["allowed_mentions"]), (&content, &allowed), "{mention:?}");
    }
    let many = vec!["<@1234567890>"; 200].join(" ");
    let message = Message { mention: Some(many), ..hostile };
    let body = body(&call_of(URL, &event("issue.created"), &message, None).unwrap());
    assert_eq!((&body["content"], &body["allowed_mentions"]), (&json!(null), &json!({"parse": []})), "too many");
}

#[test]
fn hostile_text_is_shown_as_it_is() {
    let cases = [
        ("@everyone", "\\@everyone"),
        (
            "<@1> <@&2> <#3> </ban:4> <t:5:R> <a:x:6> <id:guide>",
            "\\<\\@1> \\<\\@&2> \\<#3> \\</ban\\:4> \\<t\\:5\\:R> \\<a\\:x\\:6> \\<id\\:guide>",
        ),
        ("[x](http://evil.test)", "\\[x\\](http\\://evil.test)"),
        ("**b** __u__ ~~s~~ ||h||", "\\*\\*b\\*\\* \\_\\_u\\_\\_ \\~\\~s\\~\\~ \\|\\|h\\|\\|"),
        ("`c` ```\nfence```", "\\`c\\` \\`\\`\\`\nfence\\`\\`\\`"),
        ("# h\n > q\n- l\n-# s\n1. n", "\\# h\n \\> q\n\\- l\n\\-# s\n1\\. n"),
        ("already \\*escaped\\*", "already \\\\\\*escaped\\\\\\*"),
        (":skull: ok: 12:30", "\\:skull: ok: 12\\:30"),
        ("Type.error - a 1.5 > 1 # x", "Type.error - a 1.5 > 1 # x"),
        ("¯\\_(ツ)_/¯", "¯\\\\\\_(ツ)\\_/¯"),
    ];
    for (text, expected) in cases {
        assert_eq!(escaped(text, 4096), (expected.to_owned(), false), "{text}");
    }
    assert_eq!(escaped("****", 4), ("\\*…".to_owned(), true), "the escape counts, and none is cut in half");
    assert_eq!(escaped("ab👨‍👩‍👧c", 10), ("ab…".to_owned(), true), "nor a family");
    assert_eq!(escaped("**", 4), ("\\*\\*".to_owned(), false));
}

/// What Discord would show of `markdown`, or what it would take for markup.
fn shown(markdown: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut chars = markdown.chars();
    let mut line_is_blank = true;
    while let Some(c) = chars.next() {
        let is_escape = c == '\\';
        let c = if is_escape { chars.next().ok_or("a lone backslash at the end")? } else { c };
        if is_escape && (c.is_ascii_alphanumeric() || c.is_whitespace()) {
            return Err(format!("`\\{c}` is no escape"));
        }
        if !is_escape && ("*_~|`[]<@\\".contains(c) || line_is_blank && "#>-".contains(c)) {
            return Err(format!("{c} in {markdown}"));
        }
        line_is_blank = c == '\n' || line_is_blank && c.is_whitespace();
        text.push(c);
    }
    for literal in ["://", ":x:"] {
        let escaped = markdown.replace("\\:", "");
        if escaped.contains(literal) {
            return Err(format!("{literal} in {markdown}"));
        }
    }
    Ok(text)
}

proptest! {
    #[test]
    fn no_text_becomes_markup_and_none_is_changed(
        text in r"([\\*_~|`<@:#>\[\](). 1-]|https://|:x:|@everyone|[a-z\n]|\PC){0,60}", max in 1usize..80
    ) {
        let text = visible(&text);
        let (markdown, is_cut) = escaped(&text, max);
        prop_assert!(units(&markdown) <= max);
        let shown = shown(&markdown).map_err(TestCaseError::fail)?;
        if is_cut {
            prop_assert!(text.starts_with(shown.trim_end_matches('…').trim_end()) || shown.ends_with('…'));
            prop_assert!(text.starts_with(shown.strip_suffix('…').unwrap()));
        } else {
            prop_assert_eq!(shown, text);
        }
    }
}

/// What an error message may hold.
fn hostile_texts() -> Vec<String> {
    let family = "👨‍👩‍👧‍👦";
    vec![
        String::new(),
        " \n\u{202e}\u{0} ".to_owned(),
        "@everyone <@1> <@&1> <#1>".repeat(2000),
        "*".repeat(1_000_000),
        family.repeat(2000),
        "a\u{301}".repeat(9000),
        format!("a{}", "\u{301}".repeat(9000)),
        "line\n".repeat(9000),
        "\u{202e}gpj.exe [x](http://evil.test) ```".repeat(300),
    ]
}

#[tokio::test]
async fn discord_takes_it_and_wakes_nobody_but_those_meant() {
    let discord = simulator::Discord::default();
    let send = async |call: Call| {
        let answer = discord.router().oneshot(call.request.map(axum::body::Body::from)).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (call.judge)(&http::Response::from_parts(parts, body), testing::accepted_at()).unwrap()
    };
    let url = discord.webhook_url();
    for (at, text) in hostile_texts().iter().enumerate() {
        for mention in [None, Some("<@&42>")] {
            let message = Message { mention: mention.map(str::to_owned), ..message(text, text) };
            let call = call_of(&url, &event("issue.created"), &message, None).unwrap();
            let thread = send(call).await.expect("the message's id");
            let woke = discord.messages().pop().unwrap().woke;
            assert_eq!(woke, mention.map(|_| "42".to_owned()).as_slice(), "text {at}");
            let resolved = Message { tone: Tone::Resolved, ..message };
            send(call_of(&url, &event("issue.resolved"), &resolved, Some(&thread)).unwrap()).await;
            let message = discord.messages().pop().unwrap();
            assert_eq!((message.edits, &message.embeds[0]["color"]), (1, &json!(color(Tone::Resolved))), "text {at}");
        }
    }
    for event in testing::samples() {
        let message = Message::of(&event, "https://sentry.example");
        send(call_of(&url, &event, &message, None).unwrap()).await;
        assert!(discord.messages().pop().unwrap().woke.is_empty(), "{}", event.event);
    }
}

#[test]
fn whatever_it_says_it_fits_and_is_not_empty() {
    for text in &hostile_texts() {
        for count in [0, 3, 40] {
            let value: String = text.chars().take(5000).collect();
            let field = Field { name: value.clone(), value };
            let message = Message { fields: vec![field; count], ..message(text, text) };
            let body = body(&call_of(URL, &event("issue.created"), &message, None).unwrap());
            let embed = &body["embeds"][0];
            let size = |text: &Value| text.as_str().map_or(0, |text| text.encode_utf16().count());
            let fields = embed["fields"].as_array().cloned().unwrap_or_default();
            assert!((1..=256).contains(&size(&embed["title"])) && size(&embed["description"]) <= 4096);
            assert!(fields.len() <= 25);
            for field in &fields {
                assert!((1..=256).contains(&size(&field["name"])) && (1..=1024).contains(&size(&field["value"])));
                shown(field["value"].as_str().unwrap()).unwrap();
            }
            let in_fields: usize = fields.iter().map(|field| size(&field["name"]) + size(&field["value"])).sum();
            let all = in_fields + size(&embed["title"]) + size(&embed["description"]) + size(&embed["footer"]["text"]);
            assert!(all <= 6000, "{all}");
            shown(embed["title"].as_str().unwrap()).unwrap();
            let description = embed["description"].as_str().unwrap_or_default();
            let (own, rest) = description.split_once("\n[The rest").unwrap_or((description, ""));
            shown(own).unwrap();
            assert_eq!(own.ends_with('…'), !rest.is_empty(), "what is cut has a link to the rest");
            assert_eq!((&body["content"], &body["allowed_mentions"]), (&json!(null), &json!({"parse": []})));
            assert!(!body.to_string().contains('\u{202e}'));
        }
    }
}

#[test]
fn a_link_cannot_end_early_and_one_too_long_is_left_out() {
    let with = |link: String| Message { link: Some(link), ..message("a", &"b".repeat(5000)) };
    let body_of = |message| body(&call_of(URL, &event("issue.created"), &message, None).unwrap());
    let odd = body_of(with("https://sentry.example/?q=(a)<b>".to_owned()));
    let text = odd["embeds"][0]["description"].as_str().unwrap();
    assert!(text.ends_with("…\n[The rest is in Sentry](https://sentry.example/?q=%28a%29%3Cb%3E)"), "{text}");
    let long = body_of(with(format!("https://sentry.example/{}", "a".repeat(3000))));
    assert_eq!(long["embeds"][0]["url"], json!(null));
}

#[test]
fn an_answer_means_what_discord_says() {
    let now = testing::accepted_at();
    let after = |ms: i64| Next::Retry { not_before: Timestamp::from_millisecond(1_700_000_000_000 + ms).ok() };
    let retry = Next::Retry { not_before: None };
    let pause = Next::Pause { until: None };
    let unknown_message = answer(404, &[], r#"{"message":"Unknown Message","code":10008}"#);
    let unknown_webhook = answer(404, &[], r#"{"message":"Unknown Webhook","code":10015}"#);
    let bad_token = answer(401, &[], r#"{"message":"Invalid Webhook Token","code":50027}"#);
    let archived = answer(400, &[], r#"{"message":"Thread is archived","code":50083}"#);
    let form = answer(
        400,
        &[],
        r#"{"message":"Invalid Form Body","code":50035,"errors":{"embeds":{"0":{"title":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 256 or fewer in length."}]}}}}}"#,
    );
    let limited = |body| answer(429, &[("retry-after", "2")], body);
    let cases: Vec<(&str, Judge, _, Next, &str)> = vec![
        ("gone, on a change", judge_edited, unknown_message.clone(), Next::Anew, "the message it belongs to is gone"),
        ("archived", judge_edited, archived, Next::Anew, "the message it belongs to is gone"),
        ("gone", judge_posted, unknown_message, pause, "refuses everything with 404: Unknown Message (code 10008)"),
        ("deleted", judge_edited, unknown_webhook, pause, "refuses everything with 404: Unknown Webhook (code 10015)"),
        ("token", judge_by_code, bad_token, pause, "refuses everything with 401: Invalid Webhook Token (code 50027)"),
        ("forbidden", judge_posted, answer(403, &[], ""), pause, "refuses everything with 403: no reason given"),
        (
            "a forum",
            judge_posted,
            answer(
                400,
                &[],
                r#"{"message":"Webhooks posted to forum channels must have a thread_name or thread_id","code":220001}"#,
            ),
            pause,
            "refuses everything with 400: Webhooks posted to forum channels must have a thread_name or thread_id (code 220001)",
        ),
        (
            "a bad message",
            judge_posted,
            form,
            Next::GiveUp,
            "refused with 400: Invalid Form Body (code 50035): embeds.0.title: Must be 256 or fewer in length.",
        ),
        ("limited", judge_posted, limited(r#"{"retry_after":2.5,"global":false}"#), after(2500), "rate limited"),
        ("limited, less exact", judge_posted, limited(r#"{"retry_after":1.2}"#), after(2000), "rate limited"),
        ("limited, by the proxy", judge_edited, limited("<html>"), after(2000), "rate limited"),
        ("limited, oddly", judge_posted, limited(r#"{"retry_after":-1e300}"#), after(2000), "rate limited"),
        ("their trouble", judge_posted, answer(502, &[], "<html>"), retry, "failed with 502"),
        (
            "a redirect",
            judge_posted,
            answer(301, &[], ""),
            Next::GiveUp,
            "redirects with 301, which is not followed: check the address",
        ),
    ];
    for (name, judge, answer, next, text) in cases {
        let error = judge(&answer, now).unwrap_err();
        assert_eq!((error.next(), error.to_string().as_str()), (next, text), "{name}");
    }
    for (judge, body, learned) in [
        (judge_posted as Judge, r#"{"id":"123","content":""}"#, Some(Thread::from([(MESSAGE, "123")]))),
        (judge_posted, r#"{"id":"../1"}"#, None),
        (judge_posted, "", None),
        (judge_by_code, r#"{"id":"123"}"#, None),
        (judge_edited, r#"{"id":"123"}"#, None),
    ] {
        assert_eq!(judge(&answer(200, &[], body), now).unwrap(), learned, "{body}");
    }
}

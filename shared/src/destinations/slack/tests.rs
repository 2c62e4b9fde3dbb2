#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use proptest::prelude::*;
use simulator::Slack;

use super::*;
use crate::destinations::error::Next;
use crate::destinations::kind::Thread;
use crate::destinations::testing::{accepted_at, calls_of, carried_out, samples, settings};
use crate::ids::{DeliveryId, EventId};
use crate::message::{Field, Message, Tone};

const URL: &str = "https://hooks.slack.com/services/T0/B0/secretpart";
const TOKEN: &str = "xoxb-secret-token";
const LINK: &str = "https://sentry.example/organizations/acme/issues/7/";

fn webhook() -> Settings {
    settings("slack", "url = \"secret:u\"", [("u", URL)])
}

fn bot(channel: &str, more: &str) -> Settings {
    settings("slack", &format!("bot_token = \"secret:t\"\nchannel = \"{channel}\"\n{more}"), [("t", TOKEN)])
}

fn thread() -> Thread {
    Thread::from([("channel", "C0000000001"), ("ts", "1503435956.000247")])
}

fn action(settings: &Settings, event: &Normalized, message: &Message, thread: Option<&Thread>) -> Vec<Call> {
    let delivery = DeliveryId::of(&EventId::of_signature("00"), accepted_at(), &"d".parse().unwrap());
    let (original, accepted_at) = (None, accepted_at());
    let notification = Notification {
        delivery: &delivery,
        event,
        message,
        rule: None,
        thread,
        original,
        accepted_at,
        now: accepted_at,
    };
    calls_of((KIND.render)(settings, &notification).unwrap())
}

fn default_of(event: &Normalized) -> Message {
    Message::of(event, "https://sentry.example")
}

fn body(call: &Call) -> Value {
    serde_json::from_slice(call.request.body()).unwrap()
}

/// Method, place and text of each call.
fn told(calls: &[Call]) -> Vec<(String, Value, Value)> {
    let of_call = |call: &Call| {
        let body = body(call);
        let place = if body["ts"].is_null() { body["thread_ts"].clone() } else { body["ts"].clone() };
        (call.request.uri().path().trim_start_matches("/api/").to_owned(), body["channel"].clone(), place)
    };
    calls.iter().map(of_call).collect()
}

fn issue(event: &str, status: &str, substatus: Option<&str>) -> Normalized {
    let (resource, action) = event.split_once('.').unwrap();
    Normalized {
        event: event.to_owned(),
        resource: resource.to_owned(),
        action: action.to_owned(),
        organization: Some("acme".to_owned()),
        issue: Some("7".to_owned()),
        title: Some("TypeError: x is undefined".to_owned()),
        value: Some("x is undefined".to_owned()),
        culprit: Some("checkout in pay".to_owned()),
        level: Some("error".to_owned()),
        status: Some(status.to_owned()),
        substatus: substatus.map(str::to_owned),
        ..Normalized::default()
    }
}

#[test]
fn every_kind_of_event_makes_a_message() {
    let mut rendered = String::new();
    for event in samples() {
        let [call] = &*action(&webhook(), &event, &default_of(&event), None) else { panic!("one call") };
        assert_eq!(call.request.uri(), URL);
        writeln!(rendered, "{}\n{}", event.event, serde_json::to_string_pretty(&body(call)).unwrap()).unwrap();
    }
    insta::assert_snapshot!(rendered);
}

#[test]
fn an_issue_is_one_thread_and_its_regression_another() {
    let assigned =
        Normalized { assignee: Some("Ada Lovelace".to_owned()), ..issue("issue.assigned", "unresolved", None) };
    let story = [
        (issue("issue.created", "unresolved", Some("new")), None),
        (assigned, Some(thread())),
        (issue("issue.resolved", "resolved", None), Some(thread())),
        (issue("issue.unresolved", "unresolved", Some("regressed")), Some(thread())),
    ];
    let mut rendered = String::new();
    for (event, thread) in story {
        writeln!(rendered, "# {}", event.event).unwrap();
        for call in action(&bot("#alerts", ""), &event, &default_of(&event), thread.as_ref()) {
            writeln!(rendered, "POST {}", call.request.uri()).unwrap();
            writeln!(rendered, "{}", serde_json::to_string_pretty(&body(&call)).unwrap()).unwrap();
        }
    }
    insta::assert_snapshot!(rendered);
}

#[test]
fn what_changes_an_issue_changes_its_message_and_is_told_below_it() {
    let (post, change) = ("chat.postMessage", "chat.update");
    let (id, ts) = (json!("C0000000001"), json!("1503435956.000247"));
    let anew = vec![(post.to_owned(), json!("#alerts"), Value::Null)];
    let below = vec![(post.to_owned(), id.clone(), ts.clone())];
    let by_change = vec![(change.to_owned(), id.clone(), ts.clone()), (post.to_owned(), id, ts)];
    let cases = [
        ("issue.resolved", "resolved", None, &by_change),
        ("issue.ignored", "ignored", None, &by_change),
        ("issue.assigned", "unresolved", None, &by_change),
        ("issue.unresolved", "unresolved", Some("ongoing"), &by_change),
        ("issue.unresolved", "unresolved", Some("escalating"), &by_change),
        ("issue.unresolved", "unresolved", Some("regressed"), &anew),
        ("issue.created", "unresolved", Some("new"), &below),
        ("event_alert.triggered", "unresolved", None, &below),
        ("comment.created", "unresolved", None, &below),
        ("error.created", "unresolved", None, &below),
    ];
    for (name, status, substatus, expected) in cases {
        let event = issue(name, status, substatus);
        let message = default_of(&event);
        let settings = bot("#alerts", "");
        assert_eq!(&told(&action(&settings, &event, &message, Some(&thread()))), expected, "{name} {substatus:?}");
        assert_eq!(told(&action(&settings, &event, &message, None)), anew, "{name} without a thread");
    }
}

#[test]
fn a_thread_stays_behind_when_its_destination_moves() {
    let event = issue("issue.resolved", "resolved", None);
    let cases = [("C0000000001", 2), ("#elsewhere", 2), ("alerts", 2), ("C0000000009", 1)];
    for (channel, calls) in cases {
        let made = action(&bot(channel, ""), &event, &default_of(&event), Some(&thread()));
        assert_eq!(made.len(), calls, "{channel}");
    }
    let half = Thread::from([("channel", "C0000000001")]);
    assert_eq!(action(&bot("alerts", ""), &event, &default_of(&event), Some(&half)).len(), 1);
}

#[test]
fn a_changed_message_has_the_colour_of_how_the_issue_stands_and_mentions_nobody() {
    let cases = [
        ("issue.assigned", "unresolved", "#e03e2f", "Unresolved"),
        ("issue.assigned", "resolved", "#2e9d62", "Resolved"),
        ("issue.resolved", "resolved", "#2e9d62", "Resolved"),
        ("issue.ignored", "ignored", "#8a8f98", "Archived"),
    ];
    for (name, status, colour, line) in cases {
        let event = issue(name, status, None);
        let message = Message { mention: Some("<!here>".to_owned()), ..default_of(&event) };
        let calls = action(&bot("#alerts", ""), &event, &message, Some(&thread()));
        let (change, reply) = (body(&calls[0]), body(&calls[1]));
        assert_eq!(change["attachments"][0]["color"], colour, "{name}");
        assert_eq!(change["attachments"][0]["blocks"][1]["elements"][0]["text"], line, "{name}");
        assert!(!change.to_string().contains("<!here>"), "{name}");
        assert!(reply.to_string().contains("<!here>"), "{name}");
        assert_eq!(reply["reply_broadcast"], Value::Null);
    }
}

#[test]
fn secrets_stand_in_the_address_or_in_a_header_that_is_marked() {
    let event = issue("issue.resolved", "resolved", None);
    let calls =
        action(&bot("#alerts", "base_url = \"http://127.0.0.1:9\""), &event, &default_of(&event), Some(&thread()));
    for call in &calls {
        assert!(call.request.headers()[AUTHORIZATION].is_sensitive());
        assert_eq!(call.request.headers()[AUTHORIZATION], format!("Bearer {TOKEN}"));
        assert!(!format!("{:?}", call.request).contains("secret"), "{:?}", call.request);
        assert!(call.request.uri().to_string().starts_with("http://127.0.0.1:9/api/chat."));
    }
    let hook = action(&webhook(), &event, &default_of(&event), None);
    assert!(!body(&hook[0]).to_string().contains("secretpart"));
    let both = settings(
        "slack",
        "url = \"secret:u\"\nbot_token = \"secret:t\"\nchannel = \"alerts\"",
        [("u", URL), ("t", TOKEN)],
    );
    assert_eq!(
        action(&both, &event, &default_of(&event), None)[0].request.uri(),
        "https://slack.com/api/chat.postMessage"
    );
}

#[test]
fn only_slacks_own_notation_mentions() {
    let event = issue("issue.created", "unresolved", None);
    let mentions = ["<!here>", "<!channel>", "<!everyone>", "<@U012AB3CD>", "<@W012AB3CD>", "<!subteam^S012AB3CD>"];
    for mention in mentions {
        let message = Message { mention: Some(mention.to_owned()), ..default_of(&event) };
        let body = body(&action(&webhook(), &event, &message, None)[0]);
        let block = json!({"type": "section", "text": {"type": "mrkdwn", "text": mention}});
        assert_eq!(body["blocks"][0], block);
        assert!(body["text"].as_str().unwrap().starts_with(&format!("{mention} ")), "{body}");
    }
    for odd in ["@here", "U012AB3CD", "<@U1> *all*", "<@U1|<!here>>", "<http://a.test|a>", "<!here", "<@>"] {
        let message = Message { mention: Some(odd.to_owned()), ..default_of(&event) };
        let body = body(&action(&webhook(), &event, &message, None)[0]);
        let text = format!("(not a mention: {odd})");
        assert_eq!(body["blocks"][0]["elements"][0]["elements"][0], json!({"type": "text", "text": text}));
        assert_is_inert(&body, None);
    }
}

/// A bot in the stand-in's workspace.
fn bot_of(slack: &Slack) -> Settings {
    settings("slack", "bot_token = \"secret:t\"\nchannel = \"#alerts\"", [("t", slack.bot_token())])
}

fn hook_of(slack: &Slack) -> Settings {
    let url = format!("https://hooks.slack.com{}", slack.webhook_path());
    settings("slack", "url = \"secret:u\"", [("u", url.as_str())])
}

#[tokio::test]
async fn an_issue_is_one_thread_even_when_each_first_try_failed() {
    let slack = Slack::default();
    let settings = bot_of(&slack);
    let assigned = Normalized { assignee: Some("Ada".to_owned()), ..issue("issue.assigned", "unresolved", None) };
    let steps = [
        (issue("issue.created", "unresolved", Some("new")), "🔴 TypeError: x is undefined", "#e03e2f", 0),
        (assigned, "🔴 Assigned to Ada: TypeError: x is undefined", "#e03e2f", 1),
        (issue("comment.created", "unresolved", None), "🔴 Assigned to Ada: TypeError: x is undefined", "#e03e2f", 2),
        (issue("issue.resolved", "resolved", None), "✅ Resolved: TypeError: x is undefined", "#2e9d62", 3),
    ];
    let mut thread = None;
    for (event, headline, colour, replies) in steps {
        slack.refuse_next("service_unavailable");
        let tries = async |thread: Option<&Thread>| {
            carried_out(action(&settings, &event, &default_of(&event), thread), slack.router()).await
        };
        assert!(matches!(tries(thread.as_ref()).await.unwrap_err().next(), Next::Retry { .. }), "{}", event.event);
        thread = tries(thread.as_ref()).await.unwrap().or(thread);
        let [only] = &*slack.threads("alerts") else { panic!("one thread after {}", event.event) };
        assert_eq!(only.parent.shown.lines().next(), Some(headline));
        assert_eq!((only.parent.colour.as_deref(), only.replies.len()), (Some(colour), replies), "{}", event.event);
    }
    let learned = thread.clone();
    let again = issue("issue.unresolved", "unresolved", Some("regressed"));
    let calls = action(&settings, &again, &default_of(&again), thread.as_ref());
    thread = carried_out(calls, slack.router()).await.unwrap();
    assert!(thread.is_some() && thread != learned);
    assert_eq!(slack.threads("alerts").len(), 2);
}

#[tokio::test]
async fn a_change_whose_reply_failed_is_repeated_without_harm() {
    let slack = Slack::default();
    let settings = bot_of(&slack);
    let created = issue("issue.created", "unresolved", None);
    let thread = carried_out(action(&settings, &created, &default_of(&created), None), slack.router()).await.unwrap();
    let resolved = issue("issue.resolved", "resolved", None);
    // The change works, and its reply is refused.
    let mut calls = action(&settings, &resolved, &default_of(&resolved), thread.as_ref());
    let reply = calls.split_off(1);
    carried_out(calls, slack.router()).await.unwrap();
    slack.refuse_next("ratelimited");
    carried_out(reply, slack.router()).await.unwrap_err();
    let again = action(&settings, &resolved, &default_of(&resolved), thread.as_ref());
    carried_out(again, slack.router()).await.unwrap();
    let [only] = &*slack.threads("alerts") else { panic!("one thread") };
    assert_eq!((only.parent.edits, only.replies.len()), (2, 1));
}

#[tokio::test]
async fn what_was_deleted_is_told_anew_and_what_holds_for_everything_pauses() {
    let slack = Slack::default();
    let settings = bot_of(&slack);
    let event = issue("issue.created", "unresolved", None);
    let send = async |event: &Normalized, thread: Option<&Thread>| {
        carried_out(action(&settings, event, &default_of(event), thread), slack.router()).await
    };
    let thread = send(&event, None).await.unwrap().unwrap();
    slack.delete("alerts", thread.get("ts").unwrap());
    for name in ["issue.resolved", "comment.created"] {
        let event = issue(name, "resolved", None);
        assert_eq!(send(&event, Some(&thread)).await.unwrap_err().next(), Next::Anew, "{name}");
    }
    let hook = hook_of(&slack);
    let by_hook = action(&hook, &event, &default_of(&event), None);
    assert_eq!(carried_out(by_hook, slack.router()).await.unwrap(), None, "a webhook learns nothing");
    slack.archive("alerts");
    assert_eq!(send(&event, None).await.unwrap_err().next(), Next::Pause { until: None });
    slack.revoke_token();
    assert_eq!(send(&event, Some(&thread)).await.unwrap_err().next(), Next::Pause { until: None });
    slack.remove_webhook();
    let by_hook = action(&hook, &event, &default_of(&event), None);
    assert_eq!(carried_out(by_hook, slack.router()).await.unwrap_err().next(), Next::Pause { until: None });
}

#[tokio::test]
async fn slack_takes_what_every_sample_makes() {
    let slack = Slack::default();
    for event in samples() {
        for settings in [bot_of(&slack), hook_of(&slack)] {
            let calls = action(&settings, &event, &default_of(&event), None);
            assert!(carried_out(calls, slack.router()).await.is_ok(), "{}: {:?}", event.event, slack.calls().last());
        }
    }
}

/// Whatever the texts are, Slack takes the message and sees neither mention nor markup in it.
fn assert_is_inert(body: &Value, mention: Option<&str>) {
    let text = body["text"].as_str().unwrap();
    let text = mention.map_or(text, |mention| text.strip_prefix(mention).unwrap());
    assert!(!text.contains(['<', '>']), "{text}");
    assert!(body["text"].as_str().unwrap().chars().count() <= 4000);
    let attachment = body["attachments"][0]["blocks"].as_array().map_or(&[][..], Vec::as_slice);
    let all = body["blocks"].as_array().unwrap().iter().chain(attachment);
    for block in all.clone() {
        match block["type"].as_str().unwrap() {
            "header" => {
                assert_eq!((&block["text"]["type"], &block["text"]["emoji"]), (&json!("plain_text"), &json!(false)));
                let length = block["text"]["text"].as_str().unwrap().encode_utf16().count();
                assert!((1..=150).contains(&length), "{length}");
            }
            "section" => assert_eq!(block["text"]["text"].as_str(), mention),
            "context" => assert_eq!(block["elements"][0]["type"], "plain_text"),
            "rich_text" => {
                let sections = block["elements"].as_array().unwrap();
                assert!(!sections.is_empty());
                for word in sections.iter().flat_map(|section| section["elements"].as_array().unwrap()) {
                    assert!(matches!(word["type"].as_str(), Some("text" | "link")), "{word}");
                    assert!(word["type"] == "text" || word["url"] == LINK, "{word}");
                    assert!(!word["text"].as_str().unwrap().is_empty(), "{word}");
                }
            }
            other => panic!("{other}"),
        }
    }
    let length: usize = all.map(|block| block.to_string().chars().count() + 1).sum();
    assert!(length < 12_000, "{length}");
    for c in ['\u{202e}', '\u{2066}', '\u{0}', '\u{1b}', '\r'] {
        assert!(!body.to_string().contains(c) && !body.to_string().contains(&format!("\\u{:04x}", c as u32)), "{c:?}");
    }
}

/// A change, the note below it, and what a webhook posts.
fn hostile(title: &str, text: &str) -> [Value; 3] {
    let start = |text: &str| text.chars().take(3000).collect();
    let field = |name: &str, value: &str| Field { name: start(name), value: start(value) };
    let message = Message {
        title: title.to_owned(),
        text: text.to_owned(),
        fields: (0..40).map(|_| field(title, text)).collect(),
        link: Some(LINK.to_owned()),
        tone: Tone::Error,
        mention: None,
        priority: None,
    };
    let event = Normalized { assignee: Some(title.to_owned()), ..issue("issue.assigned", "unresolved", None) };
    let mut bodies = action(&bot("#alerts", ""), &event, &message, Some(&thread()));
    bodies.extend(action(&webhook(), &event, &message, None));
    let bodies: Vec<Value> = bodies.iter().map(body).collect();
    bodies.try_into().unwrap()
}

#[tokio::test]
async fn a_hostile_text_is_taken_and_shown_as_it_is() {
    let long = "\"\\".repeat(500_000);
    let family = "👨‍👩‍👧".repeat(2000);
    let marks = format!("a{}", "\u{301}".repeat(100_000));
    let texts = [
        "<!channel> <!here> <@U012AB3CD> <!subteam^S1>",
        "@everyone @here",
        "*bold* _it_ ~gone~ `code`",
        "```\nfence\n```",
        "[a](http://evil.test) ](http://evil.test) <http://evil.test|click>",
        "\u{202e}gpj.exe \u{2066}x",
        "a\u{0}b\u{1b}[31mc\rd\u{2028}e",
        ":fire: :+1:",
        "&lt;!channel&gt; &amp;",
        "",
        " \n\t ",
        "\u{200b}",
        long.as_str(),
        family.as_str(),
        marks.as_str(),
    ];
    let slack = Slack::default();
    for title in texts {
        for body in hostile(title, title) {
            assert_is_inert(&body, None);
            let post = http::Request::post(slack.webhook_path());
            let request = request::json(post, &body).unwrap();
            let call = Call { request, judge: answers::of_webhook };
            assert!(carried_out(vec![call], slack.router()).await.is_ok(), "{body}");
        }
    }
    let [_, _, shown] = hostile("<!channel> *a* :fire:", "<@U1> `b`");
    assert_eq!(shown["blocks"][0]["text"]["text"], "🔴 <!channel> *a* :fire:");
    assert_eq!(shown["text"], format!("🔴 &lt;!channel&gt; *a* :fire: {LINK}"));
    assert_eq!(shown["attachments"][0]["blocks"][0]["elements"][0]["elements"][0]["text"], "<@U1> `b`");
}

#[test]
fn what_is_cut_says_where_the_rest_is() {
    let [_, _, body] = hostile("t", &"word ".repeat(1000));
    let text = body["attachments"][0]["blocks"][0]["elements"][0]["elements"][0]["text"].as_str().unwrap();
    assert!(text.ends_with("word…\n(cut: the rest is behind the link)"), "{text}");
    assert!(text.encode_utf16().count() <= 1800);
}

proptest! {
    #[test]
    fn no_text_becomes_markup_or_a_mention(title in "\\PC{0,200}", text in any::<String>()) {
        for body in hostile(&title, &text) {
            assert_is_inert(&body, None);
        }
    }
}

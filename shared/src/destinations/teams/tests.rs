#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use proptest::prelude::*;
use tower::ServiceExt as _;

use super::*;
use crate::destinations::error::Next;
use crate::destinations::testing;
use crate::message::Field;
use crate::normalized::Normalized;

const URL: &str = "https://prod-42.westeurope.logic.azure.com:443/workflows/77/triggers/manual/paths/invoke?api-version=2016-06-01&sig=s3cret";

fn request(url: &str, lines: &str, message: &Message) -> Result<http::Request<Bytes>, DeliveryError> {
    let settings = testing::settings("teams", &format!("url = \"secret:u\"\n{lines}"), [("u", url)]);
    let action = testing::rendered(&KIND, &settings, &Normalized::default(), message, None)?;
    Ok(testing::calls_of(action).remove(0).request)
}

/// The card, once it is known to be one that Teams takes.
fn card(message: &Message) -> Value {
    let request = request(URL, "", message).unwrap();
    assert!(request.body().len() <= MESSAGE_MAX_BYTES, "{}", request.body().len());
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    body["attachments"][0]["content"].clone()
}

/// The texts of all runs, one line each.
fn runs(card: &Value) -> Vec<String> {
    let blocks = card["body"].as_array().unwrap().iter().filter(|item| item["type"] == "RichTextBlock");
    let text =
        |block: &Value| block["inlines"].as_array().unwrap().iter().map(|r| r["text"].as_str().unwrap()).collect();
    blocks.map(text).collect()
}

fn message(title: &str, text: &str) -> Message {
    Message {
        title: title.to_owned(),
        text: text.to_owned(),
        fields: vec![Field { name: "Project".into(), value: title.to_owned() }],
        link: Some("https://sentry.example/organizations/acme/issues/7/".to_owned()),
        tone: Tone::Error,
        mention: None,
        priority: None,
    }
}

#[test]
fn every_kind_of_event_makes_a_card() {
    let mut rendered = String::new();
    for event in testing::samples() {
        let card = card(&Message::of(&event, "https://sentry.example"));
        writeln!(rendered, "{}\n{}", event.event, serde_json::to_string_pretty(&card).unwrap()).unwrap();
    }
    insta::assert_snapshot!(rendered);
}

#[test]
fn the_address_is_the_workflows_own_and_a_retired_one_is_refused() {
    let target = |url: &str, base_url: &str| {
        let request = request(url, base_url, &message("a", "b"));
        request.map(|request| request.uri().to_string()).map_err(|error| (error.next(), error.to_string()))
    };
    assert_eq!(target(URL, ""), Ok(URL.to_owned()));
    let behind = URL.replace("https://prod-42.westeurope.logic.azure.com:443", "http://127.0.0.1:9");
    assert_eq!(target(URL, "base_url = \"http://127.0.0.1:9\""), Ok(behind));
    for url in [
        "https://acme.webhook.office.com/webhookb2/1@2/IncomingWebhook/3/4",
        "https://ACME.Webhook.Office.com/webhookb2/1@2/IncomingWebhook/3/4",
        "https://outlook.office.com/webhook/1@2/IncomingWebhook/3/4",
        "https://outlook.office365.com/webhook/1",
    ] {
        for base_url in ["", "base_url = \"http://127.0.0.1:9\""] {
            let (next, text) = target(url, base_url).unwrap_err();
            assert_eq!(next, Next::GiveUp, "{url}");
            assert!(text.contains("which Microsoft has retired: add the workflow"), "{text}");
        }
    }
    assert!(target("https://webhook.office.com.example.com/x", "").is_ok(), "somebody else's");
}

#[test]
fn a_mention_needs_a_user_and_comes_from_the_routes_file_alone() {
    let cases = [
        ("ada@example.com", Some(("ada@example.com", "ada@example.com"))),
        ("Ada Lovelace <ada@example.com>", Some(("ada@example.com", "Ada Lovelace"))),
        ("Ada <c5e1a2b0-4b4b-4c4c-8d8d-0123456789ab>", Some(("c5e1a2b0-4b4b-4c4c-8d8d-0123456789ab", "Ada"))),
        ("@everyone", None),
        ("<at>all</at>", None),
        ("Ada", None),
        ("Ada <nobody>", None),
        ("A<b> <ada@example.com>", None),
    ];
    for (mention, expected) in cases {
        let hostile = "<at>ada@example.com</at> <at>Ada</at>";
        let card = card(&Message { mention: Some(mention.to_owned()), ..message(hostile, hostile) });
        let entities = card["msteams"]["entities"].as_array().unwrap();
        let blocks: Vec<&Value> =
            card["body"].as_array().unwrap().iter().filter(|i| i["type"] == "TextBlock").collect();
        match expected {
            Some((id, name)) => {
                let at = format!("<at>{name}</at>");
                assert_eq!(entities, &[json!({"type": "mention", "text": at, "mentioned": {"id": id, "name": name}})]);
                assert_eq!(blocks, [&json!({"type": "TextBlock", "text": at, "wrap": true})]);
            }
            None => assert!(entities.is_empty() && blocks.is_empty(), "{mention}"),
        }
        assert!(runs(&card).iter().all(|run| !run.contains("<at>")), "{mention}");
    }
    assert!(card(&Message { mention: Some(" ".into()), ..message("a", "b") })["body"][1]["inlines"][0]["text"] == "b");
}

#[test]
fn hostile_text_is_shown_as_it_is() {
    let cases = [
        ("**b** [x](http://evil.test) # `c`", "**b** [x](http://evil.test) # `c`"),
        ("<at>all</at>", "<\u{200b}at>all<\u{200b}/at>"),
        ("< AT >< / at x", "<\u{200b} AT ><\u{200b} / at x"),
        ("a < b <br> </b>", "a < b <br> </b>"),
        ("x\u{202e}gpj.exe\u{0}", "xgpj.exe"),
    ];
    for (text, expected) in cases {
        let card = card(&message(text, text));
        assert_eq!(runs(&card), [expected.to_owned(), expected.to_owned(), format!("Project: {expected}")]);
    }
    let lines = card(&message("", "one\n\n  two\r\nthree\n"));
    assert_eq!(runs(&lines), ["Sentry", "one", "  two", "three", "Project: "]);
}

proptest! {
    #[test]
    fn no_text_becomes_a_mention(text in r"(<|/|at|AT|>| |\n|\PC){0,40}") {
        let plain = plain(&text);
        let tight: String = plain.to_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '/').collect();
        prop_assert!(!tight.contains("<at"), "{}", plain);
        prop_assert_eq!(plain.replace('\u{200b}', ""), text.replace('\u{200b}', ""));
    }
}

/// What an error message may hold.
fn hostile_texts() -> Vec<String> {
    vec![
        String::new(),
        " \n\u{202e}\u{0} ".to_owned(),
        "a".repeat(1_000_000),
        "\"\\".repeat(9000),
        "👨‍👩‍👧‍👦".repeat(2000),
        "漢".repeat(9000),
        "<at>".repeat(9000),
        "line\n".repeat(9000),
        format!("a{}", "\u{301}".repeat(9000)),
    ]
}

#[tokio::test]
async fn teams_shows_it_and_wakes_nobody_but_those_meant() {
    let teams = simulator::Teams::default();
    let send = async |message: &Message| {
        let request = request(&teams.webhook_url(), "", message).unwrap();
        let answer = teams.router().oneshot(request.map(axum::body::Body::from)).await.unwrap();
        assert_eq!((answer.status(), teams.lost()), (http::StatusCode::ACCEPTED, vec![]));
        teams.messages().pop().unwrap().woke
    };
    for text in hostile_texts() {
        for mention in [None, Some("ada@example.com")] {
            let message = Message { mention: mention.map(str::to_owned), ..message(&text, &text) };
            assert_eq!(send(&message).await, mention.as_slice());
        }
    }
    for event in testing::samples() {
        assert!(send(&Message::of(&event, "https://sentry.example")).await.is_empty(), "{}", event.event);
    }
}

#[test]
fn whatever_it_says_it_fits_and_is_not_empty() {
    for text in &hostile_texts() {
        for count in [0, 3, 60] {
            let value: String = text.chars().take(5000).collect();
            let field = Field { name: value.clone(), value };
            let long = Message { fields: vec![field; count], ..message(text, text) };
            let card = card(&long);
            let runs = runs(&card);
            assert!(!runs[0].trim().is_empty() && runs[0].encode_utf16().count() <= 2 * TITLE_MAX);
            assert_eq!(card["actions"][0]["type"], "Action.OpenUrl");
            let is_short = text.len() < 10 && count < FIELDS_MAX;
            let says_so = runs.last().unwrap() == "Shortened: Sentry has the rest.";
            assert_eq!(says_so, !is_short, "{} bytes, {count} fields", text.len());
        }
    }
    let long_link = Message { link: Some(format!("https://a.test/{}", "a".repeat(3000))), ..message("a", "b") };
    assert_eq!(card(&long_link)["actions"], json!([]));
}

#[test]
fn an_answer_means_what_the_flow_says() {
    let now = testing::accepted_at();
    let answer = |status: u16, retry_after: Option<&str>, body: &'static str| {
        let builder = http::Response::builder().status(status);
        let builder = retry_after.into_iter().fold(builder, |builder, value| builder.header("retry-after", value));
        builder.body(Bytes::from_static(body.as_bytes())).unwrap()
    };
    let later = Next::Retry { not_before: Timestamp::from_second(1_700_000_009).ok() };
    let retry = Next::Retry { not_before: None };
    let pause = Next::Pause { until: None };
    let off = r#"{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"trigger is not enabled"}}"#;
    let bad = r#"{"error":{"code":"TriggerInputSchemaMismatch","message":"no attachments"}}"#;
    let gone = r#"{"error":{"code":"WorkflowNotFound","message":"no such flow"}}"#;
    let cases = [
        ("started", answer(202, None, ""), None),
        ("done", answer(200, None, "1"), None),
        (
            "bad",
            answer(400, None, bad),
            Some((Next::GiveUp, "refused with 400: TriggerInputSchemaMismatch: no attachments")),
        ),
        (
            "off",
            answer(400, None, off),
            Some((pause, "refuses everything with 400: WorkflowTriggerIsNotEnabled: trigger is not enabled")),
        ),
        ("gone", answer(404, None, gone), Some((pause, "refuses everything with 404: WorkflowNotFound: no such flow"))),
        ("unauthorized", answer(401, None, "<html>"), Some((pause, "refuses everything with 401: no reason given"))),
        ("forbidden", answer(403, None, ""), Some((pause, "refuses everything with 403: no reason given"))),
        ("deleted", answer(410, None, "{}"), Some((pause, "refuses everything with 410: no reason given"))),
        ("throttled", answer(429, Some("9"), ""), Some((later, "rate limited"))),
        ("their trouble", answer(503, None, ""), Some((retry, "failed with 503"))),
    ];
    for (name, answer, expected) in cases {
        let judged = judge(&answer, now).err().map(|error| (error.next(), error.to_string()));
        assert_eq!(judged, expected.map(|(next, text)| (next, text.to_owned())), "{name}");
    }
}

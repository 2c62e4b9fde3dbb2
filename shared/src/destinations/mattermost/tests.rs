#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;
use simulator::Mattermost;

use super::*;
use crate::destinations::kind::Call;
use crate::destinations::testing::{accepted_at, calls, calls_of, carried_out, rendered, samples, settings};
use crate::message::Tone;
use crate::normalized::Normalized;

const URL: &str = "https://chat.example/hooks/secretpart";

fn body(event: &Normalized, message: &Message) -> Value {
    let settings = settings("mattermost", "url = \"secret:u\"", [("u", URL)]);
    let calls = calls_of(rendered(&KIND, &settings, event, message, None).unwrap());
    let [call] = &*calls else { panic!("one call") };
    assert_eq!(call.request.uri(), URL);
    let body = std::str::from_utf8(call.request.body()).unwrap();
    assert!(!body.contains("secretpart"));
    serde_json::from_str(body).unwrap()
}

#[test]
fn every_kind_of_event_makes_a_post() {
    let mut shown = String::new();
    for event in samples() {
        let body = body(&event, &Message::of(&event, "https://sentry.example"));
        writeln!(shown, "{}\n{}", event.event, serde_json::to_string_pretty(&body).unwrap()).unwrap();
    }
    insta::assert_snapshot!(shown);
}

fn hostile(title: &str, text: &str, link: Option<&str>) -> Value {
    let start = |text: &str| text.chars().take(3000).collect();
    let field = || Field { name: start(title), value: start(text) };
    let message = Message {
        title: title.to_owned(),
        text: text.to_owned(),
        fields: std::iter::repeat_with(field).take(40).collect(),
        link: link.map(str::to_owned),
        tone: Tone::Error,
        mention: None,
        priority: None,
    };
    body(&Normalized::default(), &message)
}

#[tokio::test]
async fn mattermost_takes_what_every_sample_makes_and_a_deleted_hook_shuts_the_destination() {
    let mattermost = Mattermost::default();
    let url = format!("https://chat.example{}", mattermost.hook_path());
    let settings = settings("mattermost", "url = \"secret:u\"", [("u", url.as_str())]);
    for event in samples() {
        let taken = carried_out(calls(&KIND, &settings, &event), mattermost.router()).await;
        assert!(taken.is_ok(), "{}: {taken:?}", event.event);
    }
    assert_eq!(mattermost.posts().len(), samples().len());
    assert!(mattermost.posts().iter().all(|post| post.wakes.is_empty()));
    mattermost.delete_hook();
    let refused = carried_out(calls(&KIND, &settings, &samples()[0]), mattermost.router()).await.unwrap_err();
    let reason = "refuses everything with 400: Invalid webhook. (web.incoming_webhook.invalid.app_error)";
    assert_eq!(refused.to_string(), reason);
}

/// Nobody is woken, nothing is a link, and all of it is one post.
fn assert_is_inert(body: &Value) {
    assert_eq!(body["text"], Value::Null);
    let attachment = &body["attachments"][0];
    let fields = attachment["fields"].as_array().map_or(&[][..], Vec::as_slice);
    let shown: Vec<&str> = ["fallback", "title", "text"]
        .iter()
        .map(|name| &attachment[*name])
        .chain(fields.iter().flat_map(|field| [&field["title"], &field["value"]]))
        .map(|text| text.as_str().unwrap())
        .collect();
    for text in &shown {
        for (at, c) in text.char_indices() {
            let next = text[at + c.len_utf8()..].chars().next();
            if matches!(c, '@' | '＠') {
                assert!(next.is_none_or(|next| next == '\u{200b}' || next.is_whitespace()), "{text}");
            }
        }
        assert!(!text.contains("<!") && !text.contains("://"), "{text}");
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    }
    assert!(shown.iter().map(|text| text.chars().count()).sum::<usize>() < 16_383);
}

#[tokio::test]
async fn a_hostile_text_is_one_post_that_wakes_nobody_and_is_shown_as_it_is() {
    let long = "<*".repeat(500_000);
    let dollars = "$".repeat(1_000_000);
    let family = "👨‍👩‍👧".repeat(2000);
    let texts = [
        "<!channel> <!here> <!all> <@U1>",
        "@everyone @all @channel @here ＠here",
        r"\@channel &#64;channel &commat;here",
        "@@here @\u{200b}@here",
        "*bold* _it_ ~~gone~~ `code` **x** # h",
        "```\nfence\n```",
        "[a](http://evil.test) ](http://evil.test) <http://evil.test|click> www.evil.test",
        "\u{202e}gpj.exe \u{2066}x",
        "a\u{0}b\u{1b}[31mc\rd\u{2028}e",
        ":fire: :+1: :-) ;) #tag ~town-square $x$",
        "",
        " \n\t ",
        "\u{200b}",
        long.as_str(),
        dollars.as_str(),
        family.as_str(),
    ];
    let mattermost = Mattermost::default();
    for text in texts {
        for link in [None, Some("https://sentry.example/issues/7/")] {
            let body = hostile(text, text, link);
            assert_is_inert(&body);
            let request = request::json(http::Request::post(mattermost.hook_path()), &body).unwrap();
            carried_out(vec![Call { request, judge }], mattermost.router()).await.unwrap();
        }
    }
    assert_eq!(mattermost.posts().len(), 2 * texts.len());
    assert!(mattermost.posts().iter().all(|post| post.wakes.is_empty()));
    let body = hostile("a *b* @here", "a *b* @here", Some("https://sentry.example/issues/7/"));
    assert_eq!(body["attachments"][0]["title"], "🔴 a *b* @\u{200b}here", "a title with a link is no Markdown");
    assert_eq!(body["attachments"][0]["text"], "a \\*b\\* @\u{200b}here");
    let body = hostile("a *b*", "t", None);
    assert_eq!(body["attachments"][0]["title"], "🔴 a \\*b\\*", "without one it is");
}

#[test]
fn what_is_cut_says_where_the_rest_is() {
    let body = hostile("t", &"word ".repeat(1000), Some("https://sentry.example/issues/7/"));
    let text = body["attachments"][0]["text"].as_str().unwrap();
    assert!(text.ends_with("word…\n(cut: the rest is behind the link)"), "{text}");
    let body = hostile("t", "a", Some(&format!("https://sentry.example/{}", "a".repeat(2000))));
    assert_eq!(body["attachments"][0]["title_link"], Value::Null, "a cut address leads nowhere");
}

#[test]
fn only_the_routes_mention_wakes_anybody() {
    let event = Normalized::default();
    let with = |mention: &str| {
        let message = Message { mention: Some(mention.to_owned()), ..Message::of(&event, "https://sentry.example") };
        body(&event, &message)["text"].as_str().unwrap().to_owned()
    };
    for mention in ["@here", "@channel", "@all", "@ada.lovelace", "@on-call_1", "<!here>", "<!channel>", "<!all>"] {
        assert_eq!(with(mention), mention);
    }
    for odd in ["here", "@", "@here @all", "<!everyone>", "@a](http://evil.test)"] {
        let text = with(odd);
        assert!(text.starts_with("(not a mention: "), "{text}");
        assert!(!text.contains("@h") && !text.contains("@a") && !text.contains("<!"), "{text}");
    }
}

#[test]
fn an_answer_means_what_mattermost_says() {
    let judged = |status: u16, body: &str| {
        let answer = http::Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        judge(&answer, accepted_at()).map_or_else(|error| format!("{:?}: {error}", error.next()), |_| "done".to_owned())
    };
    let said = |id: &str| format!(r#"{{"id":"{id}","message":"Said so.","detailed_error":"","status_code":400}}"#);
    let shut =
        |status: u16, id: &str| format!("Pause {{ until: None }}: refuses everything with {status}: Said so. ({id})");
    assert_eq!(judged(200, "ok"), "done");
    for (status, id) in [
        (400, "web.incoming_webhook.invalid.app_error"),
        (400, "api.post.create_post.can_not_post_to_deleted.error"),
        (403, "web.incoming_webhook.channel_locked.app_error"),
        (404, "app.channel.get.existing.app_error"),
        (403, "web.incoming_webhook.general.app_error"),
        (501, "web.incoming_webhook.disabled.app_error"),
    ] {
        assert_eq!(judged(status, &said(id)), shut(status, id));
    }
    let cases = [
        (
            400,
            said("web.incoming_webhook.text.app_error"),
            "GiveUp: refused with 400: Said so. (web.incoming_webhook.text.app_error)",
        ),
        (413, String::new(), "GiveUp: refused with 413: no reason given"),
        (404, "<html>".to_owned(), "Pause { until: None }: refuses everything with 404: no reason given"),
        (410, String::new(), "Pause { until: None }: refuses everything with 410: no reason given"),
        (401, String::new(), "Pause { until: None }: refuses everything with 401: no reason given"),
        (500, said("app.post.save.app_error"), "Retry { not_before: None }: failed with 500"),
        (429, "limit exceeded".to_owned(), "Retry { not_before: None }: rate limited"),
        (302, String::new(), "GiveUp: redirects with 302, which is not followed: check the address"),
    ];
    for (status, body, expected) in cases {
        assert_eq!(judged(status, &body), expected);
    }
}

/// What Markdown makes of it: its text, where nothing but paragraphs and lines is found.
fn as_shown(markdown: &str) -> Result<String, String> {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_MATH;
    let mut shown = String::new();
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Text(text) => shown.push_str(&text),
            Event::SoftBreak => shown.push('\n'),
            Event::Start(Tag::Paragraph) if shown.is_empty() => {}
            Event::Start(Tag::Paragraph) => shown.push_str("\n\n"),
            Event::End(TagEnd::Paragraph) => {}
            other => return Err(format!("{other:?} in {markdown:?}")),
        }
    }
    Ok(shown)
}

#[test]
fn escaped_text_is_no_markdown() {
    let cases = [
        "# a heading",
        "a\n===\nb\n---",
        "- a\n- b\n  - c\n+ d\n* e",
        "1. a\n2. b\n10) c",
        "    indented\n\tby a tab",
        "> quoted",
        "1. one",
        "1) one",
        "a  \nb",
        "a\\\nb",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "~~~\nfence\n~~~",
        "[a]: http://evil.test\n[a]",
        "![a](http://evil.test/a.png)",
        "<b>a</b> <!-- b --> <http://a.test> &copy;",
        "a_b_c __d__ snake_case_name",
        "$a$ $$b$$",
    ];
    for text in cases {
        let shown = as_shown(&escaped(text)).unwrap();
        let bare = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace() && *c != '\u{200b}').collect() };
        assert_eq!(bare(&shown), bare(text), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_becomes_markup_or_a_mention(title in "\\PC{0,200}", text in any::<String>()) {
        assert_is_inert(&hostile(&title, &text, None));
    }

    #[test]
    fn no_escaped_text_is_markdown(text in "[-a1 .)(\\]\\[!#>*_~`|\\\\\n=+<&;:/$@\t]{0,40}") {
        prop_assert!(as_shown(&escaped(&visible(&text))).is_ok(), "{:?}", as_shown(&escaped(&visible(&text))));
    }
}

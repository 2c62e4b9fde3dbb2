#![allow(clippy::unwrap_used)]

use axum::body::Body;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

async fn post(slack: &Slack, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let mut request = http::Request::post(path).header("content-type", "application/json; charset=utf-8");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = slack.router().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn call(slack: &Slack, method: &str, body: &Value) -> Value {
    let (status, text) = post(slack, &format!("/api/{method}"), Some(BOT_TOKEN), &body.to_string()).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_parent_has_replies_and_is_changed_in_place() {
    let slack = Slack::default();
    let parent = call(&slack, "chat.postMessage", &json!({"channel": "#alerts", "text": "broken"})).await;
    assert_eq!(parent["ok"], true);
    let (channel, ts) = (parent["channel"].as_str().unwrap(), parent["ts"].as_str().unwrap());
    let reply = json!({"channel": channel, "thread_ts": ts, "text": "mended"});
    let reply = call(&slack, "chat.postMessage", &reply).await;
    let change = json!({"channel": channel, "ts": ts, "text": "green", "attachments": [{"color": "#0f0", "blocks": [
        {"type": "section", "text": {"type": "mrkdwn", "text": "all is well"}},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "a"}, {"type": "link", "url": "https://a.test"}]}]},
        {"type": "context", "elements": [{"type": "plain_text", "text": "since noon"}]},
    ]}]});
    assert_eq!(call(&slack, "chat.update", &change).await["ts"], ts);

    let threads = slack.threads("alerts");
    assert_eq!(threads.len(), 1);
    let (parent, replies) = (&threads[0].parent, &threads[0].replies);
    assert_eq!((parent.ts.as_str(), parent.text.as_str(), parent.edits), (ts, "green", 1));
    assert_eq!(parent.shown, "green\nall is well\nahttps://a.test\nsince noon");
    assert_eq!(parent.colour.as_deref(), Some("#0f0"));
    assert_eq!((replies.len(), replies[0].text.as_str(), &json!(replies[0].ts)), (1, "mended", &reply["ts"]));
    assert_ne!(replies[0].ts, parent.ts);
    assert_eq!(slack.threads(channel), threads, "by id too");
}

#[tokio::test]
async fn the_bot_is_refused_with_200_and_a_code() {
    let slack = Slack::default();
    let webhook = post(&slack, slack.webhook_path(), None, r#"{"text":"by the webhook"}"#).await;
    assert_eq!(webhook, (200, "ok".to_owned()));
    let by_webhook = slack.threads("alerts")[0].parent.ts.clone();
    let own = call(&slack, "chat.postMessage", &json!({"channel": "alerts", "text": "a"})).await;
    let (id, own) = (own["channel"].clone(), own["ts"].clone());
    let header = |text: &str| json!([{"type": "header", "text": {"type": "plain_text", "text": text}}]);
    let rich = |text: &str| {
        let section = json!({"type": "rich_text_section", "elements": [{"type": "text", "text": text}]});
        json!([{"type": "rich_text", "elements": [section]}])
    };
    let (to_post, to_change) = ("chat.postMessage", "chat.update");
    let cases = [
        (to_post, json!({"channel": "elsewhere", "text": "a"}), "channel_not_found"),
        (to_post, json!({"channel": "alerts"}), "no_text"),
        (to_post, json!({"channel": "alerts", "text": "a".repeat(40_001)}), "msg_too_long"),
        (to_post, json!({"channel": "alerts", "text": "a", "thread_ts": "1.000001"}), "thread_not_found"),
        (to_post, json!({"channel": "alerts", "text": "a", "blocks": header(&"a".repeat(151))}), "invalid_blocks"),
        (to_post, json!({"channel": "alerts", "text": "a", "blocks": header("")}), "invalid_blocks"),
        (to_post, json!({"channel": "alerts", "text": "a", "blocks": rich("")}), "invalid_blocks"),
        (to_post, json!({"channel": "alerts", "attachments": [{"blocks": [{"type": "odd"}]}]}), "invalid_blocks"),
        (
            to_post,
            json!({"channel": "alerts", "text": "a", "blocks": rich(&"a".repeat(13_200))}),
            "msg_blocks_too_long",
        ),
        (to_post, json!({"channel": "alerts", "attachments": vec![json!({"text": "a"}); 101]}), "too_many_attachments"),
        (to_change, json!({"channel": "alerts", "ts": own, "text": "a"}), "channel_not_found"),
        (to_change, json!({"channel": id, "ts": "1.000001", "text": "a"}), "message_not_found"),
        (to_change, json!({"channel": id, "ts": by_webhook, "text": "a"}), "cant_update_message"),
        (to_change, json!({"channel": id, "ts": own, "text": "a".repeat(4001)}), "msg_too_long"),
        ("chat.unknown", json!({}), "unknown_method"),
    ];
    for (method, body, code) in cases {
        assert_eq!(call(&slack, method, &body).await, json!({"ok": false, "error": code}), "{method}");
    }
    let good = r#"{"channel":"alerts","text":"a"}"#;
    for (token, code) in [(None, "not_authed"), (Some("xoxb-1"), "invalid_auth")] {
        assert!(post(&slack, "/api/chat.postMessage", token, good).await.1.contains(code));
    }
    slack.archive("alerts");
    assert_eq!(call(&slack, to_post, &json!({"channel": "alerts", "text": "a"})).await["error"], "is_archived");
    assert_eq!(call(&slack, to_change, &json!({"channel": id, "ts": own, "text": "a"})).await["error"], "is_inactive");
    slack.revoke_token();
    assert_eq!(call(&slack, to_post, &json!({"channel": "alerts", "text": "a"})).await["error"], "token_revoked");
    assert_eq!(slack.threads("alerts").len(), 2);
}

#[tokio::test]
async fn the_webhook_is_refused_with_a_status_and_a_code() {
    let slack = Slack::default();
    let hook = slack.webhook_path();
    let cases = [
        (hook, "{", 400, "invalid_payload"),
        (hook, "{}", 400, "no_text"),
        (hook, r#"{"blocks":[{"type":"header"}]}"#, 400, "invalid_blocks"),
        ("/services/T1/B1/x", r#"{"text":"a"}"#, 404, "no_service"),
    ];
    for (path, body, status, code) in cases {
        assert_eq!(post(&slack, path, None, body).await, (status, code.to_owned()));
    }
    slack.archive("alerts");
    assert_eq!(post(&slack, hook, None, r#"{"text":"a"}"#).await, (410, "channel_is_archived".to_owned()));
    slack.remove_webhook();
    assert_eq!(post(&slack, hook, None, r#"{"text":"a"}"#).await, (404, "no_service".to_owned()));
    assert!(slack.threads("alerts").is_empty());
}

#[tokio::test]
async fn what_fails_is_not_kept_unless_only_its_answer_failed() {
    let slack = Slack::default();
    let body = json!({"channel": "alerts", "text": "a"});
    slack.refuse_next("service_unavailable");
    slack.refuse_next_though_done("internal_error");
    assert_eq!(call(&slack, "chat.postMessage", &body).await["error"], "service_unavailable");
    assert_eq!(slack.threads("alerts").len(), 0);
    assert_eq!(call(&slack, "chat.postMessage", &body).await["error"], "internal_error");
    assert_eq!(slack.threads("alerts").len(), 1);
    let codes: Vec<Option<String>> = slack.calls().into_iter().map(|call| call.error).collect();
    assert_eq!(codes, [Some("service_unavailable".to_owned()), Some("internal_error".to_owned())]);

    slack.fail_next(1, &Fault::retry_after(429, std::time::Duration::from_secs(9)));
    slack.fail_next(1, &Fault::lost_answer());
    let text = body.to_string();
    assert_eq!(post(&slack, "/api/chat.postMessage", Some(BOT_TOKEN), &text).await.0, 429);
    assert_eq!(slack.threads("alerts").len(), 1);
    assert_eq!(post(&slack, "/api/chat.postMessage", Some(BOT_TOKEN), &text).await.0, 504);
    assert_eq!(slack.threads("alerts").len(), 2);
}

#![allow(clippy::unwrap_used)]
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::Config;

fn discord() -> Discord {
    let clock: Clock = Arc::new(|| "2026-11-24T10:00:00Z".parse().unwrap());
    Discord::new(clock, Config::default().sleep)
}

async fn call(discord: &Discord, method: Method, address: &str, body: &Value) -> (u16, http::HeaderMap, Value) {
    let request = http::Request::builder()
        .method(method)
        .uri(address)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = discord.router().oneshot(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, headers, serde_json::from_slice(&body).unwrap_or_default())
}

async fn post(discord: &Discord, body: &Value) -> (u16, http::HeaderMap, Value) {
    call(discord, Method::POST, &format!("{}?wait=true", discord.webhook_url()), body).await
}

#[tokio::test]
async fn a_message_is_taken_or_refused_as_discord_does() {
    let discord = discord();
    let long = |count: usize| "ä".repeat(count);
    let embed = |embed: Value| json!({"embeds": [embed]});
    let field = json!({"name": "n", "value": "v"});
    let cases = [
        ("good", json!({"content": "hello", "allowed_mentions": {"parse": []}}), None),
        ("longest", embed(json!({"title": long(256), "description": long(4096)})), None),
        ("empty", json!({}), Some((50_006, ""))),
        ("an empty embed", embed(json!({"title": " "})), Some((50_006, ""))),
        ("content", json!({"content": long(2001)}), Some((50_035, "/content"))),
        ("title", embed(json!({"title": long(257)})), Some((50_035, "/embeds/0/title"))),
        ("description", embed(json!({"description": long(4097)})), Some((50_035, "/embeds/0/description"))),
        (
            "all together",
            json!({"embeds": [{"description": long(4096)}, {"description": long(1905)}]}),
            Some((50_035, "/embeds")),
        ),
        ("26 fields", embed(json!({"fields": vec![field.clone(); 26]})), Some((50_035, "/embeds/0/fields"))),
        (
            "a field without a value",
            embed(json!({"fields": [{"name": "n", "value": ""}]})),
            Some((50_035, "/embeds/0/fields/0/value")),
        ),
        ("footer", embed(json!({"footer": {"text": long(2049)}})), Some((50_035, "/embeds/0/footer/text"))),
        ("link", embed(json!({"title": "t", "url": "javascript:1"})), Some((50_035, "/embeds/0/url"))),
        ("colour", embed(json!({"title": "t", "color": 16_777_216})), Some((50_035, "/embeds/0/color"))),
        ("11 embeds", json!({"embeds": vec![json!({"title": "t"}); 11]}), Some((50_035, "/embeds"))),
        (
            "mentions twice",
            json!({"content": "a", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}),
            Some((50_035, "/allowed_mentions")),
        ),
        ("no JSON object", json!("x"), Some((50_109, ""))),
    ];
    for (name, body, refusal) in cases {
        let (status, _, answer) = post(&discord, &body).await;
        match refusal {
            None => assert_eq!(status, 200, "{name}: {answer}"),
            Some((code, place)) => {
                assert_eq!((status, answer["code"].as_i64()), (400, Some(code)), "{name}: {answer}");
                let place = format!("/errors{place}/_errors/0/message");
                assert!(code != 50_035 || answer.pointer(&place).is_some(), "{name}: {answer}");
            }
        }
    }
    assert_eq!(discord.messages().len(), 2);
}

#[tokio::test]
async fn a_message_is_changed_in_place_in_its_own_thread() {
    let discord = discord();
    let url = discord.webhook_url();
    let (_, _, posted) = post(&discord, &json!({"content": "<@7>", "embeds": [{"title": "a"}]})).await;
    let id = posted["id"].as_str().unwrap();
    let change = json!({"embeds": [{"title": "b"}]});
    let patch = async |rest: String| {
        let address = format!("{url}/messages/{rest}");
        call(&discord, Method::PATCH, &address, &change).await
    };
    assert_eq!(patch(id.to_owned()).await.0, 200);
    let message = discord.messages().remove(0);
    assert_eq!((message.content.as_str(), message.edits, &message.embeds[0]["title"]), ("<@7>", 1, &json!("b")));

    let (status, _, answer) = patch(format!("{id}?thread_id=5")).await;
    assert_eq!((status, &answer["code"]), (404, &json!(10_008)), "it is in no thread");
    let in_thread = call(&discord, Method::POST, &format!("{url}?wait=true&thread_id=5"), &change).await.2;
    assert_eq!(patch(format!("{}?thread_id=5", in_thread["id"].as_str().unwrap())).await.0, 200);

    discord.delete_message(id);
    let (status, _, answer) = patch(id.to_owned()).await;
    assert_eq!((status, &answer["code"]), (404, &json!(10_008)));
    assert_eq!(call(&discord, Method::POST, &url, &change).await.0, 204, "without wait");
}

#[tokio::test]
async fn only_content_wakes_and_only_whom_it_may() {
    let discord = discord();
    let content = "@everyone <@1> <@!2> <@&3>";
    let cases = [
        (json!({"content": content}), vec!["everyone", "1", "2", "3"]),
        (json!({"content": content, "allowed_mentions": {"parse": []}}), vec![]),
        (json!({"content": content, "allowed_mentions": {"users": ["2"], "roles": ["3"]}}), vec!["2", "3"]),
        (json!({"content": content, "allowed_mentions": {"parse": ["everyone", "roles"]}}), vec!["everyone", "3"]),
        (json!({"embeds": [{"title": content}]}), vec![]),
    ];
    for (body, expected) in cases {
        assert_eq!(post(&discord, &body).await.0, 200);
        assert_eq!(discord.messages().last().unwrap().woke, expected, "{body}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_goes_wrong_is_told_as_discord_does() {
    let discord = discord();
    let body = json!({"content": "a"});
    let url = discord.webhook_url();
    let wrong_token = format!("{url}x");
    for (address, expected) in [
        (wrong_token.as_str(), (401, 50_027)),
        ("/api/webhooks/1/t", (404, 10_015)),
        ("/api/v10/webhooks/1/t", (404, 10_015)),
        ("/api/channels", (404, 0)),
    ] {
        let (status, _, answer) = call(&discord, Method::POST, address, &body).await;
        assert_eq!((status, answer["code"].as_i64().unwrap()), expected, "{address}");
    }
    discord.fail_next(1, &Fault::retry_after(429, Duration::from_millis(1500)));
    let (status, headers, answer) = post(&discord, &body).await;
    assert_eq!((status, &headers["retry-after"], &answer["retry_after"]), (429, &"2".parse().unwrap(), &json!(1.5)));
    discord.fail_next(1, &Fault::status(500));
    assert_eq!((post(&discord, &body).await.0, discord.messages().len()), (500, 0));
    discord.fail_next(1, &Fault::lost_answer());
    assert_eq!((post(&discord, &body).await.0, discord.messages().len()), (504, 1), "it came all the same");
    discord.set_forum(true);
    assert_eq!(post(&discord, &body).await.2["code"], 220_001);
    discord.set_webhook_gone(true);
    assert_eq!(post(&discord, &body).await.2["code"], 10_015);
    assert_eq!(discord.answers(), [401, 404, 404, 404, 429, 500, 504, 400, 404]);
}

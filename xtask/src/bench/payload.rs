//! Signed webhooks, as the HTTP API hands them to a function.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

pub(crate) const CLIENT_SECRET: &str = "0f6e1dfe0f6a4d0cbf4d0a5c6c61a1f1b6c0a3d19bb34f6ea8b4e2b7a9f7c2d4";

/// An alert's body of about this many bytes: a small event, then stack frames up to the size wanted.
fn body(bytes: usize) -> String {
    let frame = json!({
        "abs_path": "/srv/app/orders/checkout.py", "colno": null, "context_line": "    total = sum(item.price for item in cart)",
        "filename": "orders/checkout.py", "function": "handle_checkout", "in_app": true, "lineno": 118,
        "module": "orders.checkout", "pre_context": ["def handle_checkout(cart):", "    \"\"\"Größe\"\"\"", ""],
        "vars": { "cart": ["<Item 1>", "<Item 2>"], "user": "'ada'" },
    });
    let whole = |frames: Vec<Value>| {
        json!({
            "action": "triggered",
            "installation": { "uuid": "e1064cd9-e055-4e00-ab45-4715789bef06" },
            "data": {
                "event": {
                    "event_id": "8f4c0d2c53ab4be9a2a5c2f0a0a8d8f3", "issue_id": "2", "project": 1, "platform": "python",
                    "title": "ValueError: division by zero", "culprit": "orders.checkout in handle_checkout",
                    "level": "error", "environment": "production", "timestamp": 1_795_467_377.5,
                    "tags": [["level", "error"], ["browser.name", "Firefox"]],
                    "exception": { "values": [{ "type": "ValueError", "value": "division by zero", "stacktrace": { "frames": frames } }] },
                    "web_url": "https://sentry.io/organizations/acme/issues/2/events/8f4c0d2c53ab4be9a2a5c2f0a0a8d8f3/",
                },
                "triggered_rule": "Everything in production",
            },
            "actor": { "type": "application", "id": "sentry", "name": "Sentry" },
        })
        .to_string()
    };
    let one = frame.to_string().len() + 1;
    let frames = bytes.saturating_sub(whole(Vec::new()).len()) / one;
    whole(vec![frame; frames])
}

/// One event of the HTTP API (payload format 2.0) but for its time.
#[derive(Debug)]
pub(crate) struct Event {
    before_time: String,
    after_time: String,
    /// Of the webhook's body.
    pub(crate) body_bytes: usize,
}

impl Event {
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
    pub(crate) fn signed(bytes: usize) -> Self {
        const TIME: &str = "\"timeEpoch\":0";
        let body = body(bytes);
        let event = json!({
            "version": "2.0", "routeKey": "POST /webhook", "rawPath": "/webhook", "rawQueryString": "",
            "headers": {
                "accept": "*/*", "accept-encoding": "gzip, deflate, br", "content-length": body.len().to_string(),
                "content-type": "application/json", "host": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
                "request-id": "040fec2ba1b84ac396fc382a7859ba3a", "sentry-hook-resource": "event_alert",
                "sentry-hook-signature": signature(&body), "sentry-hook-timestamp": "1795467377",
                "user-agent": "sentry/23.7.1 (https://sentry.io)", "x-forwarded-for": "192.0.2.1",
                "x-forwarded-port": "443", "x-forwarded-proto": "https",
            },
            "requestContext": {
                "accountId": "123456789012", "apiId": "a1b2c3d4e5",
                "domainName": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com", "domainPrefix": "a1b2c3d4e5",
                "http": {
                    "method": "POST", "path": "/webhook", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                    "userAgent": "sentry/23.7.1 (https://sentry.io)",
                },
                "requestId": "JKJaXmPLvHcESHA=", "routeKey": "POST /webhook", "stage": "$default",
                "time": "24/Nov/2026:20:48:04 +0000", "timeEpoch": 0,
            },
            "body": body, "isBase64Encoded": false,
        })
        .to_string();
        let (before, after) = event.split_once(TIME).expect("the request's context has it");
        Self { before_time: before.to_owned(), after_time: after.to_owned(), body_bytes: body.len() }
    }

    /// The event as it would come in now.
    pub(crate) fn now(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        format!("{}\"timeEpoch\":{now}{}", self.before_time, self.after_time)
    }
}

/// As Sentry signs: HMAC-SHA256 of the body, lower-case hex.
pub(crate) fn signature(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).expect("a key of any length does");
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_about_the_size_that_was_asked_for() {
        for bytes in [2_000, 280_000] {
            let found = Event::signed(bytes).body_bytes;
            assert!(found <= bytes && bytes - found < 500, "{found} for {bytes}");
        }
    }

    #[test]
    fn an_event_carries_its_time_once() {
        let event: Value = serde_json::from_str(&Event::signed(2_000).now()).expect("it is JSON");
        assert!(event["requestContext"]["timeEpoch"].as_u64().is_some_and(|time| time > 1_700_000_000_000));
    }
}

//! The way in, deployed: HTTP API → `webhook` → `events.fifo`, with the real binary in a stack made from
//! `template.yaml`.

use serde_json::{Value, json};
use shared::signature;
use system_tests::deploy::Stack;
use system_tests::http::{self, Answer};
use system_tests::ministack::MiniStack;
use system_tests::parts::Parts;

const CLIENT_SECRET: &str = "b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184";
const INSTALLATION: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";

#[test]
fn a_signed_webhook_waits_on_the_queue_and_a_forged_one_nowhere() {
    let parts = Parts::installed().expect("parts");
    let aws = MiniStack::start(&parts).expect("MiniStack");
    let stack = Stack::deploy(&parts, &aws, "way-in", &[]).expect("deploy");
    stack.pause_dispatch().expect("pause");

    let body = issue_created(7);
    let unfilled = post(&stack, &body, &sign(&body));
    assert_eq!(unfilled.status, 503, "before anybody has filled the app secret: {}", unfilled.text);

    stack
        .fill_app_secret(&json!({ "client_id": "a-client-id", "client_secret": CLIENT_SECRET }))
        .expect("fill the app secret");

    let forged = post(&stack, &body, &sign(&issue_created(8)));
    assert_eq!(forged.status, 401, "{}", forged.text);
    let unsigned = http::request("POST", &stack.webhook_url(), &[("Sentry-Hook-Resource", "issue")], &body);
    assert_eq!(unsigned.expect("an answer").status, 401);
    assert_eq!(stack.waiting_events().expect("receive"), Vec::<Value>::new(), "nothing forged is queued");

    let taken = post(&stack, &body, &sign(&body));
    assert_eq!(taken.status, 202, "{}", taken.text);
    let events = stack.waiting_events().expect("receive");
    assert_eq!(events.len(), 1, "{events:#?}");
    let event = &events[0];
    assert_eq!(event["body"].as_str().map(str::as_bytes), Some(body.as_slice()), "byte for byte as it came");
    let attributes = &event["attributes"];
    assert_eq!(attributes["v"], "1");
    assert_eq!(attributes["resource"], "issue");
    assert_eq!(attributes["encoding"], "identity");
    let names: Vec<_> = attributes.as_object().expect("attributes").keys().collect();
    assert_eq!(names, ["accepted_at", "encoding", "event", "request_id", "resource", "v"]);
    assert!(is_hex(&attributes["event"], 64), "{attributes}");
    assert!(is_hex(&event["group"], 32), "{event}");
    let accepted_ms: u64 = attributes["accepted_at"].as_str().and_then(|text| text.parse().ok()).expect("milliseconds");
    assert!(accepted_ms > 1_700_000_000_000, "{accepted_ms}");

    let elsewhere = http::request("GET", &stack.webhook_url(), &[], b"").expect("an answer");
    assert_eq!(elsewhere.status, 404, "another method is the gateway's own 404");

    let log = stack.log("webhook").expect("log");
    assert!(log.contains("put-secret-value"), "the log says what to do about the unfilled secret: {log}");
    assert!(!log.contains(CLIENT_SECRET), "the client secret is in the log");
}

fn issue_created(id: u64) -> Vec<u8> {
    let body = json!({
        "action": "created",
        "installation": { "uuid": INSTALLATION },
        "data": { "issue": { "id": id.to_string(), "title": "Größe ist null", "project": { "slug": "backend" } } },
        "actor": { "type": "application", "id": "sentry", "name": "Sentry" },
    });
    body.to_string().into_bytes()
}

fn sign(body: &[u8]) -> String {
    let secret = shared::secrets::ClientSecret::parse(CLIENT_SECRET).expect("a client secret");
    signature::sign(&secret, body)
}

fn post(stack: &Stack<'_>, body: &[u8], signature: &str) -> Answer {
    let headers = [
        ("Content-Type", "application/json"),
        ("Request-ID", "5b2a0c6e6f0d4a2f8f3d1c9e7a6b5c4d"),
        ("Sentry-Hook-Resource", "issue"),
        ("Sentry-Hook-Signature", signature),
    ];
    http::request("POST", &stack.webhook_url(), &headers, body).expect("an answer")
}

fn is_hex(value: &Value, digits: usize) -> bool {
    value.as_str().is_some_and(|text| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

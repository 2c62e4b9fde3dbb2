//! What `webhook` takes and what it refuses.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use shared::ports::Secret;
use shared::secrets::AppSecrets;
use shared::webhook::{MAX_BODY_BYTES, Webhook};
use simulator::{AppKind, Config, NewIssue};

use crate::ports::{Broken, QueueFault};
use crate::world::{World, app_secret, headers};

const NAME: &str = "sentry-hook-signature";
const INSTALLATION: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";

fn body(action: &str) -> String {
    json!({"action": action, "installation": {"uuid": INSTALLATION}, "data": {}}).to_string()
}

fn signed(world: &World, resource: &str, body: &str) -> HeaderMap {
    headers(&[("sentry-hook-signature", &world.sentry.sign(body.as_bytes())), ("sentry-hook-resource", resource)])
}

async fn post(world: &World, headers: &HeaderMap, body: impl Into<Bytes>) -> (u16, Value) {
    let answer = world.webhook.handle(headers, body.into(), None).await;
    (answer.status().as_u16(), serde_json::from_str(answer.body()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_request_without_the_right_signature_is_refused_and_nothing_is_queued() {
    let world = World::new().await;
    let body = body("created");
    let right = world.sentry.sign(body.as_bytes());
    let other = simulator::Simulator::new(Config::default()).sign(body.as_bytes());
    let wrong = right.replace(|c: char| c.is_ascii_digit(), "a");
    let cases: [(&str, Vec<(&'static str, String)>); 10] = [
        ("missing", vec![]),
        ("empty", vec![(NAME, String::new())]),
        ("wrong", vec![(NAME, wrong)]),
        ("truncated", vec![(NAME, right[..63].to_owned())]),
        ("lengthened", vec![(NAME, format!("{right}0"))]),
        ("repeated", vec![(NAME, right.clone()), (NAME, right.clone())]),
        ("upper-case", vec![(NAME, right.to_uppercase())]),
        ("with a prefix", vec![(NAME, format!("sha256={}", &right[7..]))]),
        ("of another secret", vec![(NAME, other)]),
        ("in the header of UI components", vec![("sentry-app-signature", right.clone())]),
    ];
    for (name, mut sent) in cases {
        sent.push(("sentry-hook-resource", "issue".to_owned()));
        let sent: Vec<_> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, answer) = post(&world, &headers(&sent), body.clone()).await;
        assert_eq!(status, 401, "{name}");
        let error = answer["error"].as_str().unwrap();
        assert!(!error.is_empty() && !error.contains(&right), "{name}: {error}");
    }
    assert_eq!(world.ports.events.depth().await, 0);
    assert_eq!(post(&world, &signed(&world, "issue", &body), body).await.0, 202, "the body itself is fine");
}

#[tokio::test(start_paused = true)]
async fn a_signed_body_is_taken_for_its_envelope_alone() {
    let world = World::new().await;
    let uuid = json!({"uuid": INSTALLATION});
    let cases = [
        ("nothing", "issue", String::new(), 400),
        ("not JSON", "issue", "{\"action\"".to_owned(), 400),
        ("an array", "issue", json!(["created", uuid]).to_string(), 400),
        ("a text", "issue", "\"created\"".to_owned(), 400),
        ("no action", "issue", json!({"installation": uuid}).to_string(), 400),
        ("an action that is a number", "issue", json!({"action": 1, "installation": uuid}).to_string(), 400),
        ("no installation", "issue", json!({"action": "created"}).to_string(), 400),
        ("an installation that is null", "issue", json!({"action": "created", "installation": null}).to_string(), 400),
        ("an odd UUID", "issue", json!({"action": "created", "installation": {"uuid": "../x"}}).to_string(), 400),
        ("no resource", "", body("created"), 400),
        ("a resource in capitals", "Issue", body("created"), 400),
        ("a resource with a space", "is sue", body("created"), 400),
        ("a resource that is too long", &"a".repeat(65), body("created"), 400),
        ("the bundle's own resource", "switchboard", body("created"), 400),
        ("an unknown resource", "brand_new.thing-1", body("created"), 202),
        ("an unknown action", "issue", body("contemplated"), 202),
        ("another resource's name", "metric_alert", body("assigned"), 202),
        (
            "data of no known shape",
            "issue",
            json!({"action": "created", "installation": uuid, "data": [1]}).to_string(),
            202,
        ),
        ("no data", "error", json!({"action": "created", "installation": uuid}).to_string(), 202),
    ];
    let mut queued = 0;
    for (name, resource, body, expected) in cases {
        let mut sent = signed(&world, resource, &body);
        if resource.is_empty() {
            sent.remove("sentry-hook-resource");
        }
        let (status, answer) = post(&world, &sent, body).await;
        assert_eq!(status, expected, "{name}: {answer}");
        queued += u64::from(expected == 202);
        assert_eq!(world.ports.events.depth().await, queued, "{name}");
    }
    // Whatever was taken can be worked off: nothing of it is poison.
    world.work().await;
    assert_eq!(world.ports.events.depth().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused_with_413() {
    let world = World::new().await;
    let at_most = |length: usize| {
        let frame = body("created");
        format!("{}{}", frame, " ".repeat(length - frame.len()))
    };
    for (name, length, queue_takes, expected) in [
        ("at the limit", MAX_BODY_BYTES, None, 202),
        ("over the limit", MAX_BODY_BYTES + 1, None, 413),
        ("packs into what the queue takes", 4 * 1024 * 1024, Some(1_048_576), 202),
        ("more than the queue takes", 4096, Some(1024), 413),
    ] {
        *world.ports.events.max_bytes.lock().unwrap() = queue_takes;
        let body = at_most(length);
        assert_eq!(post(&world, &signed(&world, "issue", &body), body).await.0, expected, "{name}");
    }
    assert_eq!(world.webhook.too_large(&HeaderMap::new()).status(), 413);
}

#[tokio::test(start_paused = true)]
async fn a_queue_in_trouble_is_tried_twice_within_the_deadline() {
    use QueueFault::{Down, Hangs, SentAndDown, SentAndHangs};
    let cases: [(&str, &[QueueFault], u16, u64); 8] = [
        ("down once", &[Down], 202, 1),
        ("down twice", &[Down, Down], 503, 0),
        ("hangs once", &[Hangs], 202, 1),
        ("hangs twice", &[Hangs, Hangs], 503, 0),
        ("perhaps sent, then sent", &[SentAndHangs], 202, 1),
        ("sent but denied, then sent", &[SentAndDown], 202, 1),
        ("perhaps sent twice", &[SentAndHangs, SentAndHangs], 503, 1),
        ("down, then hangs", &[Down, Hangs], 503, 0),
    ];
    for (name, faults, expected, queued) in cases {
        let world = World::new().await;
        world.ports.events.fail(faults.iter().copied());
        let body = body("created");
        let began = world.now();
        assert_eq!(post(&world, &signed(&world, "issue", &body), body).await.0, expected, "{name}");
        let took = world.now().duration_since(began).unsigned_abs();
        assert!(took <= Duration::from_millis(900), "{name}: {took:?}");
        assert_eq!(world.ports.events.depth().await, queued, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_start_shortens_the_wait_but_leaves_one_full_try() {
    for (late_ms, least_ms, most_ms) in [(0u64, 850, 900), (600, 400, 400), (880, 400, 400), (6000, 850, 900)] {
        let world = World::new().await;
        world.ports.events.fail([QueueFault::Hangs, QueueFault::Hangs]);
        let body = body("created");
        let now = world.now();
        let began = now - Duration::from_millis(late_ms);
        let sent = signed(&world, "issue", &body);
        assert_eq!(world.webhook.handle(&sent, body.into(), Some(began)).await.status(), 503);
        let took = world.now().duration_since(now).as_millis();
        assert!((least_ms..=most_ms).contains(&took), "{late_ms} ms late: {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_uninstall_is_answered_well_even_without_a_queue() {
    let world = World::new().await;
    for (resource, action, expected) in [
        ("installation", "deleted", 202),
        ("uninstallation", "deleted", 202),
        ("installation", "created", 503),
        ("issue", "deleted", 503),
    ] {
        world.ports.events.fail([QueueFault::Down, QueueFault::Down]);
        let body = body(action);
        assert_eq!(post(&world, &signed(&world, resource, &body), body).await.0, expected, "{resource}.{action}");
    }
    assert_eq!(world.ports.events.depth().await, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_usable_secret_the_answer_is_503_until_it_is_filled() {
    let world = World::new().await;
    let body = body("created");
    let sent = signed(&world, "issue", &body);
    let right = app_secret(&world.sentry);
    let cases = [
        ("as the template makes it", "{}".to_owned()),
        ("not JSON", "client_secret=hunter2hunter2".to_owned()),
        ("half of it", json!({"client_id": right["client_id"]}).to_string()),
        ("a line end in the secret", json!({"client_id": "a", "client_secret": "hunter2hunter2\n"}).to_string()),
        ("empty", json!({"client_id": "a", "client_secret": ""}).to_string()),
    ];
    for (name, text) in cases {
        let vault = crate::ports::Vault::default();
        vault.put(Secret::App, text, None);
        let webhook = Webhook {
            secrets: AppSecrets::new(vault.clone(), world.ports.clock),
            queue: world.ports.events.clone(),
            clock: world.ports.clock,
        };
        let answer = webhook.handle(&sent, body.clone().into(), None).await;
        assert_eq!(answer.status(), 503, "{name}");
        assert!(!answer.body().contains("hunter2"), "{name}: {}", answer.body());
        assert_eq!(world.ports.events.depth().await, 0, "{name}");
        vault.put(Secret::App, right.to_string(), None);
        let answer = webhook.handle(&sent, body.clone().into(), None).await;
        assert_eq!(answer.status(), 202, "{name}: filling it works at once");
        tokio::time::sleep(Duration::from_hours(1)).await;
        world.work().await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_rotation_the_previous_secret_counts_for_a_day() {
    let world = World::new().await;
    let new = json!({"client_id": "id", "client_secret": "n".repeat(64)});
    let first = body("created");
    assert_eq!(post(&world, &signed(&world, "issue", &first), first).await.0, 202);
    let rotated_at = world.now();
    world.ports.secrets.put(Secret::App, new.to_string(), Some(rotated_at));
    let other = simulator::Simulator::new(Config { client_secret: "n".repeat(64).into(), ..Config::default() });
    for (after, by_old, by_new) in [(2, 202, 202), (23 * 60, 202, 202), (24 * 60 + 3, 401, 202)] {
        let at = rotated_at + Duration::from_mins(after);
        tokio::time::sleep(Duration::try_from(at.duration_since(world.now())).unwrap()).await;
        let body = body(&format!("after {after} min"));
        let by =
            |signature: String| headers(&[("sentry-hook-signature", &signature), ("sentry-hook-resource", "issue")]);
        assert_eq!(post(&world, &by(other.sign(body.as_bytes())), body.clone()).await.0, by_new, "{after} min, new");
        assert_eq!(post(&world, &by(world.sentry.sign(body.as_bytes())), body).await.0, by_old, "{after} min, old");
    }
}

#[tokio::test(start_paused = true)]
async fn forged_signatures_read_the_secret_once_a_minute_at_most() {
    let world = World::new().await;
    let forged = headers(&[("sentry-hook-signature", &"0".repeat(64)), ("sentry-hook-resource", "issue")]);
    for _ in 0..500 {
        assert_eq!(post(&world, &forged, body("created")).await.0, 401);
    }
    let readings = world.ports.secrets.readings.lock().unwrap().len();
    assert!(readings <= 4, "{readings} readings for 500 forgeries");
}

#[tokio::test(start_paused = true)]
async fn every_sample_of_a_webhook_is_taken_with_its_own_secret_and_refused_with_a_bit_changed() {
    let world = World::new().await;
    let mut taken = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/samples")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let sample: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = sample["kind"].as_str().unwrap();
        let mut sent = HeaderMap::new();
        for (name, value) in sample["headers"].as_object().unwrap() {
            let name: http::HeaderName = name.parse().unwrap();
            sent.append(name, value.as_str().unwrap().parse().unwrap());
        }
        let body = base64::engine::general_purpose::STANDARD.decode(sample["body"].as_str().unwrap()).unwrap();
        let vault = crate::ports::Vault::default();
        let app = json!({"client_id": sample["client_id"], "client_secret": sample["client_secret"]});
        vault.put(Secret::App, app.to_string(), None);
        let webhook = Webhook {
            secrets: AppSecrets::new(vault, world.ports.clock),
            queue: world.ports.events.clone(),
            clock: world.ports.clock,
        };
        let is_webhook = sample["signature_header"] == "Sentry-Hook-Signature";
        let expected = if is_webhook { 202 } else { 401 };
        assert_eq!(webhook.handle(&sent, body.clone().into(), None).await.status(), expected, "{name}");
        if !is_webhook {
            continue;
        }
        taken += 1;
        for bit in [0, 7, body.len() * 4, body.len() * 8 - 1] {
            let mut changed = body.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(webhook.handle(&sent, changed.into(), None).await.status(), 401, "{name}, bit {bit}");
        }
    }
    assert!(taken >= 20, "{taken} samples");
    assert_eq!(world.ports.events.depth().await, taken);
    // And each of them can be handled: none waits, none is poison.
    world.pass(Duration::from_mins(15)).await;
    assert_eq!(world.ports.events.depth().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_published_app_is_sent_again_what_got_a_503_and_others_are_not() {
    for (kind, attempts, queued) in [(AppKind::Published, 2, 1), (AppKind::Unpublished, 1, 0)] {
        let world = World::of(Config { kind, ..Config::default() }).await;
        world.installed().await;
        world.ports.events.fail([QueueFault::Down, QueueFault::Down]);
        let created = world.sentry.create_issue(NewIssue::new("Backend", "a")).await.unwrap();
        assert!(!created.delivery.is_accepted(), "{kind:?}");
        assert_eq!(created.delivery.finished().await.len(), attempts, "{kind:?}");
        assert_eq!(world.ports.events.depth().await, queued, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_is_a_503_in_time() {
    for hangs in [false, true] {
        let world = World::new().await;
        *world.ports.secrets.broken.lock().unwrap() = Some(if hangs { Broken::Hangs } else { Broken::Down });
        let body = body("created");
        let began = world.now();
        assert_eq!(post(&world, &signed(&world, "issue", &body), body.clone()).await.0, 503);
        assert!(world.now().duration_since(began).unsigned_abs() <= Duration::from_millis(900));
        *world.ports.secrets.broken.lock().unwrap() = None;
        assert_eq!(post(&world, &signed(&world, "issue", &body), body).await.0, 202, "nothing of it is kept");
    }
}

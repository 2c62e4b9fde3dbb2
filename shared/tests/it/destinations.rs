//! From Sentry's event to what stands at the destination in the end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::ports::{Clock as _, DeliveryState, Secret};
use simulator::{Endpoint, Fault, Hook, IncidentState, PagerDuty, Receiver};

use crate::world::{World, issue, user};

const MINUTE: Duration = Duration::from_mins(1);
const HOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const ROUTES: &str = r#"
[[destination]]
name = "on-call"
type = "pagerduty"
routing_key = "secret:routing-key"
base_url = "http://pagerduty.test"

[[destination]]
name = "archive"
type = "webhook"
url = "secret:hook"
secret = "secret:hook-secret"

[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
base_url = "http://pushover.test"
priority = { error = 2 }
retry = 30
expire = 10800

[[route]]
name = "all"
when = { event = "issue.*" }
to = ["on-call", "archive", "phones"]
"#;

async fn world() -> (World, PagerDuty, Receiver) {
    let world = World::new().await;
    let now = world.ports.clock;
    let clock: simulator::Clock = Arc::new(move || now.now());
    let sleep = simulator::Config::default().sleep;
    let pagerduty = PagerDuty::new(Arc::clone(&clock), Arc::clone(&sleep));
    let receiver = Receiver::new(HOOK_SECRET, clock, sleep);
    world.ports.outgoing.plug("pagerduty.test", pagerduty.router());
    world.ports.outgoing.plug("hooks.test", receiver.router());
    let secrets = json!({
        "routing-key": "0123456789abcdef0123456789abcdef",
        "hook": "https://hooks.test/in?key=k",
        "hook-secret": HOOK_SECRET,
        "pushover-user": "u".repeat(30),
        "pushover-token": "a".repeat(30),
    });
    world.ports.secrets.put(Secret::Destinations, secrets.to_string(), None);
    world.push_routes(ROUTES).await;
    world.installed().await;
    (world, pagerduty, receiver)
}

#[tokio::test(start_paused = true)]
async fn an_issue_is_one_incident_and_one_emergency_from_its_creation_to_its_end_although_each_first_try_fails() {
    let (world, pagerduty, _) = world().await;
    let fail = || {
        pagerduty.fail_next(1, &Fault::status(500));
        world.sentry.faults().push(Endpoint::Pushover, Fault::status(500));
    };
    let states = || pagerduty.incidents().iter().map(|incident| incident.state).collect::<Vec<_>>();
    let ringing = || world.rung().iter().filter(|message| message.rings_at(world.now())).count();

    fail();
    let id = issue(&world, "Backend", "boom").await;
    world.work().await;
    assert_eq!((states(), ringing()), (vec![], 0), "both refused the first try");
    world.pass(MINUTE).await;
    assert_eq!(ringing(), 1);
    world.pass(MINUTE).await;
    assert_eq!(states(), [IncidentState::Triggered], "PagerDuty wants a minute");

    fail();
    world.sentry.assign(id, user("ann")).await.unwrap();
    world.pass(2 * MINUTE).await;
    assert_eq!(states(), [IncidentState::Acknowledged]);

    fail();
    world.sentry.resolve_issue(id).await.unwrap();
    world.pass(2 * MINUTE).await;
    assert_eq!((states(), ringing()), (vec![IncidentState::Resolved], 0));
    let actions: Vec<Value> =
        pagerduty.incidents()[0].events.iter().map(|event| event["event_action"].clone()).collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve"]);

    let records = world.records().await;
    let of = |name: &str| records.iter().filter(|record| record.destination.as_str() == name).collect::<Vec<_>>();
    assert!(of("on-call").iter().all(|record| record.state == DeliveryState::Accepted && record.attempts == 2));
    assert_eq!(of("on-call").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_signed_anew_for_each_try_and_keeps_its_id() {
    let (world, _, receiver) = world().await;
    receiver.fail_next(1, &Fault::lost_answer());
    issue(&world, "Backend", "boom").await;
    world.work().await;
    world.pass(MINUTE).await;
    let hooks = receiver.hooks();
    let [first, second] = &*hooks else { panic!("two tries: {hooks:?}") };
    let said = |hook: &Hook| (hook.path.clone(), hook.id.clone(), hook.body.clone());
    assert_eq!(said(first), said(second), "what a receiver drops as a repeat");
    assert!(second.timestamp >= first.timestamp + 5);
    let record = world.records().await.into_iter().find(|record| record.destination.as_str() == "archive").unwrap();
    assert_eq!((record.id.as_str(), record.state), (first.id.as_str(), DeliveryState::Sent));
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(body["type"], "issue.created");
    assert_eq!(body["data"]["title"], "boom");
    assert_eq!(receiver.refused(), Vec::<&str>::new());
}

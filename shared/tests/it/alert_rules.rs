//! What somebody picked in an alert rule's form, besides the routes.

use std::time::Duration;

use serde_json::{Value, json};
use shared::ids::DestinationName;
use shared::ports::{DeliveryRecord, DeliveryState, Secret};
use shared::resend;
use simulator::{Alert, AlertUrls, AppKind, Config, Endpoint, Fault};

use crate::circuit::{CHAT_URL, secrets};
use crate::site::Site;
use crate::world::{World, issue};

const PHONES: &str = r#"
[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
base_url = "http://pushover.test"
mentions = []
"#;

const CHAT: &str = r#"
[[destination]]
name = "chat"
type = "webhook"
url = "secret:chat-url"
secret = "secret:chat-key"
organizations = ["acme"]
"#;

const ALERTS: &str = r#"
[[route]]
name = "alerts"
when = { event = "event_alert.triggered" }
to = ["chat"]
title = "of the route: {{ rule }}"
"#;

/// An internal integration, for which everything without `organizations` is offered, and an issue in it.
async fn world(routes: &str) -> (World, Site, u64) {
    let world = World::of(Config { kind: AppKind::Internal, ..Config::default() }).await;
    let site = Site::new(world.ports.clock);
    world.ports.outgoing.plug("chat.test", site.router());
    world.ports.secrets.put(Secret::Destinations, secrets(CHAT_URL).to_string(), None);
    world.push_routes(routes).await;
    let issue = issue(&world, "Backend", "ValueError: division by zero").await;
    world.work().await;
    (world, site, issue)
}

fn alert(settings: &[(&str, &str)]) -> Alert {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Alert { rule: "Page us".to_owned(), settings: settings.collect(), ..Alert::default() }
}

async fn trigger(world: &World, issue: u64, alert: Alert) {
    assert!(world.sentry.trigger_alert(issue, alert).await.unwrap().is_accepted());
    world.work().await;
}

fn of<'r>(records: &'r [DeliveryRecord], destination: &str) -> Vec<&'r DeliveryRecord> {
    records.iter().filter(|record| record.destination.as_str() == destination).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_picks_hears_of_its_alert_besides_the_routes_with_its_note_and_priority() {
    let (world, site, id) = world(&[PHONES, CHAT, ALERTS].concat()).await;
    let settings = [("destination", "phones"), ("note", "The runbook is in the wiki"), ("priority", "urgent")];
    trigger(&world, id, alert(&settings)).await;
    let rung = world.rung();
    assert_eq!((rung.len(), rung[0].priority), (1, 2));
    assert!(rung[0].message.starts_with("The runbook is in the wiki\n\n"), "{}", rung[0].message);
    assert!(rung[0].message.contains("\nPriority: urgent"), "{}", rung[0].message);
    assert_eq!(site.taken().len(), 1);
    let records = world.records().await;
    assert_eq!(records.len(), 2);
    assert_eq!(
        (of(&records, "phones")[0].route.as_str(), of(&records, "chat")[0].route.as_str()),
        ("(alert rule)", "alerts")
    );
    assert!(records.iter().all(|record| record.state == DeliveryState::Sent));
}

#[tokio::test(start_paused = true)]
async fn a_rule_and_a_route_that_mean_the_same_destination_make_one_delivery_in_the_routes_form() {
    let routes = [PHONES, &ALERTS.replace("chat", "phones")].concat();
    let (world, _, id) = world(&routes).await;
    let settings = [("destination", "phones"), ("note", "Look"), ("mention", "@nobody"), ("priority", "low")];
    trigger(&world, id, alert(&settings)).await;
    let rung = world.rung();
    assert_eq!((rung.len(), rung[0].priority, rung[0].title.as_deref()), (1, -1, Some("of the route: Page us")));
    assert!(rung[0].message.starts_with("Look\n\n"), "{}", rung[0].message);
    let records = world.records().await;
    assert_eq!((records.len(), records[0].route.as_str()), (1, "alerts"));
    let warning = "`@nobody` is not among the destination's `mentions`: nobody is mentioned";
    assert_eq!(records[0].warning.as_deref(), Some(warning));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_gone_leaves_a_dead_letter_that_goes_out_once_it_is_put_back() {
    let (world, _, id) = world(&[CHAT, ALERTS].concat()).await;
    trigger(&world, id, alert(&[("destination", "phones"), ("note", "Look")])).await;
    let records = world.records().await;
    assert_eq!(of(&records, "chat")[0].state, DeliveryState::Sent, "the routes are served all the same");
    let dead = of(&records, "phones")[0];
    assert_eq!((dead.state, dead.attempts, dead.route.as_str()), (DeliveryState::Failed, 0, "(alert rule)"));
    let why = "the alert rule `Page us` picks the destination `phones`, which the routes do not have (any more): put it back and send this again, or pick another in the rule";
    assert_eq!(dead.last_error.as_deref(), Some(why));
    assert_eq!(world.rung().len(), 0);

    world.push_routes(&[PHONES, CHAT, ALERTS].concat()).await;
    let phones: DestinationName = "phones".parse().unwrap();
    let (deliveries, outbox) = (&world.ports.deliveries, &world.ports.outbox);
    let redriven =
        resend::redrive(deliveries, outbox, &phones, jiff::Timestamp::UNIX_EPOCH, world.now()).await.unwrap();
    assert_eq!((redriven.sent, redriven.refused.len()), (1, 0));
    world.work().await;
    let rung = world.rung();
    assert_eq!(rung.len(), 1);
    assert!(rung[0].message.starts_with("Look\n\n"), "{}", rung[0].message);
    assert_eq!(of(&world.records().await, "phones")[0].state, DeliveryState::Sent);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_none_is_a_dead_letter_that_reaches_nobody() {
    let (world, _, id) = world(&[PHONES, CHAT].concat()).await;
    trigger(&world, id, alert(&[("destination", "pho nes")])).await;
    let dead = world.records().await.remove(0);
    assert_eq!((dead.state, dead.destination.as_str()), (DeliveryState::Failed, "pho_nes_"));
    assert!(dead.last_error.unwrap().contains("picks the destination `pho nes`, which is no destination's name"));
    assert_eq!(world.rung().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_public_app_nothing_reaches_a_destination_that_is_not_offered_to_its_organization() {
    let world = World::new().await;
    let organization = world.sentry.config().organization.clone();
    world.push_routes(PHONES).await;
    world.installed().await;
    let id = issue(&world, "Backend", "ValueError: division by zero").await;
    trigger(&world, id, alert(&[("destination", "phones")])).await;
    let redrive = async |world: &World| {
        let phones: DestinationName = "phones".parse().unwrap();
        let (deliveries, outbox) = (&world.ports.deliveries, &world.ports.outbox);
        let since = jiff::Timestamp::UNIX_EPOCH;
        assert_eq!(resend::redrive(deliveries, outbox, &phones, since, world.now()).await.unwrap().sent, 1);
        world.work().await;
    };
    for _ in 0..2 {
        let dead = world.records().await.remove(0);
        assert_eq!((dead.state, dead.route.as_str()), (DeliveryState::Failed, "(alert rule, public app)"));
        assert!(dead.last_error.as_deref().unwrap().contains("do not offer to"), "{:?}", dead.last_error);
        assert_eq!(world.rung().len(), 0);
        // Nor does it when many are sent again at once.
        redrive(&world).await;
    }
    world.push_routes(&format!("{PHONES}organizations = [\"{organization}\"]\n")).await;
    // `deliver` asks for newer routes every 30 s.
    world.pass(Duration::from_mins(1)).await;
    redrive(&world).await;
    assert_eq!((world.rung().len(), world.records().await[0].state), (1, DeliveryState::Sent));
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_picks_does_not_wait_for_a_look_up_that_the_routes_need() {
    let by_project = ALERTS.replace("triggered\"", "triggered\", project = \"Backend\"");
    let (world, site, id) = world(&[PHONES, CHAT, &by_project].concat()).await;
    world.sentry.faults().push_times(Endpoint::Issue, 2, Fault::status(500));
    let alert = Alert { urls: AlertUrls::Absent, ..alert(&[("destination", "phones")]) };
    trigger(&world, id, alert).await;
    assert_eq!((world.rung().len(), site.taken().len()), (1, 0));
    world.pass(Duration::from_mins(20)).await;
    assert_eq!((world.rung().len(), site.taken().len()), (1, 1), "each once");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_metric_alert_goes_where_its_beginning_went() {
    let (world, _, _) = world(PHONES).await;
    let installation = world.sentry.internal_installation().unwrap();
    let send = async |action: &str| {
        let settings = json!([{"name": "destination", "value": "phones"}, {"name": "priority", "value": "high"}]);
        let ours = json!({"type": "sentry_app", "sentry_app_installation_uuid": installation, "settings": settings});
        let rule: Value = json!({"id": "1", "name": "Errors", "triggers": [{"label": "critical", "actions": [ours]}]});
        let data =
            json!({"metric_alert": {"id": "2", "identifier": "1", "alert_rule": rule}, "description_title": action});
        let body = json!({"action": action, "installation": {"uuid": installation}, "data": data});
        assert!(world.sentry.send_raw("metric_alert", body.to_string().into_bytes()).await.is_accepted());
        world.work().await;
    };
    send("critical").await;
    send("warning").await;
    send("resolved").await;
    let rung: Vec<_> = world.rung().into_iter().map(|rung| rung.priority).collect();
    assert_eq!(rung, [1, 0], "good news wakes nobody");
}

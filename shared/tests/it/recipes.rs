//! The recipes of `infra/routes`: each delivers what its own tests expect, from recorded webhooks to what stands at the
//! destinations in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::delivery::Delivery;
use shared::ids::{DeliveryId, EventId};
use shared::normalized::Normalized;
use shared::payload;
use shared::ports::{Clock as _, Deliveries as _, Queue as _, Secret, Written};
use shared::routing::{self, Decision, LookedUp, Planned, Routes};
use simulator::{Discord, IncidentState, Mattermost, PagerDuty, Slack};

use crate::world::World;

/// All stand-ins, at the vendors' own addresses.
struct Town {
    world: World,
    discord: Discord,
    mattermost: Mattermost,
    pagerduty: PagerDuty,
    slack: Slack,
}

fn recipe(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../infra/routes/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

impl Town {
    async fn with(recipe: &str) -> Self {
        let world = World::new().await;
        let now = world.ports.clock;
        let clock: simulator::Clock = Arc::new(move || now.now());
        let sleep = simulator::Config::default().sleep;
        let both = || (Arc::clone(&clock), Arc::clone(&sleep));
        let (clock, sleep) = both();
        let discord = Discord::new(clock, sleep);
        let (clock, sleep) = both();
        let mattermost = Mattermost::new(clock, sleep);
        let (clock, sleep) = both();
        let pagerduty = PagerDuty::new(clock, sleep);
        let (clock, sleep) = both();
        let slack = Slack::new(clock, sleep);
        slack.add_channel("backend");
        let wires = &world.ports.outgoing;
        wires.plug("api.pushover.net", world.sentry.pushover_router());
        wires.plug("discord.com", discord.router());
        wires.plug("mattermost.test", mattermost.router());
        wires.plug("events.pagerduty.com", pagerduty.router());
        wires.plug("slack.com", slack.router());
        let secrets = json!({
            "pushover-user": "u".repeat(30),
            "pushover-token": "a".repeat(30),
            "discord-backend": discord.webhook_url(),
            "discord-frontend": discord.webhook_url(),
            "discord-others": discord.webhook_url(),
            "mattermost": format!("https://mattermost.test{}", mattermost.hook_path()),
            "pagerduty-routing-key": "0123456789abcdef0123456789abcdef",
            "slack-bot-token": slack.bot_token(),
        });
        world.ports.secrets.put(Secret::Destinations, secrets.to_string(), None);
        world.push_routes(recipe).await;
        Self { world, discord, mattermost, pagerduty, slack }
    }

    /// Delivers the recorded `event` with `set` put over it, as if `dispatch` had routed it; returns where to.
    async fn deliver(&self, routes: &Routes, event: &str, set: &[(String, Value)]) -> BTreeSet<String> {
        let (mut normalized, mut raw) = recorded(event);
        for (key, value) in set {
            routing::set(&mut normalized, &mut raw, key, value.clone()).unwrap();
        }
        let Decision::Deliver(planned) = routes.decide(&normalized, &raw, LookedUp::Yes) else {
            panic!("nothing is left to look up")
        };
        let to = planned.iter().map(|planned| planned.destination.to_string()).collect();
        for planned in planned {
            self.fan_out(&normalized, planned).await;
        }
        self.world.pass(Duration::from_mins(2)).await;
        to
    }

    async fn fan_out(&self, normalized: &Normalized, planned: Planned) {
        let ports = &self.world.ports;
        let accepted_at = ports.clock.now();
        let event = EventId::of_signature(&accepted_at.as_nanosecond().to_string());
        let id = DeliveryId::of(&event, accepted_at, &planned.destination);
        let group = format!("{}:{}", planned.destination, "0".repeat(32));
        let delivery = Delivery {
            id,
            event,
            destination: planned.destination,
            route: planned.route,
            routes: 2,
            accepted_at,
            normalized: normalized.clone(),
            rule: None,
            original: None,
            resend: None,
        };
        assert_eq!(ports.deliveries.create(&delivery.queued(group.clone())).await.unwrap(), Written::Done);
        ports.outbox.send(&delivery.to_message(group)).await.unwrap();
    }

    /// How many deliveries ended how; none of them with a warning.
    async fn ends(&self) -> BTreeMap<&'static str, usize> {
        let mut ends = BTreeMap::new();
        for record in self.world.records().await {
            assert_eq!((record.last_error, record.warning), (None, None), "{} to {}", record.title, record.destination);
            *ends.entry(record.state.as_str()).or_default() += 1;
        }
        ends
    }
}

/// A webhook as a real Sentry sent it.
fn recorded(event: &str) -> (Normalized, Value) {
    let path = format!("{}/samples/{event}.json", env!("CARGO_MANIFEST_DIR"));
    let sample: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let body = STANDARD.decode(sample["body"].as_str().unwrap()).unwrap();
    let resource = event.split('.').next().unwrap().parse().unwrap();
    let event = payload::Event::parse(&resource, &body).unwrap();
    (Normalized::of(&event), event.raw)
}

/// Plays all tests of the recipe, in order.
async fn played(name: &str) -> Town {
    let text = recipe(name);
    let routes = Routes::compile(&text).unwrap();
    assert!(routes.warnings().is_empty(), "{:?}", routes.warnings());
    let town = Town::with(&text).await;
    let mut delivered = 0;
    for test in routes.tests() {
        let to = town.deliver(&routes, &test.event, &test.set).await;
        assert_eq!(to, test.expect.iter().map(ToString::to_string).collect(), "{name}: {}", test.name);
        delivered += to.len();
    }
    assert!(delivered > 0);
    assert_eq!(town.ends().await.values().sum::<usize>(), delivered, "each once");
    town
}

#[tokio::test(start_paused = true)]
async fn backend_rings_the_phone_until_the_fatal_issue_is_resolved() {
    let town = played("backend-to-the-phone").await;
    let rung = town.world.rung();
    assert_eq!(rung.iter().map(|message| message.priority).collect::<Vec<_>>(), [2, 0]);
    assert!(!rung.iter().any(|message| message.rings_at(town.world.now())));
    assert_eq!(town.ends().await, [("sent", 2)].into());
}

#[tokio::test(start_paused = true)]
async fn each_project_has_its_discord_channel_and_one_message_an_issue() {
    let town = played("discord-per-project").await;
    assert_eq!(town.ends().await, [("sent", 4)].into());
    let messages = town.discord.messages();
    assert_eq!(messages.len(), 3, "the resolved one is an edit: {messages:?}");
    assert!(messages.iter().all(|message| message.woke.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn everything_but_installs_is_on_the_event_bus() {
    let town = played("mirror-to-eventbridge").await;
    let on_the_bus = town.world.ports.buses.0.lock().unwrap();
    let types: Vec<&str> = on_the_bus.iter().map(|event| event.detail_type.as_str()).collect();
    assert_eq!(types, ["issue.created", "metric_alert.critical", "seer.root_cause_completed"]);
    assert!(on_the_bus.iter().all(|event| event.bus == "sentry-events" && event.source == "sentry-switchboard"));
}

#[tokio::test(start_paused = true)]
async fn mattermost_gets_alerts_and_wakes_who_is_on_call_for_what_is_fatal() {
    let town = played("mattermost-instead-of-the-legacy-plugin").await;
    let wakes: Vec<Vec<String>> = town.mattermost.posts().into_iter().map(|post| post.wakes).collect();
    assert_eq!(wakes, [vec![], vec!["oncall".to_owned()]]);
}

#[tokio::test(start_paused = true)]
async fn a_regression_pages_and_its_end_is_told_in_one_thread() {
    let text = recipe("page-on-regression");
    played("page-on-regression").await;

    let routes = Routes::compile(&text).unwrap();
    let town = Town::with(&text).await;
    let issue = |more: Value| {
        let mut set = vec![("issue".to_owned(), json!("77")), ("installation".to_owned(), json!(INSTALLATION))];
        set.extend(more.as_object().unwrap().clone());
        set
    };
    town.deliver(&routes, "issue.unresolved", &issue(json!({"substatus": "regressed"}))).await;
    assert_eq!(town.pagerduty.incidents()[0].state, IncidentState::Triggered);
    town.deliver(&routes, "issue.assigned", &issue(json!({}))).await;
    assert_eq!(town.pagerduty.incidents()[0].state, IncidentState::Acknowledged);
    town.deliver(&routes, "issue.resolved", &issue(json!({}))).await;
    let incidents = town.pagerduty.incidents();
    assert_eq!((incidents.len(), incidents[0].state), (1, IncidentState::Resolved));
    let threads = town.slack.threads("backend");
    assert_eq!(threads.len(), 1, "{threads:?}");
    assert_eq!(threads[0].replies.len(), 2, "assigned and resolved: {threads:?}");
    assert_eq!(town.ends().await, [("accepted", 3), ("sent", 3)].into());
}

#[tokio::test(start_paused = true)]
async fn the_recipe_of_the_components_routes_as_any_other() {
    let town = played("ui-components").await;
    assert_eq!(town.slack.threads("backend").len(), 1);
    assert_eq!(town.ends().await, [("sent", 1)].into());
}

const INSTALLATION: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";

#[test]
fn every_recipe_is_played() {
    let folder = format!("{}/../infra/routes", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let expected = [
        "backend-to-the-phone",
        "discord-per-project",
        "example",
        "mattermost-instead-of-the-legacy-plugin",
        "mirror-to-eventbridge",
        "page-on-regression",
        "ui-components",
    ];
    assert_eq!(names, expected, "a new recipe wants a test above");
}

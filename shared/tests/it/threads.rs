//! One conversation an issue, whatever fails on the way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared::ports::{Clock as _, DeliveryState, Secret};
use simulator::{Discord, Fault, IncidentState, PagerDuty, Slack};

use crate::world::{World, issue, user};

const MINUTE: Duration = Duration::from_mins(1);

const DISCORD: &str = r#"
[[destination]]
name = "chat"
type = "discord"
url = "secret:discord-url"
base_url = "http://discord.test"

[[route]]
name = "all"
when = { event = "*" }
to = ["chat"]
"#;

async fn world_with_discord() -> (World, Discord) {
    let world = World::new().await;
    let clock = world.ports.clock;
    let discord = Discord::new(Arc::new(move || clock.now()), Arc::new(|wait| Box::pin(tokio::time::sleep(wait))));
    world.ports.outgoing.plug("discord.test", discord.router());
    world.ports.secrets.put(Secret::Destinations, json!({ "discord-url": discord.webhook_url() }).to_string(), None);
    world.installed().await;
    world.push_routes(DISCORD).await;
    (world, discord)
}

#[tokio::test(start_paused = true)]
async fn created_assigned_resolved_is_one_message_though_the_first_try_of_each_fails() {
    for fault in [Fault::status(500), Fault::html(502), Fault::rate_limited(Duration::from_secs(7))] {
        let (world, discord) = world_with_discord().await;
        let mut tries = Vec::new();
        discord.fail_next(1, &fault);
        let id = issue(&world, "Backend", "TypeError: x").await;
        world.pass(MINUTE).await;
        tries.push(discord.messages().len());
        for step in ["assigned", "resolved"] {
            discord.fail_next(1, &fault);
            match step {
                "assigned" => world.sentry.assign(id, user("ann")).await.map(drop).unwrap(),
                _ => world.sentry.resolve_issue(id).await.map(drop).unwrap(),
            }
            world.pass(MINUTE).await;
            tries.push(discord.messages().len());
        }
        let records = world.records().await;
        let states: Vec<_> =
            records.iter().map(|record| (record.event_name.as_str(), record.state, record.attempts)).collect();
        let sent = |name| (name, DeliveryState::Sent, 2);
        assert_eq!(states, [sent("issue.created"), sent("issue.assigned"), sent("issue.resolved")]);
        assert_eq!(tries, [1, 1, 1], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_of_one_issue_is_kept_in_order_whatever_its_resource() {
    let (world, _) = world_with_discord().await;
    let id = issue(&world, "Backend", "a").await;
    world.sentry.assign(id, user("ann")).await.unwrap();
    world.sentry.trigger_alert(id, simulator::Alert::default()).await.unwrap();
    world.work().await;
    let groups: std::collections::BTreeSet<String> =
        world.records().await.into_iter().map(|record| record.group).collect();
    assert_eq!((world.records().await.len(), groups.len()), (3, 1), "{groups:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_somebody_deleted_is_begun_anew_at_once() {
    let (world, discord) = world_with_discord().await;
    let id = issue(&world, "Backend", "a").await;
    world.work().await;
    let first = discord.messages().remove(0);
    discord.delete_message(&first.id);
    for _ in 0..2 {
        world.sentry.assign(id, user("ann")).await.unwrap();
        world.sentry.resolve_issue(id).await.unwrap();
        world.work().await;
    }
    let records = world.records().await;
    assert!(records.iter().all(|record| record.state == DeliveryState::Sent && record.attempts == 1), "{records:?}");
    let messages: Vec<String> = discord.messages().into_iter().map(|message| message.id).collect();
    assert_eq!(messages.len(), 1, "one new one, and what followed is in it: {messages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_thread_is_kept_half_a_year() {
    let (world, discord) = world_with_discord().await;
    let id = issue(&world, "Backend", "a").await;
    world.work().await;
    tokio::time::sleep(Duration::from_hours(179 * 24)).await;
    world.sentry.resolve_issue(id).await.unwrap();
    world.work().await;
    assert_eq!(discord.messages().len(), 1);
    tokio::time::sleep(Duration::from_hours(181 * 24)).await;
    world.sentry.assign(id, user("ann")).await.unwrap();
    world.work().await;
    assert_eq!(discord.messages().len(), 2);
}

const SLACK_AND_PAGERDUTY: &str = r#"
[[destination]]
name = "chat"
type = "slack"
bot_token = "secret:bot-token"
channel = "alerts"
base_url = "http://slack.test"

[[destination]]
name = "on-call"
type = "pagerduty"
routing_key = "secret:routing-key"
base_url = "http://pagerduty.test"

[[route]]
name = "all"
when = { event = "issue.*" }
to = ["chat", "on-call"]
"#;

#[tokio::test(start_paused = true)]
async fn an_issue_is_one_thread_in_slack_and_one_incident_though_the_first_try_of_each_event_fails() {
    let world = World::new().await;
    let now = world.ports.clock;
    let clock: simulator::Clock = Arc::new(move || now.now());
    let sleep = simulator::Config::default().sleep;
    let (slack, pagerduty) = (Slack::new(Arc::clone(&clock), Arc::clone(&sleep)), PagerDuty::new(clock, sleep));
    world.ports.outgoing.plug("slack.test", slack.router());
    world.ports.outgoing.plug("pagerduty.test", pagerduty.router());
    let secrets = json!({ "bot-token": slack.bot_token(), "routing-key": "0123456789abcdef0123456789abcdef" });
    world.ports.secrets.put(Secret::Destinations, secrets.to_string(), None);
    world.installed().await;
    world.push_routes(SLACK_AND_PAGERDUTY).await;

    let mut id = 0;
    for step in ["created", "assigned", "resolved"] {
        slack.fail_next(1, &Fault::status(503));
        pagerduty.fail_next(1, &Fault::status(503));
        match step {
            "created" => id = issue(&world, "Backend", "TypeError: x").await,
            "assigned" => world.sentry.assign(id, user("ann")).await.map(drop).unwrap(),
            _ => world.sentry.resolve_issue(id).await.map(drop).unwrap(),
        }
        world.work().await;
        let last: Vec<_> = world.records().await.into_iter().rev().take(2).map(|record| record.state).collect();
        assert_eq!(last, [DeliveryState::Queued; 2], "{step}: the first try failed");
        world.pass(10 * MINUTE).await;
    }
    let threads = slack.threads("alerts");
    assert_eq!(threads.len(), 1, "{threads:?}");
    assert!(threads[0].parent.edits > 0, "the first message says how it stands");
    let incidents = pagerduty.incidents();
    assert_eq!((incidents.len(), incidents[0].state, pagerduty.dropped()), (1, IncidentState::Resolved, 0));
    for record in world.records().await {
        let ended = matches!(record.state, DeliveryState::Sent | DeliveryState::Accepted);
        assert!(ended && record.attempts == 2, "{record:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_slack_may_have_done_is_repeated_and_the_record_says_so() {
    let world = World::new().await;
    let now = world.ports.clock;
    let slack = Slack::new(Arc::new(move || now.now()), simulator::Config::default().sleep);
    world.ports.outgoing.plug("slack.test", slack.router());
    world.ports.secrets.put(
        Secret::Destinations,
        json!({ "bot-token": slack.bot_token(), "routing-key": "k" }).to_string(),
        None,
    );
    world.installed().await;
    world.push_routes(&SLACK_AND_PAGERDUTY.replace("[\"chat\", \"on-call\"]", "[\"chat\"]")).await;
    slack.refuse_next("internal_error");
    issue(&world, "Backend", "a").await;
    world.work().await;
    let record = world.records().await.remove(0);
    assert_eq!((record.state, record.last_status), (DeliveryState::Queued, Some(200)));
    assert!(record.last_error.as_deref().unwrap().contains("it may come twice"), "{:?}", record.last_error);
    assert!(record.last_answer.as_deref().unwrap().contains("internal_error"), "{:?}", record.last_answer);
    world.pass(MINUTE).await;
    assert_eq!(world.records().await[0].state, DeliveryState::Sent);
    assert_eq!(slack.threads("alerts").len(), 1);
}

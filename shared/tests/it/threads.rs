//! One conversation an issue, whatever fails on the way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared::ports::{Clock as _, DeliveryState, Secret};
use simulator::{Discord, Fault};

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

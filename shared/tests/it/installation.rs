//! How an installation lives and ends: renewed, won back, removed.

use std::time::Duration;

use futures::future::join;
use shared::ports::{Installations as _, Secret, Status, Written};
use shared::sentry::BaseUrl;
use simulator::{Endpoint, Fault, NewIssue, Order, Version};

use crate::ports::QueueFault;
use crate::world::{World, alert_to_look_up, of_version, order};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

async fn forget(world: &World, installation: &str) {
    let mut row = world.row(installation).await.unwrap();
    row.forget(world.now());
    assert_eq!(world.ports.installations.write(&row, world.now()).await.unwrap(), Written::Done);
    assert!(world.row(installation).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_early_by_the_way_that_the_server_knows() {
    for (version, manual) in [(Version::Today, true), (Version::V23_7_1, false)] {
        let world = of_version(version).await;
        let id = world.installed().await;
        let installed_at = world.now();
        let first = world.token(&id).await;
        world.live(5 * HOUR + 40 * MINUTE).await;
        assert_eq!(world.token(&id).await, first, "{version:?}: not before 2 h and a bit are left");
        world.live(30 * MINUTE).await;
        assert_ne!(world.token(&id).await, first, "{version:?}");
        assert_eq!(world.sentry.refreshes(), 1, "{version:?}");
        assert_eq!(world.sentry.manual_refreshes(), usize::from(manual), "{version:?}");
        while world.now() < installed_at + 3 * 24 * HOUR {
            world.live(HOUR).await;
            let row = world.row(&id).await.unwrap();
            assert!(row.expires_at.unwrap() > world.now() + HOUR, "{version:?}: {:?}", row.expires_at);
        }
        let renewed = world.sentry.refreshes();
        assert!((10..=13).contains(&renewed), "{version:?}: {renewed} renewals in three days");
        assert_eq!(world.row(&id).await.unwrap().manual_refresh_worked, manual, "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn renewals_of_one_hour_do_not_come_all_at_once() {
    let world = World::new().await;
    for number in 0..20 {
        world.installed_for(&format!("org-{number}")).await;
    }
    let mut renewed = Vec::new();
    world.pass(5 * HOUR + 45 * MINUTE).await;
    for _ in 0..20 {
        renewed.push(world.tick().await.renewed);
        world.pass(MINUTE).await;
    }
    assert_eq!(renewed.iter().sum::<usize>(), 20, "{renewed:?}");
    assert!(renewed.iter().all(|count| *count <= 8), "{renewed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_is_never_used() {
    for version in [Version::Today, Version::V23_7_1] {
        let world = of_version(version).await;
        let id = world.installed().await;
        // Nobody keeps the schedule: renewal is on demand.
        for hours in [1, 7, 9, 30] {
            world.pass(hours * HOUR).await;
            // Past what look-ups told before.
            alert_to_look_up(&world.sentry).await;
            world.pass(MINUTE).await;
        }
        assert_eq!(world.calls("issue"), [200, 200, 200, 200], "{version:?}");
        assert!(world.row(&id).await.unwrap().expires_at.unwrap() > world.now(), "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_is_renewed_once_and_tried_once_more() {
    for (name, refusals, calls, renewals) in [
        ("in passing", 1, vec![401, 200], 1),
        ("twice", 2, vec![401, 401, 200], 1),
        // Sentry renews by hand only every ten seconds: the third refusal meets a 409, and the fourth try no refusal.
        ("thrice", 3, vec![401, 401, 401, 200], 1),
    ] {
        let world = World::new().await;
        world.installed().await;
        world.sentry.faults().push_times(Endpoint::Issue, refusals, Fault::status(401));
        alert_to_look_up(&world.sentry).await;
        world.work().await;
        assert!(world.sentry.refreshes() <= 1, "{name}");
        world.pass(10 * MINUTE).await;
        assert_eq!(world.calls("issue"), calls, "{name}");
        assert_eq!(world.sentry.refreshes(), renewals, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_that_another_process_has_renewed_is_read_again_and_not_renewed() {
    let world = World::new().await;
    let id = world.installed().await;
    // The look-up takes the old token along; while it is on its way, another process renews.
    world.sentry.faults().push(Endpoint::Issue, Fault::status(401).after(Duration::from_secs(5)));
    alert_to_look_up(&world.sentry).await;
    let renew = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.keeper.renew(id.parse().unwrap(), Duration::from_secs(20)).await.unwrap();
    };
    join(world.pass(MINUTE), renew).await;
    assert_eq!(world.calls("issue"), [401, 200]);
    assert_eq!(world.sentry.refreshes(), 1);
}

#[tokio::test(start_paused = true)]
async fn refusals_never_remove_but_after_an_hour_past_expiry_a_person_is_asked() {
    for version in [Version::Today, Version::V23_7_1] {
        for status in [401, 403] {
            let name = format!("{status}, {version:?}");
            let world = of_version(version).await;
            let id = world.installed().await;
            world.sentry.faults().push_times(Endpoint::Token, 10_000, Fault::status(status));
            world.live(8 * HOUR + 50 * MINUTE).await;
            assert_eq!(world.row(&id).await.unwrap().status, Status::Active, "{name}");
            world.live(40 * MINUTE).await;
            assert_eq!(world.row(&id).await.unwrap().status, Status::NeedsReinstall, "{name}");
            let before = world.calls("token").len();
            world.live(48 * HOUR).await;
            let row = world.row(&id).await.unwrap();
            assert_eq!(row.status, Status::NeedsReinstall, "{name}");
            assert!(row.tokens.is_some(), "{name}: kept, to be won back");
            let tries = world.calls("token").len() - before;
            assert!((7..=18).contains(&tries), "{name}: {tries} tries in two days");
            world.sentry.faults().clear();
            world.live(7 * HOUR).await;
            assert_eq!(world.row(&id).await.unwrap().status, Status::Active, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn needs_reinstall_routes_events_without_look_ups_and_without_waiting() {
    let world = of_version(Version::V23_7_1).await;
    let id = world.installed().await;
    world.sentry.faults().push_times(Endpoint::Token, 10_000, Fault::status(403));
    world.live(10 * HOUR).await;
    assert_eq!(world.row(&id).await.unwrap().status, Status::NeedsReinstall);
    let before = world.calls("token").len();
    alert_to_look_up(&world.sentry).await;
    world.pass(MINUTE).await;
    assert_eq!(world.ports.events.depth().await, 0);
    assert!(world.calls("issue").is_empty());
    assert_eq!(world.calls("token").len(), before, "the schedule wins it back, not each event");
}

#[tokio::test(start_paused = true)]
async fn two_answers_of_404_ten_minutes_apart_remove() {
    for version in [Version::Today, Version::V23_7_1] {
        for hours_before in [1, 7] {
            let name = format!("{version:?}, uninstalled after {hours_before} h");
            let world = of_version(version).await;
            let id = world.installed().await;
            world.live(hours_before * HOUR).await;
            let renewals = world.sentry.refreshes();
            world.ports.events.fail([QueueFault::Down, QueueFault::Down]);
            assert!(world.sentry.uninstall(&id).await.unwrap().is_accepted(), "{name}");
            world.live(4 * HOUR + 40 * MINUTE).await;
            assert_eq!(world.row(&id).await.unwrap().status, Status::Active, "{name}: nobody has told");
            world.live(2 * HOUR).await;
            let row = world.row(&id).await.unwrap();
            assert_eq!((row.status, row.tokens), (Status::Removed, None), "{name}");
            let gone = world.calls("token").into_iter().filter(|status| *status == 404).count();
            assert!(gone == 2 || version == Version::V23_7_1 && gone == 4, "{name}: {:?}", world.calls("token"));
            assert_eq!(world.sentry.refreshes(), renewals, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_404_in_passing_removes_nothing() {
    let world = World::new().await;
    let id = world.installed().await;
    world.sentry.faults().push(Endpoint::Token, Fault::status(404));
    world.live(8 * HOUR).await;
    let row = world.row(&id).await.unwrap();
    assert_eq!((row.status, row.gone_since), (Status::Active, None));
}

#[tokio::test(start_paused = true)]
async fn a_tick_of_nothing_but_404_removes_nothing() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(world.installed_for(&format!("org-{number}")).await);
    }
    world.pass(6 * HOUR + MINUTE).await;
    world.sentry.faults().push_times(Endpoint::Token, 4 * 12, Fault::status(404));
    world.live(HOUR).await;
    for id in &ids {
        assert_eq!(world.row(id).await.unwrap().status, Status::Active);
    }
    world.sentry.faults().clear();
    world.live(HOUR).await;
    for id in &ids {
        let row = world.row(id).await.unwrap();
        assert_eq!((row.status, row.gone_since), (Status::Active, None));
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_installation_does_not_keep_the_others_from_renewal() {
    for fault in [Fault::status(500), Fault::html(200), Fault::status(409), Fault::slow(Duration::from_mins(1))] {
        let world = World::new().await;
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(world.installed_for(&format!("org-{number}")).await);
        }
        world.pass(6 * HOUR + MINUTE).await;
        world.sentry.faults().push(Endpoint::Token, fault.clone());
        let tick = world.tick().await;
        assert_eq!((tick.renewed, tick.failed), (2, 1), "{fault:?}");
        world.live(10 * MINUTE).await;
        for id in &ids {
            assert!(world.row(id).await.unwrap().expires_at.unwrap() > world.now() + 7 * HOUR, "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_late_brings_an_uninstalled_one_back() {
    let world = World::new().await;
    let id = world.installed().await;
    world.sentry.create_issue(NewIssue::new("Backend", "a")).await.unwrap();
    world.work().await;
    world.sentry.uninstall(&id).await.unwrap();
    world.work().await;
    let row = world.row(&id).await.unwrap();
    assert_eq!((row.status, row.tokens, row.due_at), (Status::Removed, None, None));
    let calls = world.calls("").len();
    for wait in [MINUTE, 24 * HOUR, 28 * 24 * HOUR] {
        world.live(wait).await;
        for event in ["installation.created", "issue.created", "installation.deleted"] {
            assert!(world.sentry.repeat(event).await.unwrap().is_accepted(), "{event}");
            world.pass(15 * MINUTE).await;
            assert_eq!(world.row(&id).await.unwrap().status, Status::Removed, "{event}");
        }
        let answer = world.setup.handle(&format!("code=c0de&installationId={id}"), None).await;
        assert_eq!(answer.status(), 400);
    }
    assert_eq!(world.calls("").len(), calls, "no call is made for it");
    assert_eq!(world.ports.events.depth().await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_installation_is_won_back_by_its_next_event() {
    let world = World::new().await;
    let id = world.installed().await;
    forget(&world, &id).await;
    alert_to_look_up(&world.sentry).await;
    world.pass(MINUTE).await;
    assert_eq!(world.row(&id).await.unwrap().status, Status::Active);
    assert_eq!(world.rung().len(), 2, "the issue, and the alert that was looked up");
    assert_eq!(world.sentry.manual_refreshes(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_installation_that_cannot_be_won_back_needs_a_person_after_ten_minutes() {
    let world = of_version(Version::V23_7_1).await;
    let id = world.installed().await;
    forget(&world, &id).await;
    let issue = async |title: &str| {
        world.sentry.create_issue(NewIssue::new("Backend", title)).await.unwrap();
        world.work().await;
    };
    issue("one").await;
    issue("two").await;
    assert_eq!(world.row(&id).await.unwrap().status, Status::Installing);
    assert_eq!(world.calls("token").len(), 2, "the exchange, and one try a minute");
    world.live(11 * MINUTE).await;
    issue("three").await;
    assert_eq!(world.row(&id).await.unwrap().status, Status::NeedsReinstall);
    assert_eq!(world.rung().len(), 3, "its events are routed all the same");
    world.live(25 * HOUR).await;
    assert!(world.row(&id).await.is_none(), "a row that has no tokens is forgotten a day after its last event");
}

#[tokio::test(start_paused = true)]
async fn the_unsigned_resource_header_alone_touches_no_installation() {
    let world = World::new().await;
    let id = world.installed().await;
    let body = serde_json::json!({"action": "deleted", "installation": {"uuid": id}, "data": {"issue": {"id": "1"}}});
    for resource in ["installation", "uninstallation"] {
        assert!(world.sentry.send_raw(resource, body.to_string()).await.is_accepted());
        world.work().await;
        assert_eq!(world.row(&id).await.unwrap().status, Status::Active, "{resource}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_put_right_is_read_again_when_sentry_refuses_it() {
    let world = World::new().await;
    let right = crate::world::app_secret(&world.sentry);
    let wrong = serde_json::json!({"client_id": right["client_id"], "client_secret": "w".repeat(64)});
    world.ports.secrets.put(Secret::App, wrong.to_string(), None);
    let installed = world.sentry.install_with(order(Order::RedirectFirst)).await;
    assert_eq!(world.follow(&installed).await.status(), 502);
    assert!(world.row(&installed.installation).await.is_none());
    world.ports.secrets.put(Secret::App, right.to_string(), None);
    world.pass(MINUTE).await;
    let answer = world.follow(&installed).await;
    assert_eq!(answer.status(), 302, "{}", answer.body());

    // And for the function that renews.
    let id = installed.installation;
    world.ports.secrets.put(Secret::App, wrong.to_string(), None);
    world.pass(6 * HOUR).await;
    assert_eq!(world.tick().await.renewed, 0);
    world.ports.secrets.put(Secret::App, right.to_string(), None);
    world.live(20 * MINUTE).await;
    assert!(world.row(&id).await.unwrap().expires_at.unwrap() > world.now() + 7 * HOUR);
    assert_eq!(world.row(&id).await.unwrap().refusals, 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_rotation_of_the_token_key_old_rows_still_open() {
    let world = World::new().await;
    let id = world.installed().await;
    let before = world.token(&id).await;
    world.ports.secrets.put(Secret::TokenKey, "n".repeat(64), None);
    // This one has never read the key.
    let other = shared::refresh::Refresh::new(
        std::sync::Arc::clone(&world.ports),
        BaseUrl::parse("http://sentry.test").unwrap(),
    );
    world.pass(6 * HOUR).await;
    assert_eq!(other.tick(world.now() + 4 * MINUTE).await.unwrap().renewed, 1);
    let after = world.token(&id).await;
    assert_ne!(after, before);
    assert_eq!(after, world.sentry.token_of(&id).map(|pair| pair.access), "and the old process reads the new key");
}

#[tokio::test(start_paused = true)]
async fn a_tick_begins_nothing_that_it_has_no_time_to_end() {
    let slow_refusal = Fault::status(401).after(Duration::from_secs(19));
    for (name, fault, seconds, renewed) in [
        ("slow answers", Fault::slow(Duration::from_secs(19)), 80, 100),
        ("no time at all", Fault::slow(Duration::from_secs(19)), 20, 0),
        ("slow refusals by both grants", slow_refusal.clone(), 30, 0),
        ("slow refusals by both grants, more time", slow_refusal, 60, 0),
    ] {
        let world = World::new().await;
        for number in 0..120 {
            world.installed_for(&format!("org-{number}")).await;
        }
        world.pass(6 * HOUR + MINUTE).await;
        world.sentry.faults().push_times(Endpoint::Token, 1000, fault);
        let deadline = world.now() + Duration::from_secs(seconds);
        let tick = world.refresh.tick(deadline).await.unwrap();
        assert!(world.now() <= deadline, "{name}: {} late", world.now().duration_since(deadline));
        assert_eq!(tick.renewed, renewed, "{name}");
        assert_eq!(tick.renewed + tick.failed + tick.left_over, 120, "{name}: {tick:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_no_key_opens_any_more_are_won_back() {
    let world = World::new().await;
    let id = world.installed().await;
    for key in ["n", "m"] {
        world.ports.secrets.put(Secret::TokenKey, key.repeat(64), None);
    }
    alert_to_look_up(&world.sentry).await;
    world.pass(MINUTE).await;
    assert_eq!(world.rung().len(), 2);
    assert_eq!(world.sentry.manual_refreshes(), 1);
    assert_eq!(world.row(&id).await.unwrap().status, Status::Active);
}

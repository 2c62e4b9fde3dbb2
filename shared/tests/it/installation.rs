//! The life of installations: exchanged once, verified, renewed, won back, removed.

use std::time::Duration;

use futures::future::{join, join_all};
use shared::ports::{Installations as _, Secret, Status, Written};
use shared::sentry::{AppCredentials, BaseUrl, Client};
use simulator::{
    Alert, AlertUrls, AppKind, Config, Endpoint, Fault, Install, Installed, NewIssue, Order, Simulator, Version,
};

use crate::ports::QueueFault;
use crate::world::World;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn order(order: Order) -> Install {
    Install { order, ..Install::default() }
}

async fn of(version: Version) -> World {
    World::of(Config { version, ..Config::default() }).await
}

/// An alert whose payload names the project by number alone: to route it, the issue must be looked up.
async fn alert_to_look_up(sentry: &Simulator) {
    let issue = sentry.create_issue(NewIssue::new("Backend", "ValueError: division by zero")).await.unwrap().issue;
    let alert = Alert { urls: AlertUrls::Absent, ..Alert::default() };
    assert!(sentry.trigger_alert(issue, alert).await.unwrap().is_accepted());
}

/// The row is lost, as if another bundle had made the exchange.
async fn forget(world: &World, installation: &str) {
    let mut row = world.row(installation).await.unwrap();
    row.forget(world.now());
    assert_eq!(world.ports.installations.write(&row, world.now()).await.unwrap(), Written::Done);
    assert!(world.row(installation).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_install_makes_one_exchange_whichever_way_is_first() {
    for version in [Version::Today, Version::V23_7_1] {
        for first in [Order::RedirectFirst, Order::WebhookFirst, Order::Both] {
            let name = format!("{version:?}, {first:?}");
            let world = of(version).await;
            let installed = world.sentry.install_with(order(first)).await;
            if first == Order::WebhookFirst {
                world.work().await;
            }
            let answer = world.follow(&installed).await;
            assert_eq!(answer.status(), 302, "{name}: {}", answer.body());
            assert_eq!(
                answer.headers()["location"],
                "http://sentry.test/settings/example-org/sentry-apps/switchboard/",
                "{name}"
            );
            if first == Order::RedirectFirst {
                assert!(world.sentry.announce(&installed.installation).await.is_accepted(), "{name}");
            } else {
                installed.webhook.delivery().await.unwrap();
            }
            world.pass(MINUTE).await;
            assert_eq!(world.calls("token"), [201], "{name}");
            assert_eq!(world.sentry.status_of(&installed.installation), Some("installed"), "{name}");
            let row = world.row(&installed.installation).await.unwrap();
            assert_eq!(row.status, Status::Active, "{name}");
            assert!(row.verified_at.is_some() && row.lease_until.is_none() && row.expires.is_none(), "{name}");
            assert_eq!(row.organization.as_deref(), Some("example-org"), "{name}");
            let stored = world.token(&installed.installation).await;
            assert_eq!(stored, world.sentry.token_of(&installed.installation).map(|pair| pair.access), "{name}");
            assert_eq!(world.ports.events.depth().await, 0, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sixteen_browsers_and_the_webhook_at_once_make_one_exchange() {
    for (name, delay) in [("at once", 0), ("slowly", 3), ("very slowly", 12)] {
        let world = World::new().await;
        world.sentry.faults().push(Endpoint::Token, Fault::slow(Duration::from_secs(delay)));
        let installed = world.sentry.install_with(order(Order::Both)).await;
        let browsers = join_all((0..16).map(|_| world.follow(&installed)));
        let (answers, ()) = join(browsers, world.pass(Duration::from_secs(30))).await;
        for answer in answers {
            let status = answer.status().as_u16();
            assert!(matches!(status, 302 | 200) && answer.body().contains("<h1>Installed"), "{name}: {status}");
        }
        assert_eq!(world.calls("token"), [201], "{name}");
        assert_eq!(world.calls("verify").iter().filter(|status| **status != 200).count(), 0, "{name}");
        assert_eq!(world.sentry.status_of(&installed.installation), Some("installed"), "{name}");
        world.pass(MINUTE).await;
        assert_eq!(world.ports.events.depth().await, 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_no_good_leaves_a_page_and_nothing_else() {
    for version in [Version::Today, Version::V23_7_1] {
        for case in ["wrong", "expired", "used", "of another app"] {
            let name = format!("{case}, {version:?}");
            let world = of(version).await;
            let mut installed = match case {
                "of another app" => world.sentry.install_other_app(),
                _ => world.sentry.install_with(order(Order::RedirectFirst)).await,
            };
            let code = installed.code.clone().unwrap();
            match case {
                "wrong" => installed.redirect_url = installed.redirect_url.map(|url| url.replace(&code, "wrong")),
                "expired" => tokio::time::sleep(10 * MINUTE + Duration::from_secs(1)).await,
                "used" => use_up(&world, &installed).await,
                _ => {}
            }
            let answer = world.follow(&installed).await;
            assert_eq!(answer.status(), 400, "{name}: {}", answer.body());
            assert!(answer.body().contains("install it again") && !answer.body().contains(&code), "{name}");
            assert_eq!(answer.headers()["cache-control"], "no-store", "{name}");
            assert!(world.row(&installed.installation).await.is_none(), "{name}");
            assert_eq!(world.tick().await, shared::refresh::Tick::default(), "{name}: nothing is due");
        }
    }
}

/// Somebody else exchanges the code.
async fn use_up(world: &World, installed: &Installed) {
    let base_url = BaseUrl::parse("http://sentry.test").unwrap();
    let client = Client::new(&world.ports.outgoing, &world.ports.clock, &base_url);
    let credentials = AppCredentials {
        client_id: world.sentry.client_id().to_owned(),
        client_secret: world.sentry.client_secret().clone(),
    };
    let (id, code) = (installed.installation.parse().unwrap(), installed.code.as_deref().unwrap());
    client.exchange(id, code, &credentials, Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stored_installation_is_unharmed_by_later_redirects() {
    let world = World::new().await;
    let id = world.installed().await;
    let before = world.token(&id).await;
    for code in ["wrong", "0", &"f".repeat(64)] {
        let answer = world.setup.handle(&format!("code={code}&installationId={id}&orgSlug=evil"), None).await;
        assert_eq!(answer.status(), 302);
        assert_eq!(
            answer.headers()["location"],
            "http://sentry.test/settings/example-org/sentry-apps/switchboard/",
            "the query is not believed"
        );
    }
    assert_eq!(world.token(&id).await, before);
    assert_eq!(world.calls("token"), [201]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_query_makes_no_call() {
    let world = World::new().await;
    for query in ["", "code=a", "installationId=..%2f&code=a", "code=a&installationId=nope"] {
        assert_eq!(world.setup.handle(query, None).await.status(), 400, "{query}");
    }
    assert!(world.calls("").is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_sentry_fails_during_setup_the_install_is_finished_without_the_browser() {
    let faults = [
        ("500", Fault::status(500)),
        ("503", Fault::status(503)),
        ("a proxy's page", Fault::html(502)),
        ("too often", Fault::rate_limited(Duration::from_secs(20))),
        ("carried out, answered 500", Fault::failed_after_commit(500)),
        ("carried out, answer lost", Fault::lost_answer()),
        ("carried out, connection cut", Fault::cut()),
        ("too slow", Fault::slow(Duration::from_secs(18))),
    ];
    for (fault_name, fault) in faults {
        for first in [Order::RedirectFirst, Order::WebhookFirst] {
            let name = format!("{fault_name}, {first:?}");
            let world = World::new().await;
            let installed = world.sentry.install_with(order(first)).await;
            world.sentry.faults().push(Endpoint::Token, fault.clone());
            let answer = world.follow(&installed).await;
            assert_eq!(answer.status(), 502, "{name}: {}", answer.body());
            assert!(!answer.body().contains(installed.code.as_deref().unwrap()), "{name}");
            if first == Order::RedirectFirst {
                world.sentry.announce(&installed.installation).await;
            }
            world.live(15 * MINUTE).await;
            assert_eq!(world.sentry.status_of(&installed.installation), Some("installed"), "{name}");
            assert_eq!(world.row(&installed.installation).await.unwrap().status, Status::Active, "{name}");
            assert_eq!(world.follow(&installed).await.status(), 302, "{name}: the browser's reload");
            assert_eq!(world.ports.events.depth().await, 0, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_won_back_by_the_schedule_alone() {
    for (name, version, won_back) in [("today", Version::Today, true), ("23.7.1", Version::V23_7_1, false)] {
        let world = of(version).await;
        let installed = world.sentry.install_with(order(Order::RedirectFirst)).await;
        world.sentry.faults().push(Endpoint::Token, Fault::lost_answer());
        assert_eq!(world.follow(&installed).await.status(), 502, "{name}");
        world.live(10 * MINUTE).await;
        assert_eq!(world.sentry.status_of(&installed.installation) == Some("installed"), won_back, "{name}");
        assert_eq!(world.sentry.exchanges(), 1, "{name}");
        assert!(world.calls("token").len() <= 3, "{name}: {:?}", world.calls("token"));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_dies_during_the_exchange_leaves_work_for_the_schedule() {
    let world = World::new().await;
    let installed = world.sentry.install_with(order(Order::RedirectFirst)).await;
    world.sentry.faults().push(Endpoint::Token, Fault::slow(Duration::from_secs(3)));
    let dies = tokio::time::timeout(Duration::from_secs(1), world.follow(&installed)).await;
    assert!(dies.is_err());
    assert!(world.row(&installed.installation).await.unwrap().lease_until.is_some());
    world.live(10 * MINUTE).await;
    assert_eq!(world.sentry.status_of(&installed.installation), Some("installed"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_verify_is_finished_by_the_schedule() {
    for (name, fault) in [
        ("500", Fault::status(500)),
        ("403 in passing", Fault::status(403)),
        ("too slow", Fault::slow(Duration::from_secs(9))),
        ("cut", Fault::cut()),
    ] {
        let world = World::new().await;
        let installed = world.sentry.install_with(order(Order::RedirectFirst)).await;
        world.sentry.faults().push(Endpoint::Verify, fault);
        let answer = world.follow(&installed).await;
        assert_eq!(answer.status(), 200, "{name}: whose it is, is not known yet");
        assert!(answer.body().contains("is installed"), "{name}");
        world.live(6 * MINUTE).await;
        let row = world.row(&installed.installation).await.unwrap();
        assert_eq!(world.sentry.status_of(&installed.installation), Some("installed"), "{name}");
        assert_eq!((row.organization.as_deref(), row.verified_at.is_some()), (Some("example-org"), true), "{name}");
        assert_eq!(world.sentry.refreshes(), 0, "{name}: the token was good");
    }
}

#[tokio::test(start_paused = true)]
async fn a_verify_with_a_token_that_died_meanwhile_is_finished_with_a_new_one() {
    let world = World::new().await;
    let installed = world.sentry.install_with(order(Order::RedirectFirst)).await;
    world.sentry.faults().push(Endpoint::Verify, Fault::status(500));
    assert_eq!(world.follow(&installed).await.status(), 200);
    // Somebody renews and dies before the new pair is stored.
    world.sentry.faults().push(Endpoint::Token, Fault::slow(Duration::from_secs(3)));
    let renewal = world.keeper.renew(installed.installation.parse().unwrap(), Duration::from_secs(20));
    assert!(tokio::time::timeout(Duration::from_secs(1), renewal).await.is_err());
    world.live(15 * MINUTE).await;
    assert_eq!(world.sentry.status_of(&installed.installation), Some("installed"));
    let stored = world.token(&installed.installation).await;
    assert_eq!(stored, world.sentry.token_of(&installed.installation).map(|pair| pair.access));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_early_by_the_way_that_the_server_knows() {
    for (version, manual) in [(Version::Today, true), (Version::V23_7_1, false)] {
        let world = of(version).await;
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
        let world = of(version).await;
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
            let world = of(version).await;
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
    let world = of(Version::V23_7_1).await;
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
            let world = of(version).await;
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
    let world = of(Version::V23_7_1).await;
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
async fn an_internal_integration_is_recorded_on_the_spot_and_never_renewed() {
    for (name, faults) in [("at once", 0), ("verify fails at first", 1), ("verify fails often", 4)] {
        let world = World::of(Config { kind: AppKind::Internal, ..Config::default() }).await;
        let id = world.sentry.internal_installation().unwrap().to_owned();
        world.sentry.faults().push_times(Endpoint::Verify, faults, Fault::status(500));
        alert_to_look_up(&world.sentry).await;
        world.pass(MINUTE).await;
        assert_eq!(world.rung().len(), 2, "{name}");
        world.live(48 * HOUR).await;
        let row = world.row(&id).await.unwrap();
        assert_eq!((row.status, &row.tokens, row.due_at), (Status::Active, &None, None), "{name}");
        assert_eq!(row.organization.as_deref(), Some("example-org"), "{name}");
        assert!(world.calls("token").is_empty(), "{name}: {:?}", world.calls("token"));
    }
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
async fn a_browser_that_waits_for_a_dead_exchange_is_answered_before_the_gateway_ends() {
    let world = World::new().await;
    let installed = world.sentry.install_with(order(Order::RedirectFirst)).await;
    world.sentry.faults().push(Endpoint::Token, Fault::slow(Duration::from_secs(3)));
    assert!(tokio::time::timeout(Duration::from_secs(1), world.follow(&installed)).await.is_err());
    let began = world.now();
    let answer = world.follow(&installed).await;
    let took = world.now().duration_since(began).as_secs();
    assert_eq!(answer.status(), 202, "{}", answer.body());
    assert!(answer.body().contains("still answering") && (25..=28).contains(&took), "{took} s");
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

//! How an installation begins: exchanged once, by whichever way, and finished whatever happens.

use std::time::Duration;

use futures::future::{join, join_all};
use shared::ports::Status;
use shared::sentry::{AppCredentials, BaseUrl, Client};
use simulator::{AppKind, Config, Endpoint, Fault, Installed, Order, Version};

use crate::world::{World, alert_to_look_up, of_version, order};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn an_install_makes_one_exchange_whichever_way_is_first() {
    for version in [Version::Today, Version::V23_7_1] {
        for first in [Order::RedirectFirst, Order::WebhookFirst, Order::Both] {
            let name = format!("{version:?}, {first:?}");
            let world = of_version(version).await;
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
        world.sentry.faults().push(Endpoint::Verify, Fault::slow(Duration::from_secs(delay / 2)));
        let installed = world.sentry.install_with(order(Order::Both)).await;
        let browsers = join_all((0..16).map(|_| world.follow(&installed)));
        let (answers, ()) = join(browsers, world.pass(Duration::from_secs(30))).await;
        for answer in answers {
            assert_eq!(answer.status(), 302, "{name}: whoever waited is led back, too: {}", answer.body());
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
            let world = of_version(version).await;
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
        let world = of_version(version).await;
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
async fn after_a_lost_answer_a_reload_of_the_page_finishes_the_install() {
    let world = World::new().await;
    let installed = world.sentry.install_with(order(Order::RedirectFirst)).await;
    world.sentry.faults().push(Endpoint::Token, Fault::lost_answer());
    assert_eq!(world.follow(&installed).await.status(), 502);
    // Sentry answers 409 to a manual refresh just after another grant.
    world.pass(MINUTE).await;
    assert_eq!(world.follow(&installed).await.status(), 302);
    assert_eq!(world.sentry.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_expires_while_sentry_is_down_is_given_up() {
    let world = World::new().await;
    world.sentry.faults().push_times(Endpoint::Token, 1_000, Fault::status(500));
    let installed = world.sentry.install_with(order(Order::WebhookFirst)).await;
    world.live(5 * MINUTE).await;
    assert_eq!(world.ports.events.depth().await, 1, "it may still work");
    world.live(10 * MINUTE).await;
    assert_eq!(world.ports.events.depth().await, 0);
    assert!(world.row(&installed.installation).await.is_none_or(|row| row.tokens.is_none()));
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

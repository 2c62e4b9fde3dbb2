//! The suite for [`Settings`].

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use shared::ports::{Settings, StoredRoutes, Written};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 123_000_000);

/// Every promise of the table of settings. There is one item, so that nobody else may write to it meanwhile.
pub async fn settings<S: Settings>(store: &S) {
    let before = store.routes_version().await.expect("version").unwrap_or(0);
    if before == 0 {
        assert_eq!(store.routes().await.expect("routes"), None, "before the first push there are no routes");
    }
    routes_come_back_as_they_were_pushed(store, before).await;
    a_push_needs_the_stored_version(store, before + 2).await;
    of_many_pushes_at_once_one_succeeds(store, before + 2).await;
}

async fn routes_come_back_as_they_were_pushed<S: Settings>(store: &S, before: u64) {
    let long = format!("# größe ☃\n{}", "[[route]]\nname = \"x\"\n".repeat(10_000));
    for (text, expected) in [("", before), (long.as_str(), before + 1)] {
        let pushed_at = NOW + Duration::from_millis(expected);
        let pushed = store.put_routes(text, expected, pushed_at).await.expect("push");
        assert_eq!(pushed, Written::Done, "a push onto the stored version succeeds");
        let stored = StoredRoutes { text: text.to_owned(), version: expected + 1, pushed_at };
        assert_eq!(store.routes().await.expect("routes"), Some(stored), "routes come back as they were pushed");
        let version = store.routes_version().await.expect("version");
        assert_eq!(version, Some(expected + 1), "the version counts pushes");
    }
}

async fn a_push_needs_the_stored_version<S: Settings>(store: &S, stored: u64) {
    let before = store.routes().await.expect("routes");
    for expected in [0, stored - 1, stored + 1] {
        let pushed = store.put_routes("stale", expected, NOW).await.expect("push");
        assert_eq!(pushed, Written::Conflict, "a push onto {expected} while {stored} is stored is a conflict");
    }
    assert_eq!(store.routes().await.expect("routes"), before, "a push that lost has changed nothing");
}

async fn of_many_pushes_at_once_one_succeeds<S: Settings>(store: &S, stored: u64) {
    let pushes = join_all((0..8).map(|n| async move {
        let text = format!("# {n}");
        (store.put_routes(&text, stored, NOW).await.expect("push") == Written::Done).then_some(text)
    }))
    .await;
    let won: Vec<String> = pushes.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "of 8 pushes onto one version one succeeds");
    let routes = store.routes().await.expect("routes").expect("routes");
    assert_eq!(
        (&routes.text, routes.version),
        (&won[0], stored + 1),
        "the routes are those of the push that succeeded"
    );
}

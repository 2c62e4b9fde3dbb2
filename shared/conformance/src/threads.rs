//! What [`Deliveries`] promises of threads.

use std::time::Duration;

use shared::destinations::kind::Thread;
use shared::ports::{Deliveries, ThreadKey};

use crate::deliveries::NOW;
use crate::random::{FAR_AHEAD, installation_id, name};

pub(crate) async fn threads<D: Deliveries>(store: &D) {
    a_thread_is_kept_replaced_and_forgotten(store).await;
    a_thread_expires(store).await;
}

fn key() -> ThreadKey {
    ThreadKey { owner: format!("to-{}", name()), installation: installation_id(), issue: "1170820242".into() }
}

async fn put<D: Deliveries>(store: &D, key: &ThreadKey, thread: Option<&Thread>) {
    store.put_thread(key, thread, FAR_AHEAD).await.expect("put");
}

async fn thread<D: Deliveries>(store: &D, key: &ThreadKey) -> Option<Thread> {
    store.thread(key, NOW).await.expect("thread")
}

async fn a_thread_is_kept_replaced_and_forgotten<D: Deliveries>(store: &D) {
    let ours = key();
    let others = [
        ThreadKey { owner: format!("{}x", ours.owner), ..ours.clone() },
        ThreadKey { installation: installation_id(), ..ours.clone() },
        ThreadKey { issue: "2".into(), ..ours.clone() },
    ];
    assert_eq!(thread(store, &ours).await, None, "nothing was learned of a new issue");
    put(store, &ours, None).await;
    assert_eq!(thread(store, &ours).await, None, "what is not there can be forgotten");
    for words in [
        Thread::from([("channel", "C012AB3CD"), ("ts", "1503435956.000247")]),
        Thread::from([("id", "“ü☃”\n"), ("empty", "")]),
        Thread::default(),
    ] {
        put(store, &ours, Some(&words)).await;
        assert_eq!(thread(store, &ours).await, Some(words), "what was learned last comes back as it was, and only it");
    }
    for other in &others {
        assert_eq!(thread(store, other).await, None, "another one's key has nothing");
        put(store, other, Some(&Thread::from([("ts", "2")]))).await;
    }
    put(store, &ours, None).await;
    assert_eq!(thread(store, &ours).await, None, "what was forgotten is gone");
    for other in &others {
        assert_eq!(thread(store, other).await, Some(Thread::from([("ts", "2")])), "and nothing else");
    }
}

async fn a_thread_expires<D: Deliveries>(store: &D) {
    let key = key();
    let words = Thread::from([("ts", "1")]);
    put(store, &key, Some(&words)).await;
    let before = store.thread(&key, FAR_AHEAD - Duration::from_secs(1)).await.expect("thread");
    assert_eq!(before, Some(words.clone()), "a thread is there until its time");
    assert_eq!(store.thread(&key, FAR_AHEAD).await.expect("thread"), None, "one that expires now is gone");
    let longer = FAR_AHEAD + Duration::from_mins(1);
    store.put_thread(&key, Some(&words), longer).await.expect("put");
    assert_eq!(store.thread(&key, FAR_AHEAD).await.expect("thread"), Some(words), "and one put anew lives longer");
}

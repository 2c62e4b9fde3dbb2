//! Accepted means kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use simulator::{Config, Simulator};

use crate::running::{PATIENCE, Serve, command, free_port, pushover, write};

const ROUTES: &str = r#"
[[destination]]
name = "phones"
type = "pushover"
user = "secret:user"
token = "secret:token"
base_url = "{pushover}"

[[route]]
name = "all"
when = { event = "issue.created" }
to = ["phones"]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_no_accepted_event() {
    const KILLS: u64 = 50;
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let sentry =
        Simulator::new(Config { webhook_url: Some(format!("http://127.0.0.1:{port}/webhook")), ..Config::default() });
    sentry.set_pushover_remaining(1_000_000);
    let secret = secrecy::ExposeSecret::expose_secret(sentry.client_secret()).to_owned();
    let routes = write(folder.path(), "routes.toml", &ROUTES.replace("{pushover}", &pushover(&sentry).await));
    let secrets = write(
        folder.path(),
        "secrets.toml",
        &format!("user = \"{}\"\ntoken = \"{}\"\n", "u".repeat(30), "a".repeat(30)),
    );
    let data_dir = folder.path().join("data");
    let serve = || {
        let mut command = command(&data_dir, port);
        command.env("SENTRY_CLIENT_ID", "id").env("SENTRY_CLIENT_SECRET", &secret);
        command.arg("--routes").arg(&routes).arg("--secrets").arg(&secrets).arg("--allow-private-destinations");
        command
    };

    let over = Arc::new(AtomicBool::new(false));
    let burst: Vec<_> = (0..8u64)
        .map(|sender| {
            let (sentry, over) = (sentry.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut accepted = BTreeSet::new();
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let id = sender * 1_000_000 + n;
                    let body = serde_json::json!({
                        "action": "created",
                        "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"},
                        "data": {"issue": {"id": id.to_string(), "title": format!("issue {id}")}},
                    });
                    if sentry.send_raw("issue", body.to_string()).await.is_accepted() {
                        accepted.insert(format!("issue {id}"));
                    } else {
                        // Nobody listens between a kill and the next start.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                accepted
            })
        })
        .collect();

    for kill in 0..KILLS {
        let serve = Serve::start(serve(), port).await;
        tokio::time::sleep(Duration::from_millis(20 + (kill * 37) % 120)).await;
        drop(serve);
    }
    over.store(true, Ordering::Relaxed);
    let mut accepted = BTreeSet::new();
    for sender in burst {
        accepted.extend(sender.await.unwrap());
    }
    assert!(accepted.len() as u64 >= KILLS, "only {} events were accepted", accepted.len());

    let _serve = Serve::start(serve(), port).await;
    let began = Instant::now();
    loop {
        let delivered: BTreeSet<String> =
            sentry.pushover_messages().into_iter().filter_map(|message| message.title).collect();
        let missing = accepted.difference(&delivered).count();
        if missing == 0 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{missing} of {} accepted events were not delivered", accepted.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

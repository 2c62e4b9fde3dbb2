//! The routes file changes while `serve` runs, and `serve` is asked to stop.

use std::time::{Duration, Instant};

use simulator::{Config, Simulator};

use crate::running::{PATIENCE, Serve, command, free_port, pushover, write};

fn routes(pushover: &str, event: &str) -> String {
    format!(
        "[[destination]]\nname = \"phones\"\ntype = \"pushover\"\nuser = \"secret:user\"\ntoken = \"secret:token\"\n\
         base_url = \"{pushover}\"\n\n[[route]]\nname = \"one\"\nwhen = {{ event = \"{event}\" }}\nto = [\"phones\"]\n"
    )
}

/// Sends issues until one with a title that begins with `word` rings; false if none does within `limit`.
async fn rings(sentry: &Simulator, word: &str, limit: Duration) -> bool {
    let began = Instant::now();
    for n in 0.. {
        let body = serde_json::json!({
            "action": "created",
            "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"},
            "data": {"issue": {"id": format!("{n}"), "title": format!("{word} {n}")}},
        });
        assert!(sentry.send_raw("issue", body.to_string()).await.is_accepted());
        tokio::time::sleep(Duration::from_millis(100)).await;
        if sentry.pushover_messages().iter().any(|m| m.title.as_deref().is_some_and(|title| title.starts_with(word))) {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_routes_file_comes_into_force_and_a_broken_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let sentry =
        Simulator::new(Config { webhook_url: Some(format!("http://127.0.0.1:{port}/webhook")), ..Config::default() });
    let secret = secrecy::ExposeSecret::expose_secret(sentry.client_secret()).to_owned();
    let pushover = pushover(&sentry).await;
    let file = write(folder.path(), "routes.toml", &routes(&pushover, "issue.resolved"));
    let secrets = write(
        folder.path(),
        "secrets.toml",
        &format!("user = \"{}\"\ntoken = \"{}\"\n", "u".repeat(30), "a".repeat(30)),
    );
    let mut command = command(&folder.path().join("data"), port);
    command.env("SENTRY_CLIENT_ID", "id").env("SENTRY_CLIENT_SECRET", &secret);
    command.arg("--routes").arg(&file).arg("--secrets").arg(&secrets).arg("--allow-private-destinations");
    let mut serve = Serve::start(command, port).await;

    assert!(!rings(&sentry, "before", Duration::from_millis(500)).await, "no route takes issue.created yet");
    std::fs::write(&file, routes(&pushover, "issue.created")).unwrap();
    assert!(rings(&sentry, "changed", PATIENCE).await, "the changed file is in force");
    std::fs::write(&file, "[[route]\n").unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(rings(&sentry, "broken", PATIENCE).await, "the old routes stay in force");

    #[cfg(unix)]
    {
        let pid = serve.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = serve.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "serve does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success(), "a graceful stop is no failure");
    }
}

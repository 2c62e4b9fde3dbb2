//! An operator finds out what was not sent and why, mends it, and has it sent again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use simulator::{Config, Simulator};

use crate::running::{PATIENCE, Serve, command, free_port, pushover, write};

/// A `serve` that sends everything to one phone, and what an operator types beside it.
struct World {
    folder: tempfile::TempDir,
    port: u16,
    sentry: Simulator,
}

struct Said {
    ok: bool,
    out: String,
    err: String,
}

impl World {
    fn new() -> Self {
        let port = free_port();
        let webhook_url = Some(format!("http://127.0.0.1:{port}/webhook"));
        let sentry = Simulator::new(Config { webhook_url, ..Config::default() });
        Self { folder: tempfile::tempdir().unwrap(), port, sentry }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn serve(&self, pushover: &str) -> Serve {
        let routes = format!(
            "[[destination]]\nname = \"phones\"\ntype = \"pushover\"\nuser = \"secret:user\"\ntoken = \"secret:token\"\n\
             base_url = \"{pushover}\"\n\n[[route]]\nname = \"all\"\nwhen = {{ event = \"issue.created\" }}\nto = [\"phones\"]\n"
        );
        let secrets = format!("user = \"{}\"\ntoken = \"{}\"\n", "u".repeat(30), "a".repeat(30));
        let mut command = command(&self.data_dir(), self.port);
        let secret = secrecy::ExposeSecret::expose_secret(self.sentry.client_secret()).to_owned();
        command.env("SENTRY_CLIENT_ID", "id").env("SENTRY_CLIENT_SECRET", secret);
        command.arg("--routes").arg(write(self.folder.path(), "routes.toml", &routes));
        command.arg("--secrets").arg(write(self.folder.path(), "secrets.toml", &secrets));
        command.arg("--allow-private-destinations");
        Serve::start(command, self.port).await
    }

    async fn send(&self, issue: u32) {
        let body = serde_json::json!({
            "action": "created",
            "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"},
            "data": {"issue": {"id": issue.to_string(), "title": format!("boom \u{1b}[31m {issue}")}},
        });
        assert!(self.sentry.send_raw("issue", body.to_string()).await.is_accepted());
    }

    /// Runs `switchboard` with `args` on the data folder.
    fn operator(&self, args: &[&str]) -> Said {
        operator(args, &self.data_dir())
    }

    /// Waits until the list of `state` has `count` lines; the list.
    async fn listed(&self, state: &str, count: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let said = self.operator(&["deliveries", "list", "--state", state]);
            assert!(said.ok, "{}", said.err);
            let lines: Vec<String> = said.out.lines().skip(1).map(str::to_owned).collect();
            if lines.len() == count {
                return lines;
            }
            assert!(began.elapsed() < PATIENCE, "{count} are not {state}: {}", said.out);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn operator(args: &[&str], data_dir: &Path) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_switchboard"))
        .args(args)
        .arg("--data-dir")
        .arg(data_dir)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

/// A destination that refuses each message with a reason, and counts them.
async fn refusing() -> (String, Arc<AtomicUsize>) {
    let refused = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::clone(&refused);
    let answer = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        (StatusCode::BAD_REQUEST, r#"{"status":0,"errors":["user identifier is invalid"]}"#)
    };
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, refused)
}

fn id(line: &str) -> &str {
    line.split_whitespace().next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_found_and_once_mended_sent_again_once() {
    let world = World::new();
    let (broken, refused) = refusing().await;
    let serve = world.serve(&broken).await;
    for issue in 1..=3 {
        world.send(issue).await;
    }
    let failed = world.listed("failed", 3).await;
    assert!(failed.iter().all(|line| line.contains("issue.created") && line.contains("phones")), "{failed:?}");
    assert!(failed[0].contains("refused with 400: user identifier is invalid"), "{failed:?}");
    assert!(failed[0].contains("boom") && !failed[0].contains('\u{1b}'), "a title cannot write to the terminal");
    assert_eq!(world.operator(&["deliveries", "list", "--destination", "pagers"]).out, "no such deliveries\n");
    assert_eq!(world.operator(&["deliveries", "list", "--limit", "2"]).out.lines().count(), 3);

    let shown = world.operator(&["deliveries", "show", id(&failed[0])]);
    assert!(shown.ok, "{}", shown.err);
    for part in ["state         failed", "status        400", "\"event\": \"issue.created\"", "tries         1"] {
        assert!(shown.out.contains(part), "{part} in {}", shown.out);
    }
    assert!(!shown.out.contains('\u{1b}'), "nor can the whole of it");

    // Not mended yet: it fails once more, and stays a dead letter.
    let resent = world.operator(&["deliveries", "resend", id(&failed[0])]);
    assert!(resent.ok, "{}", resent.err);
    assert!(resent.out.contains("1 on the queue: it is sent within a few seconds"), "{}", resent.out);
    let began = Instant::now();
    while refused.load(Ordering::SeqCst) < 4 {
        assert!(began.elapsed() < Duration::from_secs(10), "a running serve sees what a command put on its queue");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.listed("failed", 3).await;
    drop(serve);

    let resent = world.operator(&["deliveries", "resend", id(&failed[1])]);
    assert!(resent.out.contains("`serve` is not running: it is sent when that starts"), "{}", resent.out);
    let working = pushover(&world.sentry).await;
    let _serve = world.serve(&working).await;
    let redriven = world.operator(&["redrive"]);
    assert!(redriven.ok, "{}", redriven.err);
    world.listed("sent", 3).await;
    world.listed("failed", 0).await;
    assert_eq!(world.operator(&["redrive"]).out, "nothing to send again\n");
    let mut titles: Vec<_> = world.sentry.pushover_messages().into_iter().filter_map(|message| message.title).collect();
    titles.sort();
    assert_eq!(titles.len(), 3, "each comes once, whatever was asked for twice: {titles:?}");

    let again = world.operator(&["deliveries", "resend", id(&failed[2])]);
    assert!(!again.ok && again.err.contains("it was sent already"), "{}", again.err);
}

#[tokio::test]
async fn a_command_on_a_folder_without_deliveries_makes_none_and_says_where_to_look() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for args in
        [&["deliveries", "list"][..], &["deliveries", "show", "0"], &["deliveries", "resend", "0"], &["redrive"]]
    {
        let said = operator(args, &missing);
        assert!(!said.ok && said.err.contains("say with --data-dir where `serve` keeps its file"), "{}", said.err);
    }
    assert!(!missing.exists());
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_build_without_aws_says_how_to_get_one_with_it() {
    for args in [&["deliveries", "list", "--aws"][..], &["redrive", "--aws"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_switchboard")).args(args).env_clear().output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && err.contains("--features aws"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

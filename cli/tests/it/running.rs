//! A running `serve`, and what stands around it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use simulator::Simulator;

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A running `serve`; killed when it is dropped.
pub(crate) struct Serve {
    pub(crate) child: Child,
    pub(crate) address: String,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn command(data_dir: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--sentry-url", "http://127.0.0.1:9"])
        .arg("--data-dir")
        .arg(data_dir)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Serve {
    pub(crate) async fn start(mut command: Command, port: u16) -> Self {
        let mut serve = Self { child: command.spawn().unwrap(), address: format!("127.0.0.1:{port}") };
        let began = Instant::now();
        while tokio::net::TcpStream::connect(&serve.address).await.is_err() {
            assert!(serve.child.try_wait().unwrap().is_none(), "serve ended before it listened");
            assert!(began.elapsed() < PATIENCE, "serve does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        serve
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // SIGKILL: nothing is finished, nothing is said.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the stand-in for Pushover on loopback; returns its address.
pub(crate) async fn pushover(sentry: &Simulator) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = sentry.pushover_router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub(crate) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

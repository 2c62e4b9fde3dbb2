//! `MiniStack`: SQS, Secrets Manager, HTTP API, Lambda, Scheduler and `CloudFormation` in one local process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::parts::Parts;
use crate::server::{Server, free_port, scratch};

/// What every client is told: any region and key pair will do, as long as the key is not 12 digits (that would be an
/// account of its own, which the unsigned HTTP API does not see).
pub const REGION: &str = "us-east-1";
pub const ACCESS_KEY: &str = "local";

const LOG: &str = "ministack.log";

/// A running `MiniStack`, empty at its start. Stopped when dropped, and the functions it runs with it.
#[derive(Debug)]
pub struct MiniStack {
    server: Server,
    folder: PathBuf,
}

impl MiniStack {
    /// On a free port.
    pub fn start(parts: &Parts) -> Result<Self> {
        Self::start_on(parts, free_port()?)
    }

    pub fn start_on(parts: &Parts, port: u16) -> Result<Self> {
        let folder = scratch(parts.root(), "ministack")?;
        let mut command = Command::new(parts.ministack());
        command
            .current_dir(&folder)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            // Else it opens MQTT on all interfaces.
            .env("IOT_MTLS_ENABLED", "0")
            // Reaches the functions that it runs, which must find it as they would find AWS.
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
        let server = Server::start(&command, port, &folder.join(LOG)).context("MiniStack did not start")?;
        Ok(Self { server, folder })
    }

    /// For `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// Where it prints to, and the functions too.
    pub fn log(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// Waits until it ends by itself.
    pub fn wait_until_it_ends(&mut self) -> Result<()> {
        self.server.wait_until_it_ends()
    }

    /// Holds its log and whatever else belongs to this run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Points an AWS client in a child process here.
    pub fn configure(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE");
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        // A failed test leaves its log.
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

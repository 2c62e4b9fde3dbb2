//! `switchboard dev` as a child process.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::deploy::binary;
use crate::parts::workspace;
use crate::server::{Server, free_port, scratch};

/// A running `dev` with the routes that it brings. Stopped when dropped.
#[derive(Debug)]
pub struct Dev {
    server: Server,
    folder: PathBuf,
}

impl Dev {
    /// On a free port.
    pub fn start() -> Result<Self> {
        let folder = scratch(&workspace().join("target/parts"), "dev")?;
        let port = free_port()?;
        let mut command = Command::new(binary("cli", "switchboard")?);
        command.arg("dev").arg("--listen").arg(format!("127.0.0.1:{port}"));
        let server = Server::start(&command, port, &folder.join("dev.log")).context("dev did not start")?;
        Ok(Self { server, folder })
    }

    /// Address of a path of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.port())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // A failed test leaves its log.
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

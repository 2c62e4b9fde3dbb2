//! `DynamoDB` Local: AWS's own expression and validation code, in memory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::parts::Parts;
use crate::server::{Server, free_port, scratch};

/// A running `DynamoDB` Local, empty at its start. Each access key id sees tables of its own. Stopped when dropped.
#[derive(Debug)]
pub struct DynamoDbLocal {
    server: Server,
    folder: PathBuf,
}

impl DynamoDbLocal {
    /// On a free port.
    pub fn start(parts: &Parts) -> Result<Self> {
        let folder = scratch(parts.root(), "dynamodb")?;
        let port = free_port()?;
        let mut command = Command::new("java");
        command
            .current_dir(parts.dynamodb_local())
            .args(["-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"])
            .args(["-inMemory", "-disableTelemetry", "-port"])
            .arg(port.to_string());
        let server =
            Server::start(&command, port, &folder.join("dynamodb.log")).context("DynamoDB Local did not start")?;
        Ok(Self { server, folder })
    }

    /// For `AWS_ENDPOINT_URL_DYNAMODB`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }
}

impl Drop for DynamoDbLocal {
    fn drop(&mut self) {
        // A failed test leaves its log.
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

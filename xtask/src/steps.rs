//! Steps that run one after the other, each with its duration; the first that fails ends them all.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use system_tests::parts::workspace;

/// What ran so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("==> {name}");
        let start = Instant::now();
        let result = work().with_context(|| format!("{name} failed"))?;
        self.done.push((name.to_owned(), start.elapsed()));
        Ok(result)
    }

    pub(crate) fn summary(&self) -> String {
        let total = self.done.iter().map(|(_, took)| *took).sum();
        let lines = self.done.iter().map(|(name, took)| line(name, *took));
        lines.chain([line("in all", total)]).collect::<Vec<_>>().join("\n")
    }
}

fn line(name: &str, took: Duration) -> String {
    format!("{:>8.1} s  {name}", took.as_secs_f64())
}

/// `cargo` as it called us, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    cargo
}

/// Runs a command to its end with our own output.
///
/// # Errors
/// If it cannot be started or does not succeed; names it with its arguments.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let program = Path::new(command.get_program()).display().to_string();
    let status = command.status().with_context(|| format!("{program} does not start"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("`{program} {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}

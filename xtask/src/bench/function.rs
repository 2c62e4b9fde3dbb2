//! One start of one function, and what the kernel says about it.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::payload::Event;
use super::runtime_api::RuntimeApi;

/// A binary to measure.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) binary: PathBuf,
    /// The status that it answers to a webhook.
    pub(crate) status: u64,
}

/// A function that runs and has asked for its first event. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    api: RuntimeApi,
    started: Instant,
    expected: u64,
    /// From before `exec` to its first question for an event.
    pub(crate) until_asked: Duration,
}

impl Running {
    /// Starts it as Lambda does: an environment of its own, credentials and names in it. Its log goes to `log`.
    pub(crate) fn start(subject: &Subject, aws: &str, log: &Path) -> Result<Self> {
        let api = RuntimeApi::start()?;
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(&subject.binary);
        command.env_clear().envs(environment(&api.address(), aws)).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("{} does not start", subject.binary.display()))?;
        let mut running = Self { child, api, started, expected: subject.status, until_asked: Duration::ZERO };
        let asked = running.api.asked().with_context(|| format!("{}: see {}", subject.name, log.display()))?;
        running.until_asked = asked - started;
        Ok(running)
    }

    /// Hands it the event, checks the answer and waits until it asks for the next one. From its start to the answer.
    pub(crate) fn answer(&self, event: &Event) -> Result<Duration> {
        let (when, body) = self.api.invoke(event.now())?;
        let answer: Value = serde_json::from_slice(&body)?;
        ensure!(answer["statusCode"].as_u64() == Some(self.expected), "it answered {answer}");
        self.api.asked()?;
        Ok(when - self.started)
    }

    /// CPU that its threads have used, in the kernel's nanoseconds: `/proc/PID/stat` counts only in hundredths of a
    /// second.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let mut sum = Duration::ZERO;
        for task in tasks {
            let text = fs::read_to_string(task?.path().join("schedstat")).context("this kernel counts no CPU time")?;
            sum += Duration::from_nanos(first_number(&text)?);
        }
        Ok(sum)
    }

    /// Memory that is resident, in bytes: `VmRSS`.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(first_number(line)? * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn first_number(text: &str) -> Result<u64> {
    Ok(text.split_ascii_whitespace().next().unwrap_or_default().parse()?)
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>, and what the template sets.
fn environment(runtime_api: &str, aws: &str) -> [(&'static str, String); 16] {
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", "switchboard-webhook".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/switchboard-webhook".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        // As long as a real one: it is signed and sent with every call.
        ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2VjEXAMPLETOKEN".repeat(30)),
        ("AWS_ENDPOINT_URL", aws.to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
        ("SENTRY_BASE_URL", "https://sentry.io".to_owned()),
        ("APP_SECRET_ID", "app".to_owned()),
        ("EVENTS_QUEUE_URL", format!("{aws}/123456789012/events.fifo")),
    ]
}

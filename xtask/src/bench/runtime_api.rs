//! Lambda's Runtime API on loopback, for one start of one function.
//!
//! Paths and headers: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::http::{Answer, Request, Server};

const PREFIX: &str = "/2018-06-01/runtime/";
/// Far more than any start or answer takes, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(20);

/// What the function said, and when it came in.
#[derive(Debug)]
enum Said {
    Next(Instant),
    Response(Instant, Vec<u8>),
    Error(String),
}

#[derive(Debug)]
pub(crate) struct RuntimeApi {
    server: Server,
    said: Receiver<Said>,
    events: Sender<String>,
}

impl RuntimeApi {
    pub(crate) fn start() -> Result<Self> {
        let (tell, said) = mpsc::channel();
        let (events, queue) = mpsc::channel();
        let queue = Mutex::new(queue);
        let server = Server::start(move |request| answer(&request, &tell, &queue))?;
        Ok(Self { server, said, events })
    }

    /// For `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.server.address()
    }

    /// Waits until the function asks for an event.
    pub(crate) fn asked(&self) -> Result<Instant> {
        match self.said()? {
            Said::Next(when) => Ok(when),
            other => bail!("instead of asking for an event it said {other:?}"),
        }
    }

    /// Hands it an event that it has asked for; when the answer is there, and the answer.
    pub(crate) fn invoke(&self, event: String) -> Result<(Instant, Vec<u8>)> {
        self.events.send(event).context("the stand-in of the Runtime API is gone")?;
        match self.said()? {
            Said::Response(when, body) => Ok((when, body)),
            other => bail!("instead of answering it said {other:?}"),
        }
    }

    fn said(&self) -> Result<Said> {
        match self.said.recv_timeout(LIMIT).context("it says nothing")? {
            Said::Error(error) => bail!("it failed: {error}"),
            other => Ok(other),
        }
    }
}

/// `None` once the benchmark is done with this start.
fn answer(request: &Request, tell: &Sender<Said>, queue: &Mutex<Receiver<String>>) -> Option<Answer> {
    let when = Instant::now();
    let path = request.path.strip_prefix(PREFIX).unwrap_or_default();
    if path == "invocation/next" {
        tell.send(Said::Next(when)).ok()?;
        return queue.lock().ok()?.recv().ok().map(invocation);
    }
    let said = match path.rsplit('/').next() {
        Some("response") => Said::Response(when, request.body.clone()),
        _ => Said::Error(format!("{} {}", request.path, String::from_utf8_lossy(&request.body))),
    };
    tell.send(said).ok()?;
    Some(Answer { status: 202, headers: Vec::new(), body: r#"{"status":"OK"}"#.to_owned() })
}

fn invocation(event: String) -> Answer {
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        // Not reached: far in the future.
        ("Lambda-Runtime-Deadline-Ms", "4102444800000".to_owned()),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:switchboard-webhook".to_owned(),
        ),
        (
            "Lambda-Runtime-Trace-Id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".to_owned(),
        ),
    ];
    Answer { status: 200, headers, body: event }
}

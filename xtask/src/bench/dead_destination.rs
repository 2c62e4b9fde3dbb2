//! What a destination that hangs costs the others: `serve` with five of them, each a stand-in on loopback, and how long
//! an event takes from its request to the request of the four that are well.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use system_tests::parts::workspace;

use super::http::{Answer, Server};
use super::payload::{CLIENT_SECRET, signature};
use super::table::{aligned, median, number, percentile};
use crate::steps::{cargo, run};

/// Each with a process and a file of its own, by turns, so that all get their share of what else the machine does.
const ROUNDS: usize = 3;
const WELL: usize = 4;
/// What hangs, in those runs where something does.
const HANGING: usize = WELL;
/// Long enough for calls to hang, to time out (10 s), and for what comes after that.
const EVENTS: usize = 400;
const EVERY: Duration = Duration::from_millis(50);
const WAITING: usize = 10_000;
const CONNECTIONS: usize = 16;
/// Until the last of the events has arrived: more than the slowest should need.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fifth {
    IsWell,
    Hangs,
    HangsWith10000Waiting,
}

/// Measures, and tells what was measured, as Markdown.
pub(crate) fn measure(folder: &Path) -> Result<String> {
    run(cargo().args(["build", "--release", "--package", "cli", "--bin", "switchboard"]))?;
    let fifths = [Fifth::IsWell, Fifth::Hangs, Fifth::HangsWith10000Waiting];
    let mut delays: [Vec<f64>; 3] = Default::default();
    for round in 1..=ROUNDS {
        for (fifth, delays) in fifths.into_iter().zip(&mut delays) {
            let folder = folder.join("serve");
            let these = one_run(&folder, fifth)?;
            eprintln!("round {round}: median {:.2} ms, p95 {:.2} ms", median(&these), percentile(&these, 95));
            delays.extend(these);
        }
    }
    Ok(report(&delays))
}

fn report(delays: &[Vec<f64>; 3]) -> String {
    let head = ["", "unit", "all five are well", "one hangs", "ratio", "one hangs, 10,000 wait for it", "ratio"];
    let row = |what: &str, of: &dyn Fn(&[f64]) -> f64| {
        let [well, hangs, waiting] = delays.each_ref().map(|delays| of(delays));
        let ratio = |value: f64| format!("{:.2}", value / well);
        [what.to_owned(), "ms".to_owned(), number(well), number(hangs), ratio(hangs), number(waiting), ratio(waiting)]
    };
    let rows = [
        head.map(str::to_owned),
        row("median", &median),
        row("p95", &|delays| percentile(delays, 95)),
        row("p99", &|delays| percentile(delays, 99)),
    ];
    format!(
        "# Four destinations beside a fifth that hangs\n\n\
         From the request of Sentry to the request of a destination that is well, through `serve` and its file: {} deliveries \
         in {ROUNDS} runs of each kind, by turns; an event to all five every {} ms. The fifth accepts connections and never \
         answers.\n\n{}",
        delays[0].len(),
        EVERY.as_millis(),
        aligned(&rows, 2)
    )
}

/// Milliseconds of each event to each destination that is well.
fn one_run(folder: &Path, fifth: Fifth) -> Result<Vec<f64>> {
    let arrivals = Arrivals::default();
    let standins = (0..=WELL)
        .map(|destination| standin(destination, destination == HANGING && fifth != Fifth::IsWell, &arrivals))
        .collect::<Result<Vec<_>>>()?;
    let serve = Serve::start(folder, &standins)?;
    if fifth == Fifth::HangsWith10000Waiting {
        serve.fill()?;
    }
    // One that is not counted opens the connections.
    let mut sentry = Connection::open(&serve.address)?;
    let first = sentry.send(&Webhook::new("created", 0))?;
    arrivals.wait_for(0, first)?;
    let mut sent = Vec::with_capacity(EVENTS);
    let start = Instant::now();
    for n in 1..=EVENTS {
        thread::sleep((EVERY * u32::try_from(n)?).saturating_sub(start.elapsed()));
        sent.push(sentry.send(&Webhook::new("created", n))?);
    }
    let arrived = sent.into_iter().zip(1..).map(|(at, n)| arrivals.wait_for(n, at));
    Ok(arrived.collect::<Result<Vec<_>>>()?.concat())
}

/// When which event first arrived where.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<HashMap<(usize, usize), Instant>>>);

impl Arrivals {
    fn note(&self, destination: usize, event: usize) {
        let now = Instant::now();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((destination, event)).or_insert(now);
    }

    /// Milliseconds from `sent` until `event` arrived, for each destination that is well.
    fn wait_for(&self, event: usize, sent: Instant) -> Result<Vec<f64>> {
        loop {
            let arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at: Option<Vec<Instant>> = (0..WELL).map(|well| arrived.get(&(well, event)).copied()).collect();
            drop(arrived);
            if let Some(at) = at {
                return Ok(at.into_iter().map(|at| super::millis(at.saturating_duration_since(sent))).collect());
            }
            ensure!(sent.elapsed() < PATIENCE, "event {event} has not arrived everywhere after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// One destination.
fn standin(destination: usize, hangs: bool, arrivals: &Arrivals) -> Result<Server> {
    let arrivals = arrivals.clone();
    Server::start(move |request| {
        if hangs {
            // Longer than anybody waits for it.
            thread::sleep(2 * PATIENCE);
            return None;
        }
        if let Some(event) = number_of(&String::from_utf8_lossy(&request.body)) {
            arrivals.note(destination, event);
        }
        Some(Answer { status: 200, headers: Vec::new(), body: r#"{"status":1}"#.to_owned() })
    })
}

/// The number in the title that [`Webhook::new`] made.
fn number_of(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("bench-event-")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A signed webhook of an issue of its own.
struct Webhook(Vec<u8>);

impl Webhook {
    fn new(action: &str, n: usize) -> Self {
        let body = json!({
            "action": action,
            "installation": { "uuid": "e1064cd9-e055-4e00-ab45-4715789bef06" },
            "data": { "issue": { "id": n.to_string(), "title": format!("bench-event-{n}"), "level": "error" } },
            "actor": { "type": "application", "id": "sentry", "name": "Sentry" },
        })
        .to_string();
        let head = format!(
            "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Sentry-Hook-Resource: issue\r\nSentry-Hook-Signature: {}\r\nSentry-Hook-Timestamp: 0\r\n\r\n",
            body.len(),
            signature(&body)
        );
        Self([head.into_bytes(), body.into_bytes()].concat())
    }
}

/// Kept open from one webhook to the next.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// When it was sent. An answer other than 202 is an error.
    fn send(&mut self, webhook: &Webhook) -> Result<Instant> {
        let sent = Instant::now();
        self.0.get_mut().write_all(&webhook.0)?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 202"), "serve answered {line:?}");
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        self.0.read_exact(&mut vec![0; length])?;
        Ok(sent)
    }
}

/// A running `serve`; killed when it is dropped.
struct Serve {
    child: Child,
    address: String,
}

impl Serve {
    /// Over a new file in `folder`, in which its log stays.
    fn start(folder: &Path, standins: &[Server]) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let secrets = folder.join("secrets.toml");
        fs::write(&secrets, format!("user = \"{}\"\ntoken = \"{}\"\n", "u".repeat(30), "a".repeat(30)))?;
        let routes = folder.join("routes.toml");
        fs::write(&routes, routes_to(standins))?;
        // Free a moment ago.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string();
        let binary: PathBuf = workspace().join("target/release/switchboard");
        let child = Command::new(&binary)
            .args(["serve", "--listen", &address, "--sentry-url", "http://127.0.0.1:9", "--allow-private-destinations"])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--routes")
            .arg(&routes)
            .arg("--secrets")
            .arg(&secrets)
            .env("SENTRY_CLIENT_ID", "bench")
            .env("SENTRY_CLIENT_SECRET", CLIENT_SECRET)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("serve.log"))?)
            .spawn()
            .with_context(|| format!("{} does not start", binary.display()))?;
        let mut serve = Self { child, address };
        let start = Instant::now();
        while TcpStream::connect(&serve.address).is_err() {
            if let Some(status) = serve.child.try_wait()? {
                bail!("serve ended with {status}: see {}", folder.join("serve.log").display());
            }
            ensure!(start.elapsed() < PATIENCE, "serve does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(serve)
    }

    /// Sends what waits for the destination that hangs.
    fn fill(&self) -> Result<()> {
        thread::scope(|scope| {
            let senders: Vec<_> = (0..CONNECTIONS)
                .map(|first| {
                    scope.spawn(move || -> Result<()> {
                        let mut sentry = Connection::open(&self.address)?;
                        for n in (first..WAITING).step_by(CONNECTIONS) {
                            sentry.send(&Webhook::new("resolved", n))?;
                        }
                        Ok(())
                    })
                })
                .collect();
            senders.into_iter().try_for_each(|sender| sender.join().expect("a sender does not panic"))
        })
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Either it has ended already, or this ends it.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn routes_to(standins: &[Server]) -> String {
    let destinations = standins.iter().enumerate().map(|(n, standin)| {
        format!(
            "[[destination]]\nname = \"d{n}\"\ntype = \"pushover\"\nuser = \"secret:user\"\ntoken = \"secret:token\"\n\
             base_url = \"http://{}\"\nconcurrency = 10\n\n",
            standin.address()
        )
    });
    let all: Vec<_> = (0..standins.len()).map(|n| format!("\"d{n}\"")).collect();
    let routes = format!(
        "[[route]]\nname = \"all\"\nwhen = {{ event = \"issue.created\" }}\nto = [{}]\n\n\
         [[route]]\nname = \"fill\"\nwhen = {{ event = \"issue.resolved\" }}\nto = [\"d{HANGING}\"]\n",
        all.join(", ")
    );
    destinations.chain([routes]).collect()
}

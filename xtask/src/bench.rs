//! `cargo xtask bench`: how fast `webhook` starts and what a request costs, beside a bare hello; what it costs to match
//! an event, a route, from few routes to many; and what a destination that hangs costs the others.
//!
//! `webhook` and the hello run as on Lambda, against a stand-in of the Runtime API and one of AWS on loopback. There is no TLS in it and
//! no distance: it shows what our code adds, not what Sentry waits. Times depend on the machine and on what else runs
//! there, so ratios are what to look at, and nothing fails on a slow day.

mod aws;
mod dead_destination;
mod function;
mod http;
mod matching;
mod payload;
mod runtime_api;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use system_tests::parts::workspace;

use crate::steps::{Steps, cargo, run};
use function::{Running, Subject};
use payload::Event;
use table::Row;

const STARTS: usize = 100;
/// Of the warm measurement, each with a process of its own.
const ROUNDS: usize = 5;
const SMALL: usize = 2_000;
const LARGE: usize = 280_000;
const SMALL_REQUESTS: u32 = 2_000;
const LARGE_REQUESTS: u32 = 200;
/// Until a connection is open, a page is touched, an allocator has grown.
const WARM_UP: u32 = 50;
/// What is done beside the first question for an event is done after this long.
const REST: Duration = Duration::from_millis(300);

/// Measures with files in a folder, and tells what it measured as Markdown.
type Part = fn(&mut Steps, &Path) -> Result<String>;

/// Its parts, by the names under which each can be run alone.
const PARTS: [(&str, Part); 3] = [
    ("webhook", webhook),
    ("matching", matched),
    ("dead-destination", |steps, folder| steps.step("dead destination", || dead_destination::measure(folder))),
];

/// Runs all parts, or the one that is named. What each tells is printed and lies in `target/bench`.
pub(crate) fn run_parts(only: Option<&str>) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("`cargo xtask bench` reads CPU time and memory from /proc, which only Linux has");
    }
    if let Some(unknown) = only.filter(|only| PARTS.iter().all(|(name, _)| name != only)) {
        bail!("there is no bench `{unknown}`, but {}", PARTS.map(|(name, _)| name).join(", "));
    }
    let folder = workspace().join("target/bench");
    fs::create_dir_all(&folder)?;
    let mut steps = Steps::default();
    let mut told = Vec::new();
    for (name, part) in PARTS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        let text = part(&mut steps, &folder)?;
        fs::write(folder.join(name).with_extension("md"), &text)?;
        told.push(text);
    }
    eprintln!("{}\n", steps.summary());
    println!("{}", told.join("\n"));
    Ok(())
}

fn webhook(steps: &mut Steps, folder: &Path) -> Result<String> {
    let subjects = steps.step("build", build)?;
    let bench = Bench::new(&subjects, folder)?;
    let mut rows = steps.step("cold", || bench.cold())?;
    rows.extend(steps.step("warm", || bench.warm())?);
    bench.report(&rows)
}

fn matched(steps: &mut Steps, _: &Path) -> Result<String> {
    steps.step("build matching", matching::build)?;
    let rows = steps.step("matching", matching::rows)?;
    Ok(format!("# An event against many routes\n\n{}", table::markdown(matching::COLUMNS, &rows)))
}

/// One package alone: built together with others, `webhook` would get the features of all.
fn build() -> Result<[Subject; 2]> {
    run(cargo().args(["build", "--release", "--package", "webhook", "--bin", "webhook", "--example", "hello"]))?;
    let release = workspace().join("target/release");
    Ok([
        Subject { name: "webhook", binary: release.join("webhook"), status: 202 },
        Subject { name: "hello", binary: release.join("examples/hello"), status: 200 },
    ])
}

/// What was measured of both subjects, in their order.
type Pair = [Vec<f64>; 2];

struct Bench<'a> {
    subjects: &'a [Subject; 2],
    folder: &'a Path,
    aws: http::Server,
    small: Event,
    large: Event,
}

impl<'a> Bench<'a> {
    fn new(subjects: &'a [Subject; 2], folder: &'a Path) -> Result<Self> {
        let bench =
            Self { subjects, folder, aws: aws::start()?, small: Event::signed(SMALL), large: Event::signed(LARGE) };
        for subject in subjects {
            fs::write(bench.log(subject), "")?;
        }
        Ok(bench)
    }

    fn log(&self, subject: &Subject) -> PathBuf {
        self.folder.join(subject.name).with_extension("log")
    }

    fn start(&self, subject: &Subject) -> Result<Running> {
        Running::start(subject, &format!("http://{}", self.aws.address()), &self.log(subject))
    }

    /// The event is there already, as it is when Lambda starts a function for it. By turns, so that both get their
    /// share of whatever else the machine does.
    fn cold(&self) -> Result<Vec<Row>> {
        let [mut asked, mut answered, mut cpu] = [Pair::default(), Pair::default(), Pair::default()];
        // The first start of each also reads the binary from the disk, and is not counted.
        for start in 0..=STARTS {
            for (which, subject) in self.subjects.iter().enumerate() {
                let function = self.start(subject)?;
                let until_answered = function.answer(&self.small)?;
                if start > 0 {
                    asked[which].push(millis(function.until_asked));
                    answered[which].push(millis(until_answered));
                    cpu[which].push(millis(function.cpu()?));
                }
            }
        }
        Ok(vec![
            row("start to first question for an event", "ms", asked),
            row("start to first answer", "ms", answered),
            row("CPU of start and first answer", "ms", cpu),
        ])
    }

    fn warm(&self) -> Result<Vec<Row>> {
        let [mut small, mut large] = [Pair::default(), Pair::default()];
        let [mut at_rest, mut after_small, mut after_large] = [Pair::default(), Pair::default(), Pair::default()];
        for _ in 0..ROUNDS {
            for (which, subject) in self.subjects.iter().enumerate() {
                let function = self.start(subject)?;
                thread::sleep(REST);
                at_rest[which].push(megabytes(function.resident()?));
                small[which].push(micros(cpu_each(&function, &self.small, SMALL_REQUESTS)?));
                after_small[which].push(megabytes(function.resident()?));
                large[which].push(micros(cpu_each(&function, &self.large, LARGE_REQUESTS)?));
                after_large[which].push(megabytes(function.resident()?));
            }
        }
        let kilobytes = |event: &Event| event.body_bytes.div_ceil(1000);
        Ok(vec![
            row(&format!("CPU a request, {} kB", kilobytes(&self.small)), "µs", small),
            row(&format!("CPU a request, {} kB", kilobytes(&self.large)), "µs", large),
            row("memory at rest", "MB", at_rest),
            row(&format!("memory after {SMALL_REQUESTS} small requests"), "MB", after_small),
            row(&format!("memory after {LARGE_REQUESTS} large ones, too"), "MB", after_large),
        ])
    }

    fn report(&self, rows: &[Row]) -> Result<String> {
        let [webhook, hello] = self.subjects.each_ref().map(|subject| fs::metadata(&subject.binary));
        let (webhook, hello) = (megabytes(webhook?.len()), megabytes(hello?.len()));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Ok(format!(
            "# `webhook` beside a bare hello\n\n\
             Medians of {STARTS} starts by turns, of {ROUNDS} processes for what is warm. Release profile as cargo builds it \
             (packaged, zig links it for haswell), {}, {processors} processors, AWS and the Runtime API on loopback without TLS. \
             Binaries: {webhook:.1} MB and {hello:.1} MB.\n\n{}",
            std::env::consts::ARCH,
            table::markdown(["webhook", "hello"], rows)
        ))
    }
}

fn cpu_each(function: &Running, event: &Event, requests: u32) -> Result<Duration> {
    for _ in 0..WARM_UP {
        function.answer(event)?;
    }
    let before = function.cpu()?;
    for _ in 0..requests {
        function.answer(event)?;
    }
    Ok(function.cpu()?.saturating_sub(before) / requests)
}

fn row(what: &str, unit: &'static str, [subject, hello]: Pair) -> Row {
    Row { what: what.to_owned(), unit, subject, beside: hello }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Of 1,000,000 bytes.
#[expect(clippy::cast_precision_loss, reason = "a size in bytes is far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

//! `switchboard demo`: the whole story against a simulated Sentry in one terminal, over real sockets, and an exit code
//! that is 0 only if all of it happened.

use std::io::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::body::Bytes;
use clap::Args;
use http::StatusCode;
use serde::Serialize;
use shared::ids::InstallationId;
use shared::ports::{
    Clock, Deliveries, DeliveryRecord, Installation, Installations, Outgoing, Platform, Policy, Status, SystemClock,
};
use simulator::{Alert, AlertUrls, Direction, Exchange, Install, NewIssue, Order, Project, PushoverMessage};

use crate::start;
use crate::world::{RoutesFrom, World, wait_for};

/// Play the whole story against a simulated Sentry, and exit
#[derive(Args)]
pub(crate) struct Demo {
    /// One JSON record a line instead of text
    #[arg(long)]
    json: bool,
}

const ROUTES: &str = r#"
[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
base_url = "{pushover}"

[[route]]
name = "backend"
when = { event = ["issue.created", "event_alert.triggered"], project = ["Backend", "Payments"] }
to = ["phones"]
"#;

/// A line on standard output. Whoever has stopped reading it (`demo | head`) misses nothing more.
macro_rules! say {
    ($($line:tt)*) => { let _ = writeln!(std::io::stdout(), $($line)*); };
}

/// Generous: a step takes milliseconds, but machines are busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one step of the story says when it is over.
#[derive(Serialize)]
struct Step<'a> {
    number: usize,
    title: &'a str,
    happened: bool,
    outcome: String,
    ms: f64,
    wire: Vec<Wire>,
}

#[derive(Serialize)]
struct Wire {
    from: &'static str,
    to: &'static str,
    method: String,
    path: String,
    status: Option<u16>,
    what: String,
    ms: f64,
}

struct Story {
    world: World,
    json: bool,
    step: usize,
    /// How many exchanges of the log have been shown.
    shown: usize,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir().context("no temporary folder can be made")?;
        let listener = start::listen((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let projects = vec![Project::new(3, "Backend"), Project::new(4, "Frontend"), Project::new(5, "Payments")];
        let settings = simulator::Config { projects, ..simulator::Config::default() };
        let world =
            World::start(folder.path(), listener, settings, RoutesFrom::Text(ROUTES), |_, _| axum::Router::new())
                .await?;
        let began = Instant::now();
        let mut story = Story { world, json: self.json, step: 0, shown: 0 };
        story.begin();
        if let Err(error) = story.tell().await {
            // What went over the wire since the last step is most of the answer.
            story.tell_step("This step did not happen", format!("{error:#}"), false, began);
            return Err(error);
        }
        let steps = story.step;
        story.world.stop().await?;
        if !self.json {
            say!(
                "\nAll {steps} steps happened, in {:.1} s. Now press the buttons yourself: switchboard dev",
                began.elapsed().as_secs_f32()
            );
        }
        Ok(())
    }
}

impl Story {
    fn begin(&self) {
        if !self.json {
            say!("switchboard   {}", self.world.url);
            say!("Sentry        {}   (simulated, strict where the real one is)", self.world.sentry_url);
            say!("Route         issues and alerts of Backend and Payments ring a phone through Pushover");
        }
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let sentry = self.world.sentry.clone();
        let installed = sentry.install_with(Install { order: Order::RedirectFirst, ..Install::default() }).await;
        let id: InstallationId = installed.installation.parse()?;
        let redirect = installed.redirect_url.context("Sentry sends no browser back")?;
        let answer = self.visit(&redirect).await?;
        ensure!(answer == StatusCode::FOUND, "the setup page answered {answer}");
        // The other side of the race: the same install by webhook, after the browser has used its code.
        sentry.announce(&installed.installation).await;
        let row =
            self.row_when(id, |row| row.verified_at.is_some()).await.context("the installation is not verified")?;
        ensure!(sentry.exchanges() == 1, "the code was exchanged {} times", sentry.exchanges());
        ensure!(
            sentry.status_of(&installed.installation) == Some("installed"),
            "Sentry still waits for the verify call"
        );
        let organization = row.organization.unwrap_or_default();
        let outcome = format!(
            "code exchanged once, tokens sealed, verified for `{organization}`; the browser goes back to Sentry"
        );
        self.over("Install by redirect", outcome, began);

        let began = Instant::now();
        let issue = sentry.create_issue(NewIssue::new("Backend", "ValueError: division by zero")).await?;
        ensure!(issue.delivery.is_accepted(), "the webhook was not accepted");
        let rung = self.rung(1).await?;
        ensure!(
            rung.title.as_deref().is_some_and(|title| title.contains("division by zero")),
            "the title is {:?}",
            rung.title
        );
        ensure!(
            rung.url.as_deref().is_some_and(|url| url.contains(&issue.issue.to_string())),
            "the link is {:?}",
            rung.url
        );
        self.over("A new issue in Backend rings", said(&rung), began);

        let began = Instant::now();
        sentry.create_issue(NewIssue::new("Frontend", "TypeError: undefined is not a function")).await?;
        self.all_worked_off().await?;
        self.silent(1)?;
        self.over("A new issue in Frontend does not", "taken, matched by no route, nobody is rung".to_owned(), began);

        let began = Instant::now();
        let alert = || Alert { urls: AlertUrls::Absent, ..Alert::default() };
        sentry.trigger_alert(issue.issue, alert()).await?;
        let rung = self.rung(2).await?;
        self.over(
            "An alert that names no project is looked up",
            format!("its issue was read with the token; {}", said(&rung)),
            began,
        );

        let began = Instant::now();
        let payments = sentry.create_issue(NewIssue::new("Payments", "Timeout: card gateway")).await?;
        self.rung(3).await?;
        sentry.expire_token(&installed.installation);
        let before = sentry.refreshes();
        sentry.trigger_alert(payments.issue, alert()).await?;
        let rung = self.rung(4).await?;
        let renewed = sentry.refreshes() - before;
        ensure!(renewed == 1, "the token was renewed {renewed} times");
        self.over(
            "The token expires and is renewed",
            format!("refused once, renewed once, read again; {}", said(&rung)),
            began,
        );

        let began = Instant::now();
        let repeated = sentry.repeat("issue.created").await.context("there is nothing to repeat")?;
        ensure!(repeated.is_accepted(), "the repeat was not accepted");
        self.all_worked_off().await?;
        self.silent(4)?;
        self.over("Sentry sends one twice: nobody is rung twice", "accepted and dropped as a repeat".to_owned(), began);

        let began = Instant::now();
        sentry.uninstall(&installed.installation).await.map_err(|e| anyhow::anyhow!("the uninstall failed: {e:?}"))?;
        let row =
            self.row_when(id, |row| row.status == Status::Removed).await.context("the installation is not removed")?;
        ensure!(row.tokens.is_none(), "the tokens are still there");
        sentry.repeat("event_alert.triggered").await.context("there is nothing to repeat")?;
        self.all_worked_off().await?;
        let row = self.row(id).await?.context("the tombstone is gone")?;
        ensure!(row.status == Status::Removed && row.tokens.is_none(), "a late webhook brought the installation back");
        self.over("Uninstall", "the tokens are gone, and a late webhook does not bring them back".to_owned(), began);

        let undelivered: Vec<DeliveryRecord> =
            self.records().await?.into_iter().filter(|record| record.ended_at.is_none()).collect();
        ensure!(undelivered.is_empty(), "{} deliveries are not done", undelivered.len());
        Ok(())
    }

    /// As a browser would; a redirect is not followed.
    async fn visit(&self, address: &str) -> anyhow::Result<StatusCode> {
        let request = http::Request::get(address).body(Bytes::new())?;
        let policy = Policy { guarded: false, timeout: PATIENCE, max_body_bytes: 64 * 1024 };
        Ok(self.world.bundle.platform.outgoing().call(request, policy).await?.status())
    }

    async fn row(&self, id: InstallationId) -> anyhow::Result<Option<Installation>> {
        Ok(self.world.bundle.platform.installations().read(id, SystemClock.now()).await?)
    }

    async fn row_when(&self, id: InstallationId, is_there: impl Fn(&Installation) -> bool) -> Option<Installation> {
        wait_for(PATIENCE, async || self.row(id).await.ok().flatten().filter(|row| is_there(row))).await
    }

    async fn records(&self) -> anyhow::Result<Vec<DeliveryRecord>> {
        let now = SystemClock.now();
        Ok(self.world.bundle.platform.deliveries().recent(now - Duration::from_hours(1), now, 100).await?)
    }

    /// The `n`th message that Pushover got.
    async fn rung(&self, n: usize) -> anyhow::Result<PushoverMessage> {
        wait_for(PATIENCE, async || self.world.sentry.pushover_messages().get(n - 1).cloned())
            .await
            .with_context(|| format!("Pushover did not get message {n}"))
    }

    fn silent(&self, expected: usize) -> anyhow::Result<()> {
        let got = self.world.sentry.pushover_messages().len();
        if got == expected { Ok(()) } else { bail!("Pushover got {got} messages instead of {expected}") }
    }

    /// Both queues are empty: whatever would ring has rung.
    async fn all_worked_off(&self) -> anyhow::Result<()> {
        let platform = &self.world.bundle.platform;
        wait_for(PATIENCE, async || {
            let (events, outbox) = (platform.events().depth().await.ok()?, platform.outbox().depth().await.ok()?);
            (events + outbox == 0).then_some(())
        })
        .await
        .context("the queues are not empty")
    }

    fn over(&mut self, title: &str, outcome: String, began: Instant) {
        self.tell_step(title, outcome, true, began);
    }

    /// Prints the step that has just ended, with what went over the wire meanwhile.
    fn tell_step(&mut self, title: &str, outcome: String, happened: bool, began: Instant) {
        self.step += 1;
        let log = self.world.sentry.log();
        let wire = log[self.shown.min(log.len())..].iter().map(Wire::of).collect();
        self.shown = log.len();
        let step = Step { number: self.step, title, happened, outcome, ms: ms(began.elapsed()), wire };
        if self.json {
            // Texts and numbers always have a JSON form.
            say!("{}", serde_json::to_string(&step).unwrap_or_default());
            return;
        }
        say!("\n{}. {}   {:.0} ms", step.number, step.title, step.ms);
        for wire in &step.wire {
            let status = wire.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            say!(
                "     {:>6} → {:<9} {:<4} {}  {status}  {}  {:.1} ms",
                wire.from,
                wire.to,
                wire.method,
                wire.path,
                wire.what,
                wire.ms
            );
        }
        say!("   {} {}", if happened { '✓' } else { '✗' }, step.outcome);
    }
}

impl Wire {
    fn of(exchange: &Exchange) -> Self {
        let (from, to) = match exchange.direction {
            Direction::ToApp => ("Sentry", "us"),
            Direction::ToSentry => ("us", "Sentry"),
            Direction::ToPushover => ("us", "Pushover"),
        };
        Self {
            from,
            to,
            method: exchange.method.clone(),
            path: exchange.path.clone(),
            status: exchange.status,
            what: exchange.subject.clone(),
            ms: ms(exchange.duration),
        }
    }
}

fn said(rung: &PushoverMessage) -> String {
    format!(
        "the phone shows \"{}: {}\" with {}",
        rung.title.as_deref().unwrap_or_default(),
        rung.message,
        rung.url.as_deref().unwrap_or("no link")
    )
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

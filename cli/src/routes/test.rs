//! `switchboard routes test`: which route takes an event, why the others do not, and what is sent.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use shared::alert_rule::{self, Going};
use shared::ids::DestinationName;
use shared::routing::{self, Decision, LookedUp, Outcome, Planned, Routes};

use super::event::Event;
use super::read;
use super::rendered::rendered;
use crate::routes_file;

/// Try an event, or run the file's own tests
///
/// With --event, shows what each route makes of the event and what is sent to each destination. Without, runs the
/// [[test]]s of the file. Nothing is sent, and nothing is looked up: --set says what a look-up would tell.
#[derive(Args)]
pub(crate) struct Test {
    file: PathBuf,
    /// A sample (issue.created), or a file: {"resource": …, "body": {…}}, or a body in a file named after its resource
    #[arg(long, value_name = "NAME|FILE")]
    event: Option<String>,
    /// A key that routes match on, or a data. path, and its value: JSON where it parses, else text
    #[arg(long, value_name = "KEY=VALUE", requires = "event")]
    set: Vec<String>,
    /// The destinations that are to hear of it, or "none"; exits with 1 if others do
    #[arg(long, value_name = "DESTINATION,…", requires = "event", value_delimiter = ',')]
    expect: Option<Vec<String>>,
    /// Alert rules reach what a public integration offers, which strangers install
    #[arg(long)]
    public: bool,
}

/// What an event comes to.
struct Trial {
    going: Vec<Going>,
    /// One line for each route, and for each destination that an alert rule picks.
    table: String,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let routes = routes_file::check(&self.file, &read(&self.file)?, None)?;
        match &self.event {
            Some(name) => self.try_event(&routes, name),
            None => self.run_tests(&routes),
        }
    }

    fn try_event(&self, routes: &Routes, name: &str) -> anyhow::Result<()> {
        let expected = self.expect.as_ref().map(|names| expected(routes, names)).transpose()?;
        let mut event = Event::of(name)?;
        self.set.iter().try_for_each(|assignment| event.set_from(assignment))?;
        let trial = Trial::of(routes, &event, self.public)?;
        if let Some(expected) = expected {
            if trial.delivered() != expected {
                print!("{}", trial.table);
                bail!("expected {}, delivered {}", listed(&expected), listed(&trial.delivered()));
            }
            println!("{}: delivered {}, as expected", event.normalized.event, listed(&expected));
            return Ok(());
        }
        println!("{}: {}", event.normalized.event, event.normalized.headline());
        print!("{}", trial.table);
        if trial.delivered().is_empty() {
            println!("nothing is delivered");
        }
        for going in trial.delivering() {
            let Planned { destination, route } = &going.planned;
            let kind = routes.destination(destination).map_or("", |destination| &destination.kind);
            let by_both = going.rule.is_some() && !alert_rule::is_route(route);
            let also = if by_both { ", with what the alert rule says" } else { "" };
            println!("\n{destination} ({kind}), by `{route}`{also}");
            match rendered(routes, going, &event) {
                Ok(text) => print!("{text}"),
                Err(error) => println!("    cannot be sent: {error:#}"),
            }
        }
        Ok(())
    }

    fn run_tests(&self, routes: &Routes) -> anyhow::Result<()> {
        let tests = routes.tests();
        if tests.is_empty() {
            bail!("{} has no [[test]]; `--event NAME` tries one event", self.file.display());
        }
        let mut failed = 0;
        for test in tests {
            match self.run_test(routes, test) {
                Ok(()) => println!("test {} ... ok", test.name),
                Err(why) => {
                    failed += 1;
                    println!("test {} ... FAILED", test.name);
                    why.lines().for_each(|line| println!("    {line}"));
                }
            }
        }
        println!("\n{} passed, {failed} failed", tests.len() - failed);
        if failed > 0 {
            bail!("{failed} of {} tests failed", tests.len());
        }
        Ok(())
    }

    fn run_test(&self, routes: &Routes, test: &routing::Test) -> Result<(), String> {
        let mut event = Event::beside(&self.file, &test.event).map_err(|error| format!("{error:#}"))?;
        event.set_all(&test.set).map_err(|error| format!("{error:#}"))?;
        let trial = Trial::of(routes, &event, self.public).map_err(|error| format!("{error:#}"))?;
        if trial.delivered() == test.expect {
            return Ok(());
        }
        Err(format!("expected {}, delivered {}\n{}", listed(&test.expect), listed(&trial.delivered()), trial.table))
    }
}

impl Trial {
    /// Nothing is looked up: where a route hangs on it, the table says so, and the event is matched with what is known.
    fn of(routes: &Routes, event: &Event, is_public: bool) -> anyhow::Result<Self> {
        let decide = |looked_up| routes.decide(&event.normalized, &event.raw, looked_up);
        let planned = match decide(LookedUp::No) {
            Decision::Deliver(planned) => planned,
            Decision::NeedsIssue => match decide(LookedUp::Failed) {
                Decision::Deliver(planned) => planned,
                Decision::NeedsIssue => Vec::new(),
            },
        };
        let picked = event.picked()?;
        let has_rule = !picked.is_empty();
        let organization = event.normalized.organization.as_deref();
        let (going, in_vain) = alert_rule::with_rules(routes, planned, picked, organization, is_public);
        let by_rule = if is_public { alert_rule::ROUTE_OF_PUBLIC } else { alert_rule::ROUTE };
        let explained = routes.explain(&event.normalized, &event.raw, LookedUp::No);
        let names = explained.iter().map(|line| line.route.as_str()).chain(has_rule.then_some(by_rule));
        let width = names.map(|name| name.chars().count()).max().unwrap_or_default();
        let mut table = String::new();
        for line in &explained {
            let hint = match &line.outcome {
                Outcome::NeedsIssue { key } => format!("; `--set {key}=…` stands in for it"),
                _ => String::new(),
            };
            let _ = writeln!(table, "  {:width$}  {}{hint}", line.route, line.outcome);
        }
        for going in going.iter().filter(|going| going.rule.is_some()) {
            let told = going.refused.clone().map_or_else(
                || format!("taken → {}", going.planned.destination),
                |why| format!("refused, a dead letter: {why}"),
            );
            let _ = writeln!(table, "  {by_rule:width$}  {told}");
        }
        for why in in_vain {
            let _ = writeln!(table, "  {by_rule:width$}  refused: {why}");
        }
        Ok(Self { going, table })
    }

    /// What is a dead letter from the beginning reaches nobody.
    fn delivering(&self) -> impl Iterator<Item = &Going> {
        self.going.iter().filter(|going| going.refused.is_none())
    }

    fn delivered(&self) -> BTreeSet<DestinationName> {
        self.delivering().map(|going| going.planned.destination.clone()).collect()
    }
}

fn expected(routes: &Routes, names: &[String]) -> anyhow::Result<BTreeSet<DestinationName>> {
    if names == ["none"] {
        return Ok(BTreeSet::new());
    }
    let known = || routes.destinations().map(|destination| &destination.name);
    let find = |name: &String| {
        known().find(|known| known.as_str() == name).cloned().ok_or_else(|| {
            let all = || known().map(DestinationName::as_str);
            let help = match shared::names::likely(name, all()) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => format!("the destinations are {}, and none", shared::names::listed(all())),
            };
            anyhow::anyhow!("--expect: unknown destination `{name}`; {help}")
        })
    };
    names.iter().map(find).collect()
}

fn listed(names: &BTreeSet<DestinationName>) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<&str> = names.iter().map(DestinationName::as_str).collect();
    format!("to {}", names.join(", "))
}

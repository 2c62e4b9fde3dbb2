//! `switchboard routes check`: every mistake of the file at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use shared::routing::{Mistake, Routes, Test};

use super::event::Event;
use super::read;
use crate::routes_file::{self, Broken};
use crate::samples;

/// Find every mistake in a routes file
///
/// Exits with 1 if there is one. Warnings alone are shown, and the file is good.
#[derive(Args)]
pub(crate) struct Check {
    file: PathBuf,
    /// A flat TOML table of what the routes call secret:NAME; a name that is not in it is a mistake
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// For a public app, which strangers install: a route that names no organization is a mistake, and a destination
    /// or tracker that names none a warning: in Sentry nobody is offered it
    #[arg(long)]
    public: bool,
    /// Warnings are mistakes too
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let text = read(&self.file)?;
        let secrets = self.secrets.as_deref().map(names).transpose()?;
        let routes = routes_file::check(&self.file, &text, None)?;
        let mut mistakes = secrets.as_ref().map(|secrets| routes.missing_secrets(secrets)).unwrap_or_default();
        mistakes.extend(tests_that_cannot_run(&self.file, &routes));
        if self.public {
            mistakes.extend(routes.open_to_strangers());
        }
        if !mistakes.is_empty() {
            mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
            return Err(Broken::new(&self.file, &mistakes).into());
        }
        let file = self.file.display().to_string();
        let mut warnings: Vec<&Mistake> = routes.warnings().iter().collect();
        if self.public {
            warnings.extend(routes.offered_to_nobody());
            warnings.sort_by_key(|warning| (warning.line, warning.column));
        }
        for warning in &warnings {
            eprintln!("{}", warning.in_file(&file));
        }
        if self.strict && !warnings.is_empty() {
            anyhow::bail!("{} warnings, and --strict makes them mistakes", warnings.len());
        }
        println!("{file}: {} routes to {} destinations", routes.routes().len(), routes.destinations().count());
        if secrets.is_none() && !routes.secret_names().is_empty() {
            let names: Vec<String> = routes.secret_names().into_iter().collect();
            println!("it needs the secrets {}", names.join(", "));
        }
        Ok(())
    }
}

/// A mistake for each `[[test]]` whose event is neither a sample nor a file, or cannot be changed as it says.
fn tests_that_cannot_run(file: &Path, routes: &Routes) -> Vec<Mistake> {
    let mistake = |test: &Test| {
        if !Event::is_there(file, &test.event) {
            let likely = shared::names::likely(&test.event, samples::names());
            let help = likely.map(|name| format!("did you mean `{name}`?"));
            let message = format!("`{}` is neither a sample nor a file beside this one", test.event);
            return Some(Mistake { help, ..test.mistake(message) });
        }
        let set = Event::beside(file, &test.event).and_then(|mut event| event.set_all(&test.set));
        set.err().map(|error| test.mistake(format!("{error:#}")))
    };
    routes.tests().iter().filter_map(mistake).collect()
}

fn names(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let table: toml::Table = read(path)?.parse().with_context(|| format!("{} is not TOML", path.display()))?;
    Ok(table.into_iter().map(|(name, _)| name).collect())
}

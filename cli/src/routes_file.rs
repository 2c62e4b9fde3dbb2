//! The routes file of `serve` and `dev`: checked, put into force, and watched for changes. A broken one never comes into
//! force; the last good one stays.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use shared::ports::{Clock, EventBus, NO_BUS, Settings, SystemClock, Written};
use shared::routing::{Mistake, Routes};
use shared_embedded::EnvSecrets;

use crate::dev::stand_ins::StandIns;

const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct RoutesFile {
    path: PathBuf,
    calls: Calls,
    /// As it was when it was last looked at, good or bad.
    seen: Option<String>,
}

/// Whom the destinations call.
enum Calls {
    /// Those that the file means. `has_bus`: whether event buses can be reached from here.
    Real {
        secrets: EnvSecrets,
        has_bus: bool,
    },
    StandIns(StandIns),
}

/// A file that cannot come into force: every mistake, each with its place.
#[derive(Debug, thiserror::Error)]
#[error("{}\n{} of the routes file must be mended first", .mistakes.join("\n"), count(.mistakes.len()))]
pub(crate) struct Broken {
    mistakes: Vec<String>,
}

fn count(mistakes: usize) -> String {
    if mistakes == 1 { "this mistake".to_owned() } else { format!("these {mistakes} mistakes") }
}

impl Broken {
    pub(crate) fn new(path: &Path, mistakes: &[Mistake]) -> Self {
        let file = path.display().to_string();
        Self { mistakes: mistakes.iter().map(|mistake| mistake.in_file(&file).to_string()).collect() }
    }
}

/// Compiles `text`; with `secrets`, a name that is not among them is a mistake.
pub(crate) fn check(path: &Path, text: &str, secrets: Option<&BTreeSet<String>>) -> Result<Routes, Broken> {
    let routes = Routes::compile(text).map_err(|mistakes| Broken::new(path, &mistakes))?;
    let missing = secrets.map(|secrets| routes.missing_secrets(secrets)).unwrap_or_default();
    if missing.is_empty() { Ok(routes) } else { Err(Broken::new(path, &missing)) }
}

/// Names of the destinations' secrets in the JSON text that the port gives.
pub(crate) async fn secret_names(secrets: &EnvSecrets) -> anyhow::Result<BTreeSet<String>> {
    let text = secrets.destinations().await?;
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text.expose_secret())?;
    Ok(object.into_iter().map(|(name, _)| name).collect())
}

impl RoutesFile {
    /// Reads the file for the first time: a mistake in it is an error.
    pub(crate) async fn open(
        path: PathBuf,
        secrets: EnvSecrets,
        bus: &impl EventBus,
        settings: &impl Settings,
    ) -> anyhow::Result<Self> {
        Self::open_to(path, Calls::Real { secrets, has_bus: bus.is_available() }, settings).await
    }

    /// [`Self::open`], with `stand_ins` instead of what the file means: it needs neither secrets nor event buses.
    pub(crate) async fn open_to_stand_ins(
        path: PathBuf,
        stand_ins: StandIns,
        settings: &impl Settings,
    ) -> anyhow::Result<Self> {
        Self::open_to(path, Calls::StandIns(stand_ins), settings).await
    }

    async fn open_to(path: PathBuf, calls: Calls, settings: &impl Settings) -> anyhow::Result<Self> {
        let mut file = Self { path, calls, seen: None };
        let text = file.read().await?;
        file.put(&text, settings).await?;
        file.seen = Some(text);
        Ok(file)
    }

    /// Looks for changes, until it is dropped.
    pub(crate) async fn watch(mut self, settings: &impl Settings) {
        loop {
            SystemClock.sleep(LOOK_EVERY).await;
            let text = match self.read().await {
                Ok(text) => text,
                // An editor that replaces the file leaves a moment without one.
                Err(error) => {
                    if self.seen.take().is_some() {
                        tracing::error!("the old routes stay in force: {error:#}");
                    }
                    continue;
                }
            };
            if self.seen.as_ref() == Some(&text) {
                continue;
            }
            match self.put(&text, settings).await {
                Ok(()) => tracing::info!(routes.file = %self.path.display(), "new routes are in force"),
                Err(error) => tracing::error!("the old routes stay in force:\n{error:#}"),
            }
            self.seen = Some(text);
        }
    }

    async fn read(&self) -> anyhow::Result<String> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || std::fs::read_to_string(&path))
            .await?
            .with_context(|| format!("the routes file {} cannot be read", self.path.display()))
    }

    async fn put(&self, text: &str, settings: &impl Settings) -> anyhow::Result<()> {
        let (routes, text) = match &self.calls {
            Calls::Real { secrets, has_bus } => {
                let routes = check(&self.path, text, Some(&secret_names(secrets).await?))?;
                if !has_bus {
                    // `routes check` lets it pass: the file may be for AWS.
                    let of_aws = routes.mistakes_of_kind("eventbridge", NO_BUS);
                    anyhow::ensure!(of_aws.is_empty(), Broken::new(&self.path, &of_aws));
                }
                (routes, text.to_owned())
            }
            Calls::StandIns(stand_ins) => (check(&self.path, text, None)?, stand_ins.fill_in(text)?),
        };
        for warning in routes.warnings() {
            tracing::warn!("{}", warning.in_file(&self.path.display().to_string()));
        }
        put(&text, settings).await
    }
}

/// Brings a text into force, unless it is already.
pub(crate) async fn put(text: &str, settings: &impl Settings) -> anyhow::Result<()> {
    let stored = settings.routes().await?;
    if stored.as_ref().is_some_and(|stored| stored.text == text) {
        return Ok(());
    }
    match settings.put_routes(text, stored.map_or(0, |stored| stored.version), SystemClock.now()).await? {
        Written::Done => Ok(()),
        Written::Conflict => anyhow::bail!("the routes were changed by somebody else at the same moment; try again"),
    }
}

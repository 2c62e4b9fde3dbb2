//! `switchboard routes …`: for the file that says who hears of what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::routes_file;

/// Check the routes file, or put it on AWS
#[derive(Subcommand)]
pub(crate) enum Routes {
    Check(Check),
    Push(Push),
}

/// Find every mistake in a routes file
#[derive(Args)]
pub(crate) struct Check {
    file: PathBuf,
    /// A flat TOML table of what the routes call secret:NAME; a name that is not in it is a mistake
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Warnings are mistakes too
    #[arg(long)]
    strict: bool,
}

/// Put a routes file on AWS
#[derive(Args)]
pub(crate) struct Push {
    file: PathBuf,
}

impl Routes {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Check(check) => check.run(),
            Self::Push(push) => push.run().await,
        }
    }
}

impl Check {
    fn run(self) -> anyhow::Result<()> {
        let text = read(&self.file)?;
        let secrets = self.secrets.as_ref().map(names).transpose()?;
        let routes = routes_file::check(&self.file, &text, secrets.as_ref())?;
        let file = self.file.display().to_string();
        for warning in routes.warnings() {
            eprintln!("{}", warning.in_file(&file));
        }
        if self.strict && !routes.warnings().is_empty() {
            anyhow::bail!("{} warnings, and --strict makes them mistakes", routes.warnings().len());
        }
        println!("{file}: {} routes to {} destinations", routes.routes().len(), routes.destinations().count());
        if secrets.is_none() && !routes.secret_names().is_empty() {
            let names: Vec<String> = routes.secret_names().into_iter().collect();
            println!("it needs the secrets {}", names.join(", "));
        }
        Ok(())
    }
}

impl Push {
    #[cfg(not(feature = "aws"))]
    async fn run(self) -> anyhow::Result<()> {
        std::future::ready(()).await;
        anyhow::bail!("this build cannot reach AWS: build it with `cargo build --release -p cli --features aws`")
    }

    #[cfg(feature = "aws")]
    async fn run(self) -> anyhow::Result<()> {
        let text = read(&self.file)?;
        routes_file::check(&self.file, &text, None)?;
        let settings = shared_aws::DynamoSettings::from_env(&shared_aws::sdk_config().await?)?;
        routes_file::put(&text, &settings).await?;
        println!("{} is in force within 30 s", self.file.display());
        Ok(())
    }
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn names(path: &PathBuf) -> anyhow::Result<BTreeSet<String>> {
    let table: toml::Table = read(path)?.parse().with_context(|| format!("{} is not TOML", path.display()))?;
    Ok(table.into_iter().map(|(name, _)| name).collect())
}

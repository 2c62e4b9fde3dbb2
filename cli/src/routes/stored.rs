//! `switchboard routes push`, `pull` and `diff`: the routes in force on AWS. `serve` reads its own file instead.

use std::path::PathBuf;

use clap::Args;

/// Put a routes file on AWS
///
/// The table is named by `SETTINGS_TABLE`; an output of the stack prints the whole command.
#[derive(Args)]
pub(crate) struct Push {
    file: PathBuf,
    /// Only if this version is still in force: the one that `pull` or `diff` told
    #[arg(long, value_name = "VERSION")]
    onto: Option<u64>,
}

/// Print the routes in force on AWS
#[derive(Args)]
pub(crate) struct Pull {
    /// Write them here instead
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Show what a push of this file would change on AWS
///
/// Exits with 1 if it would change anything.
#[derive(Args)]
pub(crate) struct Diff {
    file: PathBuf,
}

#[cfg(not(feature = "aws"))]
mod without_aws {
    use super::{Diff, Pull, Push};

    async fn refuse() -> anyhow::Result<()> {
        std::future::ready(()).await;
        anyhow::bail!("this build cannot reach AWS: build it with `cargo build --release -p cli --features aws`")
    }

    impl Push {
        pub(in crate::routes) async fn run(self) -> anyhow::Result<()> {
            refuse().await
        }
    }

    impl Pull {
        pub(in crate::routes) async fn run(self) -> anyhow::Result<()> {
            refuse().await
        }
    }

    impl Diff {
        pub(in crate::routes) async fn run(self) -> anyhow::Result<()> {
            refuse().await
        }
    }
}

#[cfg(feature = "aws")]
mod with_aws {
    use anyhow::{Context, bail};
    use shared::ports::{Clock, SystemClock};

    use super::super::{in_force, read};
    use super::{Diff, Pull, Push};
    use crate::routes_file;

    async fn settings() -> anyhow::Result<shared_aws::DynamoSettings> {
        Ok(shared_aws::DynamoSettings::from_env(&shared_aws::sdk_config().await?)?)
    }

    impl Push {
        pub(in crate::routes) async fn run(self) -> anyhow::Result<()> {
            let text = read(&self.file)?;
            routes_file::check(&self.file, &text, None)?;
            let pushed = in_force::push(&settings().await?, &text, self.onto, SystemClock.now()).await?;
            print!("{pushed}");
            Ok(())
        }
    }

    impl Pull {
        pub(in crate::routes) async fn run(self) -> anyhow::Result<()> {
            let stored = in_force::pull(&settings().await?).await?;
            eprintln!("version {}, pushed at {}", stored.version, stored.pushed_at);
            match self.to {
                None => print!("{}", stored.text),
                Some(path) => std::fs::write(&path, stored.text)
                    .with_context(|| format!("{} cannot be written", path.display()))?,
            }
            Ok(())
        }
    }

    impl Diff {
        pub(in crate::routes) async fn run(self) -> anyhow::Result<()> {
            let changes = in_force::diff(&settings().await?, &read(&self.file)?).await?;
            eprintln!("version {} is in force", changes.version);
            if changes.lines.is_empty() {
                return Ok(());
            }
            print!("{}", changes.lines);
            bail!("{} is not what is in force", self.file.display());
        }
    }
}

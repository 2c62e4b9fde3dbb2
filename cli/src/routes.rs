//! `switchboard routes …`: for the file that says who hears of what.

mod check;
mod event;
#[cfg(any(feature = "aws", test))]
mod in_force;
mod rendered;
mod stored;
mod test;

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;

/// Check and test the routes file, or put it on AWS
#[derive(Subcommand)]
pub(crate) enum Routes {
    Check(check::Check),
    Test(test::Test),
    Push(stored::Push),
    Pull(stored::Pull),
    Diff(stored::Diff),
}

impl Routes {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Check(check) => check.run(),
            Self::Test(test) => test.run(),
            Self::Push(push) => push.run().await,
            Self::Pull(pull) => pull.run().await,
            Self::Diff(diff) => diff.run().await,
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

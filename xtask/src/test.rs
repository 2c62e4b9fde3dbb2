//! Everything that CI checks.

use std::process::Command;

use anyhow::Result;
use system_tests::deploy::BINARIES_VARIABLE;
use system_tests::ministack::REGION;
use system_tests::parts::{PARTS_VARIABLE, Parts, workspace};

use crate::steps::{Steps, cargo, run};
use crate::{parts, prerequisites};

fn all(steps: &mut Steps) -> Result<()> {
    steps.step("prerequisites", prerequisites::check)?;
    let parts = steps.step("parts", parts::install)?;

    steps.step("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    steps.step("lints", || {
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))
    })?;
    steps.step("template: sam validate", || run(&mut sam_validate(&parts)))?;
    steps.step("template: cfn-lint", || {
        run(Command::new(parts.cfn_lint()).current_dir(workspace()).arg("template.yaml"))
    })?;
    // With the tests' own features, so that these and the tests share what they compile.
    steps.step("functions", || run(cargo().args(["build", "--workspace", "--all-features", "--bins"])))?;
    steps.step("tests", || {
        run(cargo()
            .args(["test", "--workspace", "--all-features"])
            .env(PARTS_VARIABLE, parts.root())
            .env(BINARIES_VARIABLE, workspace().join("target/debug")))
    })
}

pub(crate) fn check() -> Result<()> {
    let mut steps = Steps::default();
    let result = all(&mut steps);
    eprintln!("{}", steps.summary());
    result
}

/// Offline, but it wants to know of a region; and no configuration of the user is to have a say.
fn sam_validate(parts: &Parts) -> Command {
    let mut sam = Command::new(parts.sam());
    sam.current_dir(workspace())
        .args(["validate", "--lint", "--region", REGION])
        .env("HOME", parts.root())
        .env("SAM_CLI_TELEMETRY", "0");
    sam
}

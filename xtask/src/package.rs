//! Every function as it is deployed: release profile, its own features only, zipped by `cargo-lambda`.

use std::env;
use std::fs;

use anyhow::{Context, Result};
use system_tests::deploy::function_names;
use system_tests::parts::{Parts, workspace};

use crate::parts;
use crate::steps::{Steps, cargo, run};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    fn flag(self) -> &'static str {
        match self {
            Self::X86_64 => "--x86-64",
            Self::Arm64 => "--arm64",
        }
    }
}

pub(crate) fn build_all(architecture: Architecture) -> Result<()> {
    let mut steps = Steps::default();
    let parts = steps.step("parts", parts::install)?;
    let template = fs::read_to_string(workspace().join("template.yaml"))?;
    let mut table = Vec::new();
    for name in function_names(&template) {
        steps.step(name, || build(&parts, name, architecture))?;
        let zip = workspace().join("target/lambda").join(name).join("bootstrap.zip");
        let bytes = fs::metadata(&zip).with_context(|| format!("{} was not built", zip.display()))?.len();
        table.push(format!("{name:<12}{:>9} kB  {}", bytes.div_ceil(1000), zip.display()));
    }
    eprintln!("{}\n", steps.summary());
    println!("{}", table.join("\n"));
    Ok(())
}

/// One at a time with `--package`: built together, each would get the features of all.
fn build(parts: &Parts, name: &str, architecture: Architecture) -> Result<()> {
    // There it finds `cargo lambda`, and that finds its zig.
    let bin = parts.sam_venv().join("bin");
    let path = env::join_paths(std::iter::once(bin).chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())))?;
    run(cargo()
        .env("PATH", path)
        .args(["lambda", "build", "--release", "--output-format", "zip", "--package", name])
        .arg(architecture.flag()))
}

//! Installs the parts below `target/parts`, each at a pinned version and only when that version is not there yet.
//!
//! When a version is raised, run the queues' conformance suite again and read what changed: how far a part behaves as
//! AWS does is known for the versions named here.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use system_tests::parts::{Parts, workspace};

use crate::steps::run;

/// `full` brings the SAM transform.
const MINISTACK: &[&str] = &["ministack[full]==1.5.33"];
const SAM: &[&str] = &["aws-sam-cli==1.170.0", "cfn-lint==1.58.0", "cargo-lambda==1.9.2"];
/// Carries `DynamoDB` Local 1.25.1.
const DYNAMODB_LOCAL: &str = "amplify-dynamodb-simulator@2.9.30";

pub(crate) fn install() -> Result<Parts> {
    let parts = Parts::at(workspace().join("target/parts"));
    fs::create_dir_all(parts.root())?;
    virtual_environment(&parts.ministack_venv(), MINISTACK)?;
    virtual_environment(&parts.sam_venv(), SAM)?;
    node_package(parts.root(), DYNAMODB_LOCAL)?;
    Ok(parts)
}

fn virtual_environment(folder: &Path, packages: &[&str]) -> Result<()> {
    once(&folder.join("installed"), &packages.join("\n"), || {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let pip = folder.join("bin/pip");
        run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))
    })
}

fn node_package(folder: &Path, package: &str) -> Result<()> {
    once(&folder.join("node_modules.installed"), package, || {
        let mut npm = Command::new("npm");
        // A folder of its own to npm, or it would look for a project further up.
        npm.current_dir(folder).arg("install").arg("--prefix").arg(folder);
        run(npm.args(["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", package]))
    })
}

/// Does `work` unless `stamp` says that this very thing was done.
fn once(stamp: &Path, wanted: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    if fs::read_to_string(stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    eprintln!("    installing {}", wanted.replace('\n', ", "));
    work()?;
    fs::write(stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_part_is_installed_again_only_when_its_version_changes() {
        let folder = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let stamp = folder.join("stamp");
        let times = Cell::new(0);
        let install = |wanted| {
            once(&stamp, wanted, || {
                times.set(times.get() + 1);
                Ok(())
            })
        };
        install("a==1").unwrap();
        install("a==1").unwrap();
        assert_eq!(times.get(), 1);
        install("a==2").unwrap();
        assert_eq!(times.get(), 2);
        assert!(once(&stamp, "a==3", || anyhow::bail!("no network")).is_err());
        install("a==2").unwrap();
        assert_eq!(times.get(), 2, "a failed attempt leaves no stamp");
        fs::remove_dir_all(folder).unwrap();
    }
}

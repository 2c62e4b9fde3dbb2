//! The project's own chores: `cargo xtask`.

mod aws_local;
mod bench;
mod package;
mod parts;
mod prerequisites;
mod steps;
mod test;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND

  test         everything that CI checks: format, lints, template, all tests, those on real parts too
  aws-local    deploys template.yaml on this machine and keeps it running
               [--port 4566] [--sentry-url URL] [--client-id ID] [--client-secret SECRET]
  bench        measures (Linux): all of it, or one part
               [webhook]           its start and requests beside a bare hello
               [matching]          what it costs to match an event, a route
               [dead-destination]  what a destination that hangs costs the others of `serve`
  package      builds every function as it is deployed and prints the sizes
               [--arm64]  (else x86_64)
  parts        installs what `test` and `aws-local` run on, below target/parts
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let (command, options) = arguments.split_first().map_or(("help", [].as_slice()), |(c, rest)| (c.as_str(), rest));
    match (command, options) {
        ("test", []) => test::check(),
        ("aws-local", options) => aws_local::run(&aws_local::Options::parse(options)?),
        ("bench", []) => bench::run_parts(None),
        ("bench", [only]) => bench::run_parts(Some(only)),
        ("package", []) => package::build_all(package::Architecture::X86_64),
        ("package", [arm64]) if arm64 == "--arm64" => package::build_all(package::Architecture::Arm64),
        ("parts", []) => parts::install().map(drop),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("there is no `cargo xtask {}`\n\n{USAGE}", arguments.join(" ")),
    }
}

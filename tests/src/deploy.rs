//! `template.yaml`, deployed by `sam` into a running `MiniStack` with freshly built functions.
//!
//! It is the template itself that is deployed; only where a function's code lies is another place, as `sam build` does
//! it too. What `MiniStack` does not do of it (see `aws.py`) is added afterwards.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::ministack::MiniStack;
use crate::parts::{Parts, workspace};

/// Folder that holds the binaries of functions and `switchboard`. Unset, they are built by `cargo build`.
pub const BINARIES_VARIABLE: &str = "SWITCHBOARD_BINARIES";

const SCRIPT: &str = include_str!("aws.py");
const CODE: &str = "CodeUri: functions/";

/// A deployed stack. It lives as long as its `MiniStack`.
#[derive(Debug)]
pub struct Stack<'a> {
    parts: &'a Parts,
    aws: &'a MiniStack,
    name: String,
    api: String,
    outputs: BTreeMap<String, String>,
}

impl<'a> Stack<'a> {
    /// Deploys the template under `name` with these parameters of it (`("SentryBaseUrl", "http://…")`). Takes some ten
    /// seconds once the functions are built.
    ///
    /// # Errors
    /// If a function does not build, or `sam deploy` fails; the error holds what it printed.
    pub fn deploy(parts: &'a Parts, aws: &'a MiniStack, name: &str, parameters: &[(&str, &str)]) -> Result<Self> {
        let folder = aws.folder().join(name);
        let template = packed_template(&folder)?;

        let mut sam = Command::new(parts.sam());
        aws.configure(&mut sam);
        sam.current_dir(&folder)
            // No configuration of the user, or of this project, is to have a say.
            .env("HOME", &folder)
            .env("SAM_CLI_TELEMETRY", "0")
            .args(["deploy", "--stack-name", name, "--resolve-s3", "--capabilities", "CAPABILITY_IAM"])
            .args(["--no-confirm-changeset", "--template-file"])
            .arg(template);
        if !parameters.is_empty() {
            sam.arg("--parameter-overrides");
            sam.args(parameters.iter().map(|(key, value)| format!("{key}={value}")));
        }
        run(&mut sam, b"")?;
        // MiniStack has copies of its own; these are a hundred megabytes.
        fs::remove_dir_all(&folder)?;

        let mut stack = Self { parts, aws, name: name.to_owned(), api: String::new(), outputs: BTreeMap::new() };
        let described = stack.ask(&["describe", name], b"")?;
        ensure!(described["status"] == "CREATE_COMPLETE", "the stack is {}", described["status"]);
        described["api"].as_str().context("the stack has no HTTP API")?.clone_into(&mut stack.api);
        stack.outputs = serde_json::from_value(described["outputs"].clone())?;
        Ok(stack)
    }

    /// Where Sentry sends the browser. It is not the output of the stack, which names AWS's own host.
    pub fn redirect_url(&self) -> String {
        self.url("/setup")
    }

    /// Where Sentry posts webhooks.
    pub fn webhook_url(&self) -> String {
        self.url("/webhook")
    }

    /// Address of a path of the HTTP API. By path and not by host name, which not every machine resolves.
    pub fn url(&self, path: &str) -> String {
        format!("{}/_aws/execute-api/{}{path}", self.aws.endpoint(), self.api)
    }

    /// An output of the template.
    ///
    /// # Errors
    /// If the template has none of that name.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }

    /// Puts the integration's credentials where the functions look for them.
    pub fn fill_app_secret(&self, secret: &Value) -> Result<()> {
        self.ask(&["fill", self.output("AppSecretId")?], secret.to_string().as_bytes()).map(drop)
    }

    /// Puts in place what the routes call `secret:NAME`.
    pub fn fill_destinations_secret(&self, secrets: &Value) -> Result<()> {
        self.ask(&["fill", self.output("DestinationsSecretId")?], secrets.to_string().as_bytes()).map(drop)
    }

    /// Lets the functions call addresses of this machine, where the stand-ins of destinations and trackers are. On AWS
    /// they never may.
    pub fn allow_private_destinations(&self) -> Result<()> {
        ["DeliverFunction", "ComponentsFunction"].into_iter().try_for_each(|function| {
            self.ask(&["set_variables", &self.name, function, "ALLOW_PRIVATE_DESTINATIONS=1"], b"").map(drop)
        })
    }

    /// Calls a function of the template (`"RefreshFunction"`) with an event and waits for its answer.
    ///
    /// # Errors
    /// If the function fails; holds its error.
    pub fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        self.ask(&["invoke", &self.name, function], event.to_string().as_bytes())
    }

    /// Lets `dispatch` take no more events, so that a test can see them on their queue.
    ///
    /// # Errors
    /// If there is nothing to pause: then a test would prove nothing.
    pub fn pause_dispatch(&self) -> Result<()> {
        let paused = self.ask(&["pause", self.output("EventsQueueUrl")?], b"")?;
        ensure!(paused == 1, "{paused} mappings lead from the events' queue");
        Ok(())
    }

    /// What waits on `events.fifo`: an array of `{body, attributes, group, deduplication}`.
    pub fn waiting_events(&self) -> Result<Vec<Value>> {
        let events = self.ask(&["receive", self.output("EventsQueueUrl")?], b"")?;
        Ok(serde_json::from_value(events)?)
    }

    /// Runs the line that an output prints for a person (`"FailedDeliveries"`) in `folder`; with `arguments`, those in
    /// place of its own. What it prints.
    ///
    /// # Errors
    /// If it fails; holds what it said.
    pub fn switchboard(&self, output: &str, arguments: Option<&str>, folder: &Path) -> Result<String> {
        let binary = binary("cli", "switchboard")?;
        let inherited = env::var_os("PATH").unwrap_or_default();
        let path = iter::once(binary.with_file_name("")).chain(env::split_paths(&inherited));
        let line = self.output(output)?;
        let (variables, own) = line.split_once(" switchboard ").context("it is a line of switchboard")?;
        let mut shell = Command::new("sh");
        self.aws.configure(&mut shell);
        shell
            .current_dir(folder)
            .env("PATH", env::join_paths(path)?)
            .args(["-c", &format!("{variables} switchboard {}", arguments.unwrap_or(own))]);
        Ok(String::from_utf8(run(&mut shell, b"")?)?)
    }

    /// What a function printed so far, with the lines of the platform around it.
    ///
    /// # Errors
    /// If there is no log group of that function.
    pub fn log(&self, function: &str) -> Result<String> {
        let lines = self.ask(&["log", &format!("/switchboard/{}/{function}", self.name)], b"")?;
        Ok(serde_json::from_value::<Vec<String>>(lines)?.join("\n"))
    }

    fn ask(&self, command: &[&str], input: &[u8]) -> Result<Value> {
        let mut python = Command::new(self.parts.python());
        self.aws.configure(&mut python);
        python.arg("-c").arg(SCRIPT).args(command);
        Ok(serde_json::from_slice(&run(&mut python, input)?)?)
    }
}

/// Writes a copy of the template whose functions lie in `folder`, each as a folder with its `bootstrap`.
fn packed_template(folder: &Path) -> Result<PathBuf> {
    let template = fs::read_to_string(workspace().join("template.yaml"))?;
    let binaries = binaries(&function_names(&template))?;
    for name in function_names(&template) {
        let code = folder.join("functions").join(name);
        fs::create_dir_all(&code)?;
        let bootstrap = code.join("bootstrap");
        let binary = binaries.join(name);
        fs::copy(&binary, &bootstrap).with_context(|| format!("cannot read {}", binary.display()))?;
        // It is zipped, sent and unpacked again: a fifth of the size is most of the time.
        run(Command::new("strip").arg("--strip-debug").arg(&bootstrap), b"")?;
    }
    let copy = folder.join("template.yaml");
    let code = format!("CodeUri: {}/", folder.join("functions").display());
    fs::write(&copy, template.replace(CODE, &code))?;
    Ok(copy)
}

/// Names of the functions that a template deploys; each is a package with one binary of that name.
pub fn function_names(template: &str) -> Vec<&str> {
    template.lines().filter_map(|line| line.trim().strip_prefix(CODE)).collect()
}

/// Folder of the packages' debug binaries, which are built first unless the environment names it.
fn binaries(names: &[&str]) -> Result<PathBuf> {
    if let Some(folder) = env::var_os(BINARIES_VARIABLE) {
        return Ok(folder.into());
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace())
        .args(["build", "--all-features"])
        .args(names.iter().flat_map(|name| ["--package", name]));
    run(&mut cargo, b"")?;
    Ok(workspace().join("target/debug"))
}

/// The debug binary of a package of the workspace.
pub(crate) fn binary(package: &str, name: &str) -> Result<PathBuf> {
    Ok(binaries(&[package])?.join(name))
}

fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let name = Path::new(command.get_program()).display().to_string();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    child.stdin.take().context("no standard input")?.write_all(input)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{name} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}

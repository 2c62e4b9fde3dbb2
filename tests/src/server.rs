//! A server of somebody else's as a child process, which never outlives us.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// `DynamoDB` Local takes under 2 s on an idle machine; a busy one is given much more.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// Runs "$@" until its own standard input ends: that is when we close it, or when we are gone, however we went.
/// Ctrl-C is ignored in it, since it reaches the whole group of processes and would end this shell before it has
/// ended the server.
const GUARD: &str = r#"trap '' INT; "$@" & server=$!; cat > /dev/null; kill $server; wait $server"#;

/// Functions inherit the environment of `MiniStack`: nothing of ours may leak in and make up for what the template lacks.
const INHERITED: [&str; 4] = ["HOME", "LANG", "PATH", "TMPDIR"];

/// A running server on a port of its own. Stopped when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    guard: Child,
    port: u16,
}

impl Server {
    /// Starts `command`, whose output goes to `log`, and waits until `port` takes connections. Of the environment it
    /// sees what the command sets and a few variables that any program needs.
    pub(crate) fn start(command: &Command, port: u16, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut guard = Command::new("sh");
        guard.arg("-c").arg(GUARD).arg("guard").arg(command.get_program()).args(command.get_args());
        guard.env_clear();
        for name in INHERITED {
            guard.envs(env::var_os(name).map(|value| (name, value)));
        }
        guard.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            guard.current_dir(folder);
        }
        let guard = guard.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output).spawn()?;
        let mut server = Self { guard, port };
        server.wait_until_it_listens(log)?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the server ends by itself.
    pub(crate) fn wait_until_it_ends(&mut self) -> Result<()> {
        // Not `wait`, which closes the standard input that keeps it running.
        while self.guard.try_wait()?.is_none() {
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn wait_until_it_listens(&mut self, log: &Path) -> Result<()> {
        let until = Instant::now() + START_LIMIT;
        while Instant::now() < until {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.guard.try_wait()? {
                bail!("it ended with {status}:\n{}", fs::read_to_string(log).unwrap_or_default());
            }
            thread::sleep(POLL);
        }
        bail!("it does not listen after {START_LIMIT:?}:\n{}", fs::read_to_string(log).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let until = Instant::now() + STOP_LIMIT;
        while Instant::now() < until {
            if !matches!(self.guard.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        // Nothing to be done about an error here.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// A port of the loopback that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A new empty folder under `root`, with a name that tells processes and calls apart.
pub(crate) fn scratch(root: &Path, name: &str) -> Result<PathBuf> {
    let mut random = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let tail = u64::from_ne_bytes(random);
    let folder = root.join("run").join(format!("{name}-{tail:016x}"));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

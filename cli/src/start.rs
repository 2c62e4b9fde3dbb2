//! What `serve` and `dev` do before they serve: every mistake here is one line that names it.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use secrecy::SecretString;
use shared::ports::{SystemChance, SystemClock};
use shared_embedded::{Lock, Store, token_key_file};
use tokio::net::TcpListener;

/// A variable that must be there and not be empty.
pub(crate) fn required(name: &str) -> anyhow::Result<String> {
    optional(name)?.with_context(|| format!("the environment variable {name} is not set"))
}

/// A variable; empty counts as not set.
pub(crate) fn optional(name: &str) -> anyhow::Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("the environment variable {name} is not UTF-8"),
    }
}

/// A secret from the environment: white space in it would fail every signature later with no hint why.
pub(crate) fn secret(name: &str, text: String) -> anyhow::Result<SecretString> {
    if text.contains(char::is_whitespace) {
        bail!("the environment variable {name} has white space in it, which no secret of Sentry has");
    }
    Ok(text.into())
}

pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is taken by another program: stop it, or choose another address with --listen")
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
    })
}

/// The data folder, held against a second `serve` or `dev`, with whatever was in flight visible again.
pub(crate) async fn open_store(data_dir: &Path) -> anyhow::Result<(Lock, Store<SystemClock>)> {
    let lock = Lock::take(data_dir)?;
    let store = Store::open(data_dir, SystemClock)?;
    let taken_over = store.take_over().await?;
    if taken_over.hidden_messages + taken_over.leases + taken_over.dead_letters > 0 {
        tracing::info!(?taken_over, "took over what the process before had in flight");
    }
    Ok((lock, store))
}

/// `TOKEN_KEY`, else `{data-dir}/token.key`, made at the first start.
pub(crate) fn token_key(data_dir: &Path) -> anyhow::Result<SecretString> {
    let (key, place) = match optional("TOKEN_KEY")? {
        Some(text) => (text.into(), "the environment variable TOKEN_KEY".to_owned()),
        None => (token_key_file(data_dir, &SystemChance)?, data_dir.join("token.key").display().to_string()),
    };
    shared::sealing::TokenKey::parse(&key).with_context(|| place)?;
    Ok(key)
}

/// Ctrl-C, or SIGTERM where there is such a thing.
pub(crate) async fn asked_to_stop() {
    #[cfg(unix)]
    {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        if let Ok(mut terminate) = terminate {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return,
                _ = terminate.recv() => return,
            }
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

//! The bundle beside a simulated Sentry and stand-ins for its destinations: what `dev` and `demo` play with. Sentry, and
//! the Pushover of `demo`, are on loopback sockets of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::response::{Html, Redirect};
use axum::routing::get;
use secrecy::ExposeSecret;
use shared::outgoing::{Reqwest, Roots};
use shared::ports::{SystemChance, SystemClock};
use shared::sentry::BaseUrl;
use shared_embedded::{EmbeddedPlatform, EnvSecrets, Lock};
use simulator::Simulator;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bundle::{Bundle, stopped};
use crate::bus::Bus;
use crate::dev::stand_ins::{Outside, StandIns};
use crate::routes_file::{self, RoutesFile};
use crate::start;

/// Everything of one run; it ends with [`World::stop`].
pub(crate) struct World {
    pub(crate) sentry: Simulator,
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) sentry_url: String,
    pub(crate) url: String,
    stopping: watch::Sender<bool>,
    working: JoinHandle<()>,
    _lock: Lock,
}

/// Where the bundle's routes come from, and whom they reach.
pub(crate) enum RoutesFrom {
    /// A text with `{pushover}` for the address of Pushover's stand-in on a socket.
    Text(&'static str),
    /// To stand-ins in this process: a file, else the text.
    ToStandIns { file: Option<PathBuf>, text: &'static str, stand_ins: StandIns },
    /// To those whom the file means, by the secrets of the other.
    Real { file: PathBuf, secrets: PathBuf },
}

impl World {
    /// Starts all of it. The bundle's own HTTP side, with `more` beside it, listens on `listener`.
    pub(crate) async fn start(
        data_dir: &Path,
        listener: TcpListener,
        settings: simulator::Config,
        routes: RoutesFrom,
        more: impl FnOnce(&Simulator, &Arc<Bundle>) -> axum::Router,
    ) -> anyhow::Result<Self> {
        let (sentry_at, pushover_at) = (loopback().await?, loopback().await?);
        let sentry_url = format!("http://{}", sentry_at.local_addr()?);
        let pushover_url = format!("http://{}", pushover_at.local_addr()?);
        let url = format!("http://{}", reachable(listener.local_addr()?));
        let sentry = Simulator::new(simulator::Config {
            webhook_url: Some(format!("{url}/webhook")),
            redirect_url: Some(format!("{url}/setup")),
            base_url: sentry_url.clone(),
            ..settings
        });

        let (lock, store) = start::open_store(data_dir).await?;
        let secrets_file = match &routes {
            RoutesFrom::Real { secrets, .. } => secrets.clone(),
            RoutesFrom::Text(_) => made_up_secrets(data_dir, &StandIns::default())?,
            RoutesFrom::ToStandIns { stand_ins, .. } => made_up_secrets(data_dir, stand_ins)?,
        };
        let secrets = EnvSecrets {
            client_id: sentry.client_id().to_owned(),
            client_secret: sentry.client_secret().expose_secret().into(),
            previous_client_secret: None,
            api_token: sentry.api_token().map(|token| token.expose_secret().into()),
            destinations_file: Some(secrets_file),
            token_key: start::token_key(data_dir)?,
        };
        let mut bus = Bus::NONE;
        let mut filled_in = None;
        let watched = match routes {
            RoutesFrom::Real { file, .. } => {
                secrets.destinations().await?;
                bus = Bus::from_env().await?;
                Some(RoutesFile::open(file, secrets.clone(), &bus, store.settings()).await?)
            }
            RoutesFrom::ToStandIns { file, text, stand_ins } => {
                bus = Bus::StandIns(stand_ins.clone());
                filled_in = Some(stand_ins.clone());
                if let Some(file) = file {
                    Some(RoutesFile::open_to_stand_ins(file, stand_ins, store.settings()).await?)
                } else {
                    routes_file::put(&stand_ins.fill_in(text)?, store.settings()).await?;
                    None
                }
            }
            RoutesFrom::Text(text) => {
                routes_file::put(&text.replace("{pushover}", &pushover_url), store.settings()).await?;
                None
            }
        };
        // Sentry is on loopback, and perhaps what is tried out too, so private destinations must be let in.
        let outgoing = Outside::new(Reqwest::new(&Roots::System { ca_file: None }, true)?, filled_in);
        let platform = EmbeddedPlatform { store, clock: SystemClock, chance: SystemChance, outgoing, secrets, bus };
        let bundle = Bundle::new(platform, BaseUrl::parse(&sentry_url)?);

        let router = bundle.router().merge(more(&sentry, &bundle));
        let sentry_side = sentry.router().merge(pages(&url));
        let servers = [(listener, router), (sentry_at, sentry_side), (pushover_at, sentry.pushover_router())];
        let (stopping, stop) = watch::channel(false);
        for (listener, router) in servers {
            let mut stop = stop.clone();
            let stopped = async move {
                stopped(&mut stop).await;
            };
            tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stopped).into_future());
        }
        if let Some(routes) = watched {
            let bundle = Arc::clone(&bundle);
            tokio::spawn(async move { routes.watch(bundle.platform.store.settings()).await });
        }
        let working = tokio::spawn(Arc::clone(&bundle).work(stop));
        Ok(Self { sentry, bundle, sentry_url, url, stopping, working, _lock: lock })
    }

    /// Finishes what was begun.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stopping.send_replace(true);
        Ok(self.working.await?)
    }
}

/// The file that `EnvSecrets` reads; what is in it opens nothing.
fn made_up_secrets(data_dir: &Path, stand_ins: &StandIns) -> anyhow::Result<PathBuf> {
    let file = data_dir.join("destinations.toml");
    std::fs::write(&file, stand_ins.secrets()).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}

/// Where people would look in Sentry, and links lead to: the settings, after an install, and an issue.
fn pages(url: &str) -> axum::Router {
    let home = format!("{url}/");
    let issue = format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<title>Sentry (simulated)</title>\n\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em}}</style>\n\
         <h1>The issue in Sentry</h1>\n<p>Sentry would show it here; this one is simulated.</p>\n\
         <p><a href=\"{home}\">Back to switchboard</a></p>\n</html>\n"
    );
    axum::Router::new()
        .route("/settings/{organization}/sentry-apps/{app}/", get(async move || Redirect::to(&home)))
        .route("/organizations/{organization}/issues/{issue}/", get(async move || Html(issue)))
}

async fn loopback() -> anyhow::Result<TcpListener> {
    start::listen((Ipv4Addr::LOCALHOST, 0).into()).await
}

/// An address that listens everywhere is called on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Looks until `found` finds something, at most for `limit`.
pub(crate) async fn wait_for<T, Fut: Future<Output = Option<T>>>(
    limit: Duration,
    mut found: impl FnMut() -> Fut,
) -> Option<T> {
    let looking = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(limit, looking).await.ok()
}

//! `switchboard serve`: the whole bundle in one process, with one SQLite file.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use shared::outgoing::{Reqwest, Roots};
use shared::ports::{SystemChance, SystemClock};
use shared::sentry::BaseUrl;
use shared_embedded::{EmbeddedPlatform, EnvSecrets};
use tokio::sync::watch;

use crate::bundle::{Bundle, stopped};
use crate::bus::Bus;
use crate::dev::stand_ins::Outside;
use crate::routes_file::{self, RoutesFile};
use crate::start;

/// Take a real Sentry's webhooks, with one SQLite file
#[derive(Args)]
#[command(after_help = "The integration's SENTRY_CLIENT_ID and SENTRY_CLIENT_SECRET come from the environment, and \
    SENTRY_CLIENT_SECRET_PREVIOUS while the secret is rotated; for an internal integration also SENTRY_API_TOKEN. \
    TOKEN_KEY seals stored tokens; without it a key is made in the data folder.")]
pub(crate) struct Serve {
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[arg(long, value_name = "DIR", default_value = "./switchboard-data")]
    data_dir: PathBuf,
    #[arg(long, value_name = "URL", default_value = "https://sentry.io")]
    sentry_url: String,
    /// Who hears of what; without it nothing is sent
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// A flat TOML table of what the routes call secret:NAME
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Certificates of a company's own CA, PEM, besides the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Let destinations have private, loopback and link-local addresses
    #[arg(long)]
    allow_private_destinations: bool,
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let base_url: BaseUrl = self.sentry_url.parse().with_context(|| "--sentry-url")?;
        let client_id = start::required("SENTRY_CLIENT_ID")?;
        let client_secret = start::secret("SENTRY_CLIENT_SECRET", start::required("SENTRY_CLIENT_SECRET")?)?;
        let optional = |name: &'static str| start::optional(name)?.map(|text| start::secret(name, text)).transpose();
        let secrets = EnvSecrets {
            client_id,
            client_secret,
            previous_client_secret: optional("SENTRY_CLIENT_SECRET_PREVIOUS")?,
            api_token: optional("SENTRY_API_TOKEN")?,
            destinations_file: self.secrets,
            token_key: start::token_key(&self.data_dir)?,
        };
        secrets.destinations().await?;
        let outgoing = Reqwest::new(&Roots::System { ca_file: self.ca_file }, self.allow_private_destinations)?;
        let outgoing = Outside::new(outgoing, None);
        let bus = Bus::from_env().await?;
        let (_lock, store) = start::open_store(&self.data_dir).await?;
        let routes = if let Some(path) = self.routes {
            Some(RoutesFile::open(path, secrets.clone(), &bus, store.settings()).await?)
        } else {
            // Nothing of an earlier run stays in force.
            routes_file::put("", store.settings()).await?;
            None
        };
        let listener = start::listen(self.listen).await?;
        let platform = EmbeddedPlatform { store, clock: SystemClock, chance: SystemChance, outgoing, secrets, bus };
        let bundle = Bundle::new(platform, base_url.clone());

        let (stopping, stop) = watch::channel(false);
        tokio::spawn(async move {
            start::asked_to_stop().await;
            tracing::info!("stopping: what was begun is finished");
            // Nobody is left to tell only if everything has ended already.
            let _ = stopping.send(true);
        });
        if let Some(routes) = routes {
            let bundle = std::sync::Arc::clone(&bundle);
            tokio::spawn(async move { routes.watch(bundle.platform.store.settings()).await });
        }
        tracing::info!(address = %listener.local_addr()?, sentry = %base_url, "taking webhooks at /webhook and installs at /setup");
        let mut http_stop = stop.clone();
        let server = axum::serve(listener, bundle.router()).with_graceful_shutdown(async move {
            stopped(&mut http_stop).await;
        });
        let (served, ()) = tokio::join!(server.into_future(), bundle.work(stop));
        Ok(served?)
    }
}

//! The routes in force: compiled once, their version asked for now and then, and the last good ones kept.

use std::sync::Arc;

use jiff::Timestamp;

use crate::ports::{Clock, Settings};
use crate::routing::Routes;
use crate::telemetry::chain;

/// Routes and their version; version 0: nothing was ever pushed.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    pub version: u64,
    pub routes: Arc<Routes>,
}

/// Nothing can be routed now. It never counts as "no routes".
#[derive(Debug, thiserror::Error)]
pub enum NoRoutes {
    #[error("the routes (version {version}) do not compile: {mistake}")]
    Broken { version: u64, mistake: String },
    #[error("the routes cannot be read: {0}")]
    Unreadable(String),
}

#[derive(Default)]
pub struct RoutesInForce(tokio::sync::Mutex<Option<(Timestamp, InForce)>>);

impl RoutesInForce {
    /// The routes; the version is asked for at once when a message names a newer one than is known.
    pub async fn get(
        &self,
        settings: &impl Settings,
        clock: &impl Clock,
        at_least: Option<u64>,
    ) -> Result<InForce, NoRoutes> {
        let mut kept = self.0.lock().await;
        let now = clock.now();
        if let Some((asked_at, in_force)) = &*kept {
            let is_known = now.duration_since(*asked_at).unsigned_abs() < settings.ask_again_after();
            if is_known && at_least.is_none_or(|version| version <= in_force.version) {
                return Ok(in_force.clone());
            }
        }
        match load(settings, kept.as_ref().map(|(_, in_force)| in_force)).await {
            Ok(in_force) => {
                *kept = Some((now, in_force.clone()));
                Ok(in_force)
            }
            Err(error) => {
                tracing::error!("{error}");
                let Some((_, last_good)) = kept.as_ref() else { return Err(error) };
                let last_good = last_good.clone();
                tracing::error!(
                    version = last_good.version,
                    "the newest routes cannot be used; the last good ones stay in force"
                );
                *kept = Some((now, last_good.clone()));
                Ok(last_good)
            }
        }
    }
}

async fn load(settings: &impl Settings, known: Option<&InForce>) -> Result<InForce, NoRoutes> {
    let unreadable = |error: crate::ports::StoreError| NoRoutes::Unreadable(chain(&error));
    let Some(version) = settings.routes_version().await.map_err(unreadable)? else { return Ok(InForce::default()) };
    if let Some(known) = known.filter(|known| known.version == version) {
        return Ok(known.clone());
    }
    let Some(stored) = settings.routes().await.map_err(unreadable)? else { return Ok(InForce::default()) };
    let routes = Routes::compile(&stored.text).map_err(|mistakes| NoRoutes::Broken {
        version: stored.version,
        mistake: mistakes.first().map_or_else(String::new, |mistake| mistake.in_file("routes").to_string()),
    })?;
    Ok(InForce { version: stored.version, routes: Arc::new(routes) })
}

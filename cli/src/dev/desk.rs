//! What the pages are made of: Sentry, the bundle and the stand-ins, and what was done with them so far.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use shared::ids::DestinationName;
use shared::ports::{
    Chance, Clock, Deliveries, Installations, Platform, Settings, StoreError, SystemChance, SystemClock,
};
use shared::routing::Routes;
use simulator::{Delivery, Simulator, Unknown};

use super::arrived::arrived;
use super::destinations::{Shown, Side};
use super::page::{Installed, Issue, View};
use super::presses::told;
use super::sentry_ui::Rule;
use super::stand_ins::{FarSide, Place, StandIns};
use crate::bundle::Bundle;

/// Of what arrived at one destination.
const SHOWN_ARRIVED: usize = 8;
/// So many of each list are shown.
const SHOWN: usize = 50;
const SHOWN_FOR: Duration = Duration::from_hours(24);

pub(super) struct Desk {
    pub(super) sentry: Simulator,
    pub(super) bundle: Arc<Bundle>,
    /// `None`: the destinations are real.
    pub(super) stand_ins: Option<StandIns>,
    done: Mutex<Done>,
}

/// What was done here so far; Sentry has no list of it.
#[derive(Default)]
pub(super) struct Done {
    pub(super) said: Option<String>,
    pub(super) installations: Vec<String>,
    pub(super) issues: Vec<Issue>,
}

impl Desk {
    pub(super) fn new(sentry: Simulator, bundle: Arc<Bundle>, stand_ins: Option<StandIns>) -> Self {
        Self { sentry, bundle, stand_ins, done: Mutex::default() }
    }

    pub(super) fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of the issues that were made here.
    pub(super) fn issue(&self, id: u64) -> Option<Issue> {
        self.done().issues.iter().find(|issue| issue.id == id).cloned()
    }

    pub(super) fn say(&self, said: String) -> Redirect {
        self.done().said = Some(said);
        Redirect::to("/")
    }

    /// Tells what became of a press about an issue, and keeps what it changed.
    pub(super) fn changed(
        &self,
        id: u64,
        sent: Result<Delivery, Unknown>,
        what: &str,
        change: impl FnOnce(&mut Issue),
    ) -> Redirect {
        let said = match sent {
            Ok(delivery) => {
                self.done().issues.iter_mut().find(|issue| issue.id == id).map(change);
                format!("Issue {id}: {what}. {}", told(&delivery))
            }
            Err(error) => format!("Nothing happened: {error}."),
        };
        self.say(said)
    }

    /// Those of the file in force.
    async fn destinations(&self, text: &str) -> Result<Vec<Shown>, StoreError> {
        let now = SystemClock.now();
        let places: Vec<(String, String, Side)> = if let Some(stand_ins) = &self.stand_ins {
            let shown = stand_ins.places().into_iter().map(|place| {
                let far_side = match &place.far_side {
                    FarSide::Console => Side::Log,
                    FarSide::Tickets => Side::Tickets,
                    _ => stand_in(&place, now),
                };
                (place.name, place.kind, far_side)
            });
            shown.collect()
        } else {
            let routes = Routes::compile(text).unwrap_or_default();
            let side = |kind: &str| if kind == "console" { Side::Log } else { Side::Real };
            routes.destinations().map(|real| (real.name.to_string(), real.kind.clone(), side(&real.kind))).collect()
        };
        let mut destinations = Vec::new();
        for (name, kind, far_side) in places {
            let health = match name.parse::<DestinationName>() {
                Ok(name) => Some(self.bundle.platform.deliveries().destination(&name).await?),
                Err(_) => None,
            };
            destinations.push(Shown { name, kind, health, far_side });
        }
        Ok(destinations)
    }

    /// Those of the file in force.
    fn trackers(&self, text: &str) -> Vec<Shown> {
        let now = SystemClock.now();
        if let Some(stand_ins) = &self.stand_ins {
            let shown = stand_ins.trackers().into_iter().map(|place| Shown {
                far_side: stand_in(&place, now),
                name: place.name,
                kind: place.kind,
                health: None,
            });
            return shown.collect();
        }
        let routes = Routes::compile(text).unwrap_or_default();
        let real = |tracker: &shared::routing::Tracker| Shown {
            name: tracker.name.to_string(),
            kind: tracker.kind.clone(),
            health: None,
            far_side: Side::Real,
        };
        routes.trackers().map(real).collect()
    }

    pub(super) async fn view(&self) -> Result<View, StoreError> {
        let now = SystemClock.now();
        let (said, ids, issues) = {
            let done = self.done();
            (done.said.clone(), done.installations.clone(), done.issues.clone())
        };
        let platform = &self.bundle.platform;
        let mut installations = Vec::new();
        for id in ids.into_iter().rev() {
            let here = match id.parse() {
                Ok(id) => platform.installations().read(id, now).await?,
                Err(_) => None,
            };
            installations.push(Installed { at_sentry: self.sentry.status_of(&id), here, id });
        }
        let routes = match &self.stand_ins {
            Some(stand_ins) => stand_ins.text(),
            None => platform.settings().routes().await?.map(|routes| routes.text).unwrap_or_default(),
        };
        Ok(View {
            said,
            installations,
            rules: self.sentry.rules().into_iter().map(|name| Rule { name }).collect(),
            projects: self.sentry.config().projects.iter().map(|project| project.name.clone()).collect(),
            issues: issues.into_iter().rev().take(SHOWN).collect(),
            deliveries: platform.deliveries().recent(now - SHOWN_FOR, now, SHOWN).await?,
            waiting_events: platform.events().depth().await?,
            waiting_deliveries: platform.outbox().depth().await?,
            destinations: self.destinations(&routes).await?,
            trackers: self.trackers(&routes),
            calls: self.stand_ins.as_ref().map(|all| all.calls().into_iter().take(SHOWN).collect()).unwrap_or_default(),
            wire: self.sentry.log().into_iter().rev().take(SHOWN).collect(),
            routes,
        })
    }

    /// An install ends in this program's own setup page, which leads to Sentry's settings, which lead back here: a
    /// browser follows only if the policy of the page with the form names all of them.
    fn policy(&self, nonce: &str) -> String {
        let config = self.sentry.config();
        format!(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; connect-src 'self'; \
             form-action 'self' {} {}; frame-ancestors 'none'; base-uri 'none'",
            config.base_url,
            config.redirect_url.as_deref().unwrap_or_default(),
        )
    }

    /// A page, made with the nonce of its one script.
    pub(super) fn respond(&self, page: impl FnOnce(&str) -> String) -> Response {
        let nonce = shared::ids::hex(&SystemChance.bytes::<16>());
        let mut response = page(&nonce).into_response();
        let headers = response.headers_mut();
        let fixed: [(HeaderName, &str); 4] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            // `no-referrer` would take the Origin from the page's own forms.
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        match HeaderValue::try_from(self.policy(&nonce)) {
            Ok(policy) => {
                headers.insert(header::CONTENT_SECURITY_POLICY, policy);
                response
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

fn stand_in(place: &Place, now: Timestamp) -> Side {
    Side::StandIn { condition: place.condition, arrived: arrived(&place.far_side, SHOWN_ARRIVED, now) }
}

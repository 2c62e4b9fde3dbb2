//! What the buttons do: each press is something that people do in Sentry, and leads back to the page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use shared::ports::{
    Chance, Clock, Deliveries, Installations, Platform, Settings, StoreError, SystemChance, SystemClock,
};
use simulator::{Alert, AlertUrls, Attempt, Delivery, Install, NewIssue, Order, Simulator};

use super::guard;
use super::page::{Installed, Issue, View};
use crate::bundle::Bundle;

/// So many of each list are shown.
const SHOWN: usize = 50;
const SHOWN_FOR: Duration = Duration::from_hours(24);

struct Desk {
    sentry: Simulator,
    bundle: Arc<Bundle>,
    done: Mutex<Done>,
}

/// What was done here so far; Sentry has no list of it.
#[derive(Default)]
struct Done {
    said: Option<String>,
    installations: Vec<String>,
    issues: Vec<Issue>,
}

type Shared = State<Arc<Desk>>;

/// `GET /` and what its buttons post to; besides, the stand-in for Pushover, at an address that a routes file can name.
pub(super) fn router(sentry: Simulator, bundle: Arc<Bundle>) -> Router {
    let pushover = sentry.pushover_router();
    Router::new()
        .route("/", get(show))
        .route("/install", post(install))
        .route("/uninstall", post(uninstall))
        .route("/issue", post(create))
        .route("/alert", post(alert))
        .route("/resolve", post(resolve))
        .route_layer(middleware::from_fn(guard::own_requests_only))
        .route_service("/1/messages.json", pushover)
        .with_state(Arc::new(Desk { sentry, bundle, done: Mutex::default() }))
}

impl Desk {
    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, said: String) -> Redirect {
        self.done().said = Some(said);
        Redirect::to("/")
    }

    async fn view(&self) -> Result<View, StoreError> {
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
        Ok(View {
            said,
            installations,
            projects: self.sentry.config().projects.iter().map(|project| project.name.clone()).collect(),
            issues: issues.into_iter().rev().take(SHOWN).collect(),
            deliveries: platform.deliveries().recent(now - SHOWN_FOR, now, SHOWN).await?,
            waiting_events: platform.events().depth().await?,
            waiting_deliveries: platform.outbox().depth().await?,
            messages: self.sentry.pushover_messages().into_iter().rev().take(SHOWN).collect(),
            wire: self.sentry.log().into_iter().rev().take(SHOWN).collect(),
            routes: platform.settings().routes().await?.map(|routes| routes.text).unwrap_or_default(),
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
}

async fn show(State(desk): Shared) -> Response {
    let view = match desk.view().await {
        Ok(view) => view,
        Err(error) => {
            tracing::error!("the page cannot be shown: {error}");
            return (StatusCode::INTERNAL_SERVER_ERROR, "the store cannot be read; the log says why\n").into_response();
        }
    };
    let nonce = shared::ids::hex(&SystemChance.bytes::<16>());
    let mut response = view.render(&nonce).into_response();
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
    match HeaderValue::try_from(desk.policy(&nonce)) {
        Ok(policy) => {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            response
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// As a user's browser after *Accept & Install*: with the grant code to the app's Redirect URL, while the webhook is on
/// its way.
async fn install(State(desk): Shared) -> Redirect {
    let installed = desk.sentry.install_with(Install { order: Order::Both, ..Install::default() }).await;
    {
        let mut done = desk.done();
        if !done.installations.contains(&installed.installation) {
            done.installations.push(installed.installation);
        }
    }
    match (installed.code, installed.redirect_url) {
        (Some(_), Some(redirect)) => {
            desk.done().said =
                Some("Installed: Sentry sent your browser to the setup page, which sent it back.".to_owned());
            Redirect::to(&redirect)
        }
        _ => desk.say("It is installed already.".to_owned()),
    }
}

#[derive(Deserialize)]
struct OfInstallation {
    installation: String,
}

async fn uninstall(State(desk): Shared, Form(form): Form<OfInstallation>) -> Redirect {
    let said = match desk.sentry.uninstall(&form.installation).await {
        Ok(delivery) => format!("Uninstalled. {}", told(&delivery)),
        Err(error) => format!("Not uninstalled: {error}."),
    };
    desk.say(said)
}

#[derive(Deserialize)]
struct New {
    project: String,
    title: String,
}

async fn create(State(desk): Shared, Form(form): Form<New>) -> Redirect {
    let title = form.title.trim();
    if title.is_empty() {
        return desk.say("An issue needs a title.".to_owned());
    }
    let said = match desk.sentry.create_issue(NewIssue::new(&form.project, title)).await {
        Ok(created) => {
            let issue =
                Issue { id: created.issue, project: form.project.clone(), title: title.to_owned(), is_resolved: false };
            desk.done().issues.push(issue);
            format!("Issue {} of {}. {}", created.issue, form.project, told(&created.delivery))
        }
        Err(error) => format!("No issue: {error}."),
    };
    desk.say(said)
}

#[derive(Deserialize)]
struct OfIssue {
    issue: u64,
}

/// The payload names its project by number only: for a route that asks for a project, the issue is looked up.
async fn alert(State(desk): Shared, Form(form): Form<OfIssue>) -> Redirect {
    let said = match desk.sentry.trigger_alert(form.issue, Alert { urls: AlertUrls::Absent, ..Alert::default() }).await
    {
        Ok(delivery) => format!("An alert rule fired for issue {}. {}", form.issue, told(&delivery)),
        Err(error) => format!("No alert: {error}."),
    };
    desk.say(said)
}

async fn resolve(State(desk): Shared, Form(form): Form<OfIssue>) -> Redirect {
    let said = match desk.sentry.resolve_issue(form.issue).await {
        Ok(delivery) => {
            if let Some(issue) = desk.done().issues.iter_mut().find(|issue| issue.id == form.issue) {
                issue.is_resolved = true;
            }
            format!("Issue {} is resolved. {}", form.issue, told(&delivery))
        }
        Err(error) => format!("Not resolved: {error}."),
    };
    desk.say(said)
}

/// What became of a webhook, in a sentence.
fn told(delivery: &Delivery) -> String {
    use simulator::NotSent;
    let event = &delivery.event;
    let again = if delivery.is_retried() { " Sentry tries again later." } else { "" };
    match &delivery.first {
        Attempt::Answered(status) => format!("Sentry sent {event} and was answered {status}.{again}"),
        Attempt::Failed(failure) => format!("Sentry sent {event}, but: {failure}.{again}"),
        Attempt::NotSent(NotSent::NotInstalled) => format!("Sentry sent no {event}: the integration is not installed."),
        Attempt::NotSent(NotSent::Pending) => format!("Sentry sent no {event}: the installation is not verified yet."),
        Attempt::NotSent(NotSent::NoWebhookUrl) => format!("Sentry sent no {event}: there is no webhook URL."),
        Attempt::NotSent(NotSent::Internal) => format!("Sentry sends no {event} to an internal integration."),
    }
}

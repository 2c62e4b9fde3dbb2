//! What the buttons do: each press is something that people do in Sentry, and leads back to the page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;
use shared::ids::DestinationName;
use shared::ports::{
    Chance, Clock, Deliveries, Installations, Platform, Settings, StoreError, SystemChance, SystemClock,
};
use shared::routing::Routes;
use simulator::{Alert, AlertUrls, Assignee, Attempt, Delivery, Install, NewIssue, Order, Simulator, Unknown};

use super::arrived::arrived;
use super::destinations::{Shown, Side};
use super::guard;
use super::page::{Installed, Issue, LEVELS, View};
use super::sentry_ui::{self, Rule};
use super::stand_ins::{Condition, FarSide, Place, StandIns};
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
    stand_ins: Option<StandIns>,
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

/// `GET /` and what its buttons post to.
pub(super) fn router(sentry: Simulator, bundle: Arc<Bundle>, stand_ins: Option<StandIns>) -> Router {
    Router::new()
        .route("/", get(show))
        .route("/install", post(install))
        .route("/uninstall", post(uninstall))
        .route("/issue", post(create))
        .route("/alert", post(alert))
        .route("/assign", post(assign))
        .route("/comment", post(comment))
        .route("/resolve", post(resolve))
        .route("/archive", post(archive))
        .route("/regress", post(regress))
        .route("/resend", post(resend))
        .route("/condition", post(set_condition))
        .route("/sentry/rule", get(sentry_ui::show_rule).post(sentry_ui::save_rule))
        .route("/sentry/rule/trigger", post(sentry_ui::trigger))
        .route("/sentry/options", get(sentry_ui::options))
        .route("/sentry/issues/{issue}", get(sentry_ui::show_issue))
        .route("/sentry/issues/{issue}/create", post(sentry_ui::create))
        .route("/sentry/issues/{issue}/link", post(sentry_ui::link))
        .route("/sentry/issues/{issue}/unlink", post(sentry_ui::unlink))
        .route_layer(middleware::from_fn(guard::own_requests_only))
        .with_state(Arc::new(Desk { sentry, bundle, stand_ins, done: Mutex::default() }))
}

impl Desk {
    fn done(&self) -> MutexGuard<'_, Done> {
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
    fn changed(
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

async fn show(State(desk): Shared) -> Response {
    let view = match desk.view().await {
        Ok(view) => view,
        Err(error) => {
            tracing::error!("the page cannot be shown: {error}");
            return (StatusCode::INTERNAL_SERVER_ERROR, "the store cannot be read; the log says why\n").into_response();
        }
    };
    desk.respond(|nonce| view.render(nonce))
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
    level: Option<String>,
}

async fn create(State(desk): Shared, Form(form): Form<New>) -> Redirect {
    let title = form.title.trim();
    if title.is_empty() {
        return desk.say("An issue needs a title.".to_owned());
    }
    let mut new = NewIssue::new(&form.project, title);
    if let Some(level) = form.level.filter(|level| LEVELS.contains(&level.as_str())) {
        new.level = level;
    }
    let said = match desk.sentry.create_issue(new).await {
        Ok(created) => {
            let issue = Issue {
                id: created.issue,
                project: form.project.clone(),
                title: title.to_owned(),
                status: "unresolved",
                assignee: None,
            };
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
    let alert = Alert { urls: AlertUrls::Absent, ..Alert::default() };
    let sent = desk.sentry.trigger_alert(form.issue, alert).await;
    desk.changed(form.issue, sent, "An alert rule fired for it", |_| {})
}

async fn resolve(State(desk): Shared, Form(form): Form<OfIssue>) -> Redirect {
    let sent = desk.sentry.resolve_issue(form.issue).await;
    desk.changed(form.issue, sent, "It is resolved", |issue| issue.status = "resolved")
}

async fn archive(State(desk): Shared, Form(form): Form<OfIssue>) -> Redirect {
    let sent = desk.sentry.archive_issue(form.issue).await;
    desk.changed(form.issue, sent, "It is archived", |issue| issue.status = "archived")
}

async fn regress(State(desk): Shared, Form(form): Form<OfIssue>) -> Redirect {
    let sent = desk.sentry.regress_issue(form.issue).await;
    desk.changed(form.issue, sent, "It is back", |issue| issue.status = "unresolved")
}

async fn assign(State(desk): Shared, Form(form): Form<OfIssue>) -> Redirect {
    const WHO: &str = "Ada Lovelace";
    let to = Assignee::User { id: 1, name: WHO.to_owned(), email: "ada@example.com".to_owned() };
    let sent = desk.sentry.assign(form.issue, to).await;
    desk.changed(form.issue, sent, "Ada Lovelace has it", |issue| issue.assignee = Some(WHO))
}

async fn comment(State(desk): Shared, Form(form): Form<OfIssue>) -> Redirect {
    let sent = desk.sentry.comment(form.issue, "Looking into it.").await;
    desk.changed(form.issue, sent, "Ada Lovelace wrote a comment", |_| {})
}

#[derive(Deserialize)]
struct OfDelivery {
    delivery: String,
}

async fn resend(State(desk): Shared, Form(form): Form<OfDelivery>) -> Redirect {
    let Ok(id) = form.delivery.parse() else { return desk.say("There is no such delivery.".to_owned()) };
    let platform = &desk.bundle.platform;
    let said = match shared::resend::resend(platform.deliveries(), platform.outbox(), &id, SystemClock.now()).await {
        Ok(record) => format!("“{}” goes to {} again.", record.title, record.destination),
        Err(error) => format!("It is not sent again: {error}."),
    };
    desk.say(said)
}

#[derive(Deserialize)]
struct OfDestination {
    destination: String,
    to: Condition,
}

async fn set_condition(State(desk): Shared, Form(form): Form<OfDestination>) -> Redirect {
    let name = form.destination;
    let is_known = desk.stand_ins.as_ref().is_some_and(|all| all.set_condition(&name, form.to));
    desk.say(match form.to {
        _ if !is_known => format!("There is no stand-in for {name}."),
        Condition::Well => format!("{name} is well again. While it is paused, the next probe finds that out."),
        Condition::Failing => format!("{name} answers 500 from now on."),
        Condition::Hanging => {
            format!("{name} does not answer any more; each call to it waits for its time to run out.")
        }
    })
}

fn stand_in(place: &Place, now: Timestamp) -> Side {
    Side::StandIn { condition: place.condition, arrived: arrived(&place.far_side, SHOWN_ARRIVED, now) }
}

/// What became of a webhook, in a sentence.
pub(super) fn told(delivery: &Delivery) -> String {
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

//! What the buttons do: each press is something that people do in Sentry, and leads back to the page.

use std::sync::Arc;

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::StatusCode;
use serde::Deserialize;
use shared::ports::{Clock, Platform, SystemClock};
use simulator::{Alert, AlertUrls, Assignee, Attempt, Delivery, Install, NewIssue, Order, Simulator};

use super::desk::Desk;
use super::page::{Issue, LEVELS};
use super::stand_ins::{Condition, StandIns};
use super::{guard, sentry_ui};
use crate::bundle::Bundle;

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
        .with_state(Arc::new(Desk::new(sentry, bundle, stand_ins)))
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

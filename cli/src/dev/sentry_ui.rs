//! The pages of the simulated Sentry that draw the app's components: the editor of an alert rule, and an issue with its
//! sidebar and its stack frames. What they send goes through the simulator, which signs it and judges the answer.

use std::fmt::Write;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::components::schema::schema;
use shared::ports::{Platform, Settings};
use shared::routing::{Routes, is_offered_to};
use simulator::{AppKind, ExternalIssue, UserSees};

use super::desk::Desk;
use super::forms::{self, Filled};
use super::html::{Text, button, joined, table};
use super::page::is_web;
use super::presses::told;

type Shared = State<Arc<Desk>>;

/// Of an issue in a project of this slug; the second has no rule in the routes that `dev` brings.
const FRAMES: [(&str, &str, u32); 4] = [
    ("backend", "app/checkout/total.py", 42),
    ("backend", "app/main.py", 12),
    ("frontend", "src/checkout/Total.tsx", 42),
    ("frontend", "src/index.tsx", 7),
];

/// An alert rule as the page lists it.
pub(super) struct Rule {
    pub(super) name: String,
}

/// The live list of rules on the page with the buttons: each can be fired for the newest issues.
pub(super) fn rules(rules: &[Rule], issues: &[u64]) -> String {
    let rows = rules.iter().map(|rule| {
        let press = issues.iter().take(3).map(|issue| {
            let id = issue.to_string();
            let fields = [("rule", rule.name.as_str()), ("issue", id.as_str())];
            super::html::choice("/sentry/rule/trigger", &format!("Trigger for issue {id}"), &fields)
        });
        format!("<td>{}<td>{}", Text(&rule.name), joined(press))
    });
    let list = table(&["Alert rule", ""], rows, "No alert rule with the action of this integration yet.");
    format!("<h2>Alert rules in Sentry</h2>\n<p><a href=\"/sentry/rule\">New alert rule</a></p>\n{list}")
}

impl Desk {
    /// Gives Sentry the schema that belongs to the routes in force. `Err` is for whoever looks at the page.
    async fn register_components(&self) -> Result<Routes, String> {
        let stored = self.bundle.platform.settings().routes().await.map_err(|error| error.to_string())?;
        let text = stored.map(|stored| stored.text).unwrap_or_default();
        let routes = Routes::compile(&text).map_err(|_| "The routes in force are not understood.".to_owned())?;
        self.sentry.set_schema(schema(&routes)).map_err(|error| format!("Sentry would not save this: {error}."))?;
        Ok(routes)
    }

    /// A sentence where what the file has is for other organizations than the one that is played: its lists are empty.
    fn offers_nothing<'a>(&self, what: &str, organizations: impl Iterator<Item = Option<&'a [String]>>) -> String {
        let slug = &self.sentry.config().organization;
        let is_public = self.sentry.config().kind != AppKind::Internal;
        let mut offered = organizations.map(|named| is_offered_to(named, Some(slug), is_public)).peekable();
        if offered.peek().is_none() || offered.any(|is_offered| is_offered) {
            return String::new();
        }
        let slug = Text(slug);
        format!(
            "<p class=bad>No {what} of the routes file is offered to the organization {slug}, so there is none to pick. \
             Name it in one: <code>organizations = [\"{slug}\"]</code>; or start <code>dev</code> with \
             <code>--organization</code> and a slug that the file names.</p>\n"
        )
    }

    fn slug(&self, project: &str) -> String {
        let projects = &self.sentry.config().projects;
        projects.iter().find(|known| known.name == project).map_or(project, |known| &known.slug).to_owned()
    }

    fn frame(&self, (project, file, line): (&str, &str, u32)) -> String {
        let link = match self.sentry.stacktrace_link(project, file, line) {
            Ok(url) => {
                let app = Text(&self.sentry.config().app_name);
                format!("<a class=frame href=\"{}\" target=_blank rel=noopener>Open in {app}</a>", Text(url))
            }
            Err(seen) => format!("<span class=bad>{}</span>", Text(seen)),
        };
        format!("<td class=mono>{}:{line}<td>{link}", Text(file))
    }

    /// The component's element, or a sentence in its place.
    fn component(&self, kind: &str, what_it_needs: &str) -> Result<Value, String> {
        self.sentry.component(kind).ok_or_else(|| {
            format!("<p class=quiet>Nothing to show: the routes file has no {}.</p>\n", Text(what_it_needs))
        })
    }
}

pub(super) async fn show_rule(State(desk): Shared) -> Response {
    const BEFORE: &str = "<label><span>Name of the rule *</span><input name=rule value=\"Page the team\" maxlength=64 required></label>\n";
    let content = match desk.register_components().await {
        Err(error) => format!("<p class=bad>{}</p>\n", Text(error)),
        Ok(routes) => match desk.component("alert-rule-action", "destination") {
            Err(sentence) => sentence,
            Ok(element) => {
                let title = Text(element["title"].as_str().unwrap_or_default()).to_string();
                let form = forms::form(
                    "rule",
                    "/sentry/rule",
                    "Save rule",
                    "",
                    BEFORE,
                    &element["settings"],
                    &Filled::default(),
                );
                let organizations = routes.destinations().map(|one| one.organizations.as_deref());
                let empty = desk.offers_nothing("destination", organizations);
                format!("<p>When an issue happens, then: <b>{title}</b></p>\n{empty}{form}")
            }
        },
    };
    desk.respond(|nonce| forms::page("Alert rule", &content, nonce))
}

/// Name and value of each field of a form that is `field:NAME`, and the others.
fn fields(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter().filter_map(|(name, value)| Some((name.strip_prefix("field:")?, value.as_str()))).collect()
}

fn refused(seen: &UserSees) -> Json<Value> {
    Json(json!({ "ok": false, "said": format!("{} ({})", seen.message, seen.status) }))
}

pub(super) async fn save_rule(State(desk): Shared, Form(form): Form<Vec<(String, String)>>) -> Json<Value> {
    let name = form.iter().find(|(name, _)| name == "rule").map_or("", |(_, value)| value.trim());
    match desk.sentry.save_rule(name, &fields(&form)).await {
        Ok(()) => {
            Json(json!({ "ok": true, "said": format!("Saved. Trigger “{name}” on the page of switchboard dev.") }))
        }
        Err(seen) => refused(&seen),
    }
}

#[derive(Deserialize)]
pub(super) struct Trigger {
    rule: String,
    issue: u64,
}

pub(super) async fn trigger(State(desk): Shared, Form(form): Form<Trigger>) -> Redirect {
    let said = match desk.sentry.trigger_rule(form.issue, &form.rule).await {
        Ok(delivery) => format!("“{}” fired for issue {}. {}", form.rule, form.issue, told(&delivery)),
        Err(error) => format!("Nothing happened: {error}."),
    };
    desk.say(said)
}

#[derive(Deserialize)]
pub(super) struct Asked {
    uri: String,
    project: Option<String>,
    query: Option<String>,
    dependent: Option<String>,
}

pub(super) async fn options(State(desk): Shared, Query(asked): Query<Asked>) -> Json<Value> {
    let dependent: Option<Value> = asked.dependent.and_then(|text| serde_json::from_str(&text).ok());
    let (project, query) = (asked.project.as_deref(), asked.query.as_deref());
    match desk.sentry.select_options(&asked.uri, project, query, dependent.as_ref()).await {
        Ok(options) => Json(json!({ "choices": options.choices, "default": options.default })),
        Err(seen) => Json(json!({ "error": format!("{} ({})", seen.message, seen.status) })),
    }
}

pub(super) async fn show_issue(State(desk): Shared, Path(id): Path<u64>) -> Response {
    let Some(issue) = desk.issue(id) else {
        return (StatusCode::NOT_FOUND, "there is no such issue\n").into_response();
    };
    let registered = desk.register_components().await;
    let slug = desk.slug(&issue.project);
    let config = desk.sentry.config();
    let frames = FRAMES.iter().filter(|(project, ..)| *project == slug);
    let trace = joined(frames.clone().map(|(_, file, line)| format!("  File \"{file}\", line {line}\n")));
    // As Sentry fills it.
    let description = format!(
        "Sentry Issue: [{}-{id}]({}/organizations/{}/issues/{id}/)\n\n```\n{trace}{}\n```",
        slug.to_uppercase(),
        config.base_url,
        config.organization,
        issue.title,
    );
    let filled = Filled { title: issue.title.clone(), description };
    let mut html = format!("<p class=quiet>Issue {id} of {}</p>\n", Text(&issue.project));
    html += &linked(id, desk.sentry.external_issue(id).as_ref());
    let what_is_amiss = registered.map_or_else(
        |error| format!("<p class=bad>{}</p>\n", Text(error)),
        |routes| desk.offers_nothing("tracker", routes.trackers().map(|one| one.organizations.as_deref())),
    );
    html += &what_is_amiss;
    match desk.component("issue-link", "[[tracker]]") {
        Err(sentence) => html += &sentence,
        // As Sentry does: an issue has one link of an app.
        Ok(_) if desk.sentry.external_issue(id).is_some() => {
            html.push_str("<p class=quiet>Create and Link are offered again once the link is taken away.</p>\n");
        }
        Ok(element) => {
            for (part, heading) in [("create", "Create"), ("link", "Link")] {
                let action = format!("/sentry/issues/{id}/{part}");
                let form = forms::form(part, &action, heading, &slug, "", &element[part], &filled);
                let _ = write!(html, "<h2>{heading}</h2>\n{form}");
            }
        }
    }
    html += "<h2>Stack trace</h2>\n";
    html += &match desk.component("stacktrace-link", "[[stacktrace_link]]") {
        Err(sentence) => sentence,
        Ok(_) => table(&["Frame", ""], frames.map(|frame| desk.frame(*frame)), "No frames."),
    };
    desk.respond(|nonce| forms::page(&issue.title, &html, nonce))
}

fn linked(id: u64, link: Option<&ExternalIssue>) -> String {
    let Some(link) = link else { return "<p id=linked class=quiet>Not linked.</p>\n".to_owned() };
    let name = format!("{}#{}", link.project, link.identifier);
    let name = if is_web(&link.web_url) {
        format!("<a href=\"{}\">{}</a>", Text(&link.web_url), Text(name))
    } else {
        Text(name).to_string()
    };
    let unlink = button(&format!("/sentry/issues/{id}/unlink"), "Take the link away", None);
    format!("<p id=linked>Linked: {name}</p>\n{unlink}\n")
}

pub(super) async fn create(
    State(desk): Shared,
    Path(id): Path<u64>,
    Form(form): Form<Vec<(String, String)>>,
) -> Json<Value> {
    shown(desk.sentry.create_link(id, &fields(&form)).await)
}

pub(super) async fn link(
    State(desk): Shared,
    Path(id): Path<u64>,
    Form(form): Form<Vec<(String, String)>>,
) -> Json<Value> {
    shown(desk.sentry.link(id, &fields(&form)).await)
}

fn shown(link: Result<ExternalIssue, UserSees>) -> Json<Value> {
    match link {
        Err(seen) => refused(&seen),
        Ok(link) => {
            let name = format!("{}#{}", link.project, link.identifier);
            let url = Some(link.web_url).filter(|url| is_web(url));
            Json(json!({ "ok": true, "said": format!("Linked to {name}"), "linked": { "name": name, "url": url } }))
        }
    }
}

pub(super) async fn unlink(State(desk): Shared, Path(id): Path<u64>) -> Redirect {
    desk.sentry.unlink(id);
    Redirect::to(&format!("/sentry/issues/{id}"))
}

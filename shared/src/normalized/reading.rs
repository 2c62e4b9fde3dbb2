//! From each resource's payload to the one shape.

use serde::Deserialize;
use serde_json::Value;

use super::{Normalized, Project, address};
use crate::payload::{Comment, Data, ErrorEvent, Event, EventAlert, Id, Issue, IssueProject, MetricAlert};

impl Normalized {
    /// What the payload itself says. Nothing is looked up.
    pub fn of(event: &Event) -> Self {
        let mut normalized = Self {
            event: event.name(),
            resource: event.resource.to_string(),
            action: event.action.clone(),
            installation: event.installation.map(|id| id.to_string()).unwrap_or_default(),
            actor: event.actor.as_ref().and_then(|actor| actor.name()).map(str::to_owned),
            ..Self::default()
        };
        match &event.data {
            Data::Installation(installation) => {
                normalized.organization = given(installation.organization_slug());
            }
            Data::Issue(change) => {
                change.issue.iter().for_each(|issue| normalized.read_issue(issue));
                // For a team `issue.assignedTo` has the slug, this the display name.
                if let Some(name) = given(change.assignee.as_ref().and_then(|assignee| assignee.name.as_deref())) {
                    normalized.assignee = Some(name);
                }
            }
            Data::Error(error) => normalized.read_error(error),
            Data::EventAlert(alert) => normalized.read_event_alert(alert),
            Data::MetricAlert(alert) => normalized.read_metric_alert(alert),
            Data::Comment(comment) => normalized.read_comment(comment),
            Data::Other(data) => match event.resource.as_str() {
                "activity_alert" => normalized.read_activity_alert(data),
                "seer" => normalized.read_seer(data),
                "preprod_artifact" => normalized.read_preprod_artifact(data),
                "switchboard" => normalized.read_switchboard(data),
                _ => {}
            },
        }
        // With an issue, its own title can still be looked up.
        if normalized.title.is_none() && normalized.issue.is_none() {
            normalized.title = given(event.text());
        }
        normalized
    }

    fn read_issue(&mut self, issue: &Issue) {
        self.issue = id(issue.id.as_ref());
        self.short_id = given(issue.short_id.as_deref());
        self.title = given(issue.title.as_deref());
        self.culprit = given(issue.culprit.as_deref());
        self.level = given(issue.level.as_deref());
        self.platform = given(issue.platform.as_deref());
        self.value = given(issue.metadata.as_ref().and_then(|metadata| metadata.value.as_deref()));
        self.project = issue.project.as_ref().and_then(project);
        self.status = given(issue.status.as_deref());
        self.substatus = given(issue.substatus.as_deref());
        self.assignee = given(issue.assigned_to.as_ref().and_then(|person| person.name.as_deref()));
        self.count = number(issue.count.as_ref());
        self.users = number(issue.user_count.as_ref());
        self.first_seen = given(issue.first_seen.as_deref());
        let pages = [&issue.web_url, &issue.web_url_camel, &issue.permalink];
        self.url = first_page(pages.map(Option::as_deref));
        self.read_addresses(&[&issue.url], &pages);
    }

    fn read_error(&mut self, error: &ErrorEvent) {
        self.issue = id(error.issue_id.as_ref());
        self.title = given(error.title.as_deref());
        self.culprit = given(error.culprit.as_deref());
        self.platform = given(error.platform.as_deref());
        self.value = given(error.metadata.as_ref().and_then(|metadata| metadata.value.as_deref()))
            .or_else(|| given(error.message.as_deref()));
        let tag = |name| error.tags.as_ref().and_then(|tags| tags.get(name));
        self.level = given(error.level.as_deref()).or_else(|| given(tag("level")));
        self.environment = given(error.environment.as_deref()).or_else(|| given(tag("environment")));
        self.release = given(error.release.as_deref()).or_else(|| given(tag("release")));
        if let Some(tags) = &error.tags {
            self.tags = tags.0.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
        }
        if let Some(id) = &error.project {
            self.project = Some(Project { id: Some(id.0.clone()), ..Project::default() });
        }
        self.url = first_page([error.web_url.as_deref()]);
        self.read_addresses(&[&error.url, &error.issue_url], &[&error.web_url]);
    }

    fn read_event_alert(&mut self, alert: &EventAlert) {
        if let Some(event) = &alert.event {
            self.read_error(event);
        }
        let title = alert.issue_alert.as_ref().and_then(|alert| alert.title.as_deref());
        self.rule = given(alert.triggered_rule.as_deref()).or_else(|| given(title));
    }

    fn read_metric_alert(&mut self, alert: &MetricAlert) {
        let Some(details) = &alert.metric_alert else { return };
        self.title = given(alert.description_title.as_deref()).or_else(|| given(details.title.as_deref()));
        self.value = given(alert.description_text.as_deref());
        self.rule = given(details.alert_rule.as_ref().and_then(|rule| rule.name.as_deref()));
        let mut slugs = details.projects.iter().filter(|slug| !slug.is_empty()).cloned();
        self.project = slugs.next().map(|slug| Project { slug: Some(slug), ..Project::default() });
        self.more_projects = slugs.collect();
        self.url = first_page([alert.web_url.as_deref()]);
        self.read_addresses(&[], &[&alert.web_url]);
    }

    fn read_comment(&mut self, comment: &Comment) {
        self.issue = id(comment.issue_id.as_ref());
        self.value = given(comment.comment.as_deref());
        self.project =
            given(comment.project_slug.as_deref()).map(|slug| Project { slug: Some(slug), ..Project::default() });
    }

    fn read_activity_alert(&mut self, data: &Value) {
        if let Some(issue) = data.get("issue") {
            self.read_issue(&Issue::of(issue));
        }
        self.rule = text(data, "/alert/name").or_else(|| text(data, "/alert/title"));
        let kind = text(data, "/activity/type").map(|kind| kind.replace('_', " "));
        let details = ["/activity/details/summary", "/activity/details/pull_requests/0/url"];
        let details = details.into_iter().find_map(|path| text(data, path));
        let told: Vec<String> = kind.into_iter().chain(details).collect();
        if !told.is_empty() {
            self.value = Some(told.join(": "));
        }
    }

    /// Two shapes are documented; what a person wants to read is somewhere in either.
    fn read_seer(&mut self, data: &Value) {
        self.issue = data.get("group_id").and_then(Id::of).map(|id| id.0);
        self.url = first_page([data.pointer("/pull_requests/0/pull_request/pr_url").and_then(Value::as_str)]);
        self.value = [
            "/root_cause/description",
            "/root_cause/one_line_description",
            "/solution/description",
            "/solution/one_line_summary",
            "/changes/0/title",
            "/changes/0/description",
            "/pull_requests/0/pull_request/pr_url",
        ]
        .into_iter()
        .find_map(|path| text(data, path));
    }

    fn read_preprod_artifact(&mut self, data: &Value) {
        self.organization = text(data, "/organizationSlug");
        let id = data.get("projectId").and_then(Id::of).map(|id| id.0);
        let slug = text(data, "/projectSlug");
        if id.is_some() || slug.is_some() {
            self.project = Some(Project { id, slug, name: None });
        }
        self.platform = text(data, "/platform");
        self.release = text(data, "/appInfo/version");
        // An event named "completed" can mean that it failed: `state` tells.
        self.status = text(data, "/state").map(|state| state.to_lowercase());
        let app = ["/appInfo/name", "/appInfo/version"].into_iter().filter_map(|path| text(data, path));
        let app = app.collect::<Vec<_>>().join(" ");
        self.title = given(Some(&app));
        self.url = first_page([data.pointer("/installUrl").and_then(Value::as_str)]);
        self.value = text(data, "/errorMessage").or_else(|| text(data, "/errorCode"));
    }

    /// An event of the switchboard itself: a destination was paused, or has been resumed; a ticket was opened.
    pub(super) fn read_switchboard(&mut self, data: &Value) {
        self.destination = text(data, "/destination");
        self.value = text(data, "/reason");
        self.count = data.get("parked").and_then(Value::as_u64);
        self.first_seen = text(data, "/since");
        self.issue = text(data, "/issue");
        self.title = text(data, "/title");
        self.project = data.get("issue_project").and_then(|own| Project::deserialize(own).ok());
        self.level = text(data, "/level");
        self.url = first_page([data.pointer("/url").and_then(Value::as_str)]);
        if let (Some(project), Some(identifier)) = (text(data, "/project"), text(data, "/identifier")) {
            // `OPS-12` says its project itself.
            let names_it = identifier.strip_prefix(&project).is_some_and(|rest| rest.starts_with('-'));
            self.value = Some(if names_it { identifier } else { format!("{project}#{identifier}") });
        }
    }

    /// Fills organization and project slug, where nothing better is known: the API's own address first.
    fn read_addresses(&mut self, api: &[&Option<String>], pages: &[&Option<String>]) {
        for url in api.iter().copied().flatten() {
            let (organization, slug) = address::of_api(url);
            if self.organization.is_none() {
                self.organization = organization.map(str::to_owned);
            }
            if let Some(slug) = slug {
                self.project.get_or_insert_default().slug.get_or_insert_with(|| slug.to_owned());
            }
        }
        if self.organization.is_none() {
            self.organization =
                pages.iter().copied().flatten().find_map(|url| address::of_page(url)).map(str::to_owned);
        }
    }

    /// Adds what the answer of Sentry's issue endpoint (`GET …/issues/{id}/`) tells.
    ///
    /// Only what is absent and does not move is filled (status, assignee and counters would be those of the look-up
    /// and not of the event), but for slug and name of the project, where the answer is newer than a payload.
    /// A level is not given to what has none of its own: whether a comment has one must not hang on whether some route
    /// made us look.
    pub fn fill_from_issue(&mut self, issue: &Value) {
        let mut found = Self { resource: self.resource.clone(), ..Self::default() };
        found.read_issue(&Issue::of(issue));
        if let Some(answer) = found.project {
            let project = self.project.get_or_insert_default();
            project.slug = answer.slug.or(project.slug.take());
            project.name = answer.name.or(project.name.take());
            project.id = project.id.take().or(answer.id);
        }
        if self.level.is_none() && self.has_level() {
            self.level = found.level;
        }
        for (field, answer) in [
            (&mut self.organization, found.organization),
            (&mut self.platform, found.platform),
            (&mut self.title, found.title),
            (&mut self.culprit, found.culprit),
            (&mut self.value, found.value),
            (&mut self.issue, found.issue),
            (&mut self.short_id, found.short_id),
            (&mut self.url, found.url),
            (&mut self.first_seen, found.first_seen),
        ] {
            if field.is_none() {
                *field = answer;
            }
        }
    }
}

/// Text that says something.
fn given(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

fn text(data: &Value, pointer: &str) -> Option<String> {
    given(data.pointer(pointer).and_then(Value::as_str))
}

fn id(id: Option<&Id>) -> Option<String> {
    id.map(|id| id.0.clone())
}

fn number(id: Option<&Id>) -> Option<u64> {
    id?.0.parse().ok()
}

fn first_page<const N: usize>(urls: [Option<&str>; N]) -> Option<String> {
    urls.into_iter().flatten().find(|url| address::is_page(url)).map(str::to_owned)
}

fn project(project: &IssueProject) -> Option<Project> {
    let read = Project {
        id: id(project.id.as_ref()),
        slug: given(project.slug.as_deref()),
        name: given(project.name.as_deref()),
    };
    (read != Project::default()).then_some(read)
}

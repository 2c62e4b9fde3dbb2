//! What people do in Sentry: install, uninstall, let an issue happen, resolve and assign it, trip an alert rule.

use crate::config::{AppKind, Project};
use crate::ordered::Json;
use crate::simulator::{Simulator, locked};
use crate::state::{Issue, Owner, Status};
use crate::webhooks::payload::{self, Actor};
use crate::webhooks::{Attempt, Body, Delivery, NotSent, Webhook};

/// Who comes first after an install; the real server leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The webhook's first attempt is over before the redirect's address is known.
    #[default]
    WebhookFirst,
    /// The address is there at once; `installation.created` is sent by [`Simulator::announce`].
    RedirectFirst,
    /// The webhook is on its way while the caller follows the redirect.
    Both,
}

/// How to install.
#[derive(Clone, Debug, Default)]
pub struct Install {
    /// Slug; `None` for the one of the settings.
    pub organization: Option<String>,
    pub order: Order,
}

/// Where `installation.created` stands when [`Simulator::install_with`] returns.
#[derive(Debug)]
pub enum Announcement {
    Sent(Delivery),
    UnderWay(tokio::task::JoinHandle<Delivery>),
    /// Left to [`Simulator::announce`].
    Later,
    /// The installation existed before: nothing is sent.
    None,
}

impl Announcement {
    /// The delivery after its first attempt, if there is one or one is under way.
    pub async fn delivery(self) -> Option<Delivery> {
        match self {
            Self::Sent(delivery) => Some(delivery),
            Self::UnderWay(task) => task.await.ok(),
            Self::Later | Self::None => None,
        }
    }
}

/// A fresh (or found) installation.
#[derive(Debug)]
pub struct Installed {
    /// Its uuid.
    pub installation: String,
    /// The grant code, while it is unused.
    pub code: Option<String>,
    /// Where Sentry sends the browser, if the app has a Redirect URL and this is no internal integration.
    pub redirect_url: Option<String>,
    pub webhook: Announcement,
}

/// A new issue.
#[derive(Clone, Debug)]
pub struct NewIssue {
    /// Slug or name.
    pub project: String,
    /// `ValueError: division by zero`: type and value of the metadata are read off it.
    pub title: String,
    pub culprit: String,
    pub level: String,
    /// Slug; `None` for the one of the settings.
    pub organization: Option<String>,
}

impl NewIssue {
    /// An error in `project`, of the settings' organization.
    pub fn new(project: &str, title: &str) -> Self {
        Self {
            project: project.to_owned(),
            title: title.to_owned(),
            culprit: "app.main in handle".to_owned(),
            level: "error".to_owned(),
            organization: None,
        }
    }
}

/// An issue and its `issue.created`.
#[derive(Debug)]
pub struct Created {
    /// Id of the issue.
    pub issue: u64,
    pub delivery: Delivery,
}

/// Somebody an issue is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignee {
    User { id: u64, name: String, email: String },
    Team { id: u64, slug: String, name: String },
}

impl Assignee {
    /// `data.assignee`: the id a number, a team by its display name and without an address.
    pub(crate) fn in_event(&self) -> Json {
        match self {
            Self::User { id, name, email } => Json::from([
                ("type", "user".into()),
                ("name", name.as_str().into()),
                ("id", (*id).into()),
                ("email", email.as_str().into()),
            ]),
            Self::Team { id, name, .. } => {
                Json::from([("type", "team".into()), ("name", name.as_str().into()), ("id", (*id).into())])
            }
        }
    }

    /// `issue.assignedTo`: the id text, a team by its slug.
    pub(crate) fn in_issue(&self) -> Json {
        match self {
            Self::User { id, name, email } => Json::from([
                ("email", email.as_str().into()),
                ("type", "user".into()),
                ("id", id.to_string().into()),
                ("name", name.as_str().into()),
            ]),
            Self::Team { id, slug, .. } => {
                Json::from([("type", "team".into()), ("id", id.to_string().into()), ("name", slug.as_str().into())])
            }
        }
    }
}

/// Whether an alert's payload has the addresses that name organization and project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlertUrls {
    #[default]
    Present,
    /// Without them the payload names the project by its number only: who wants its slug must look the issue up.
    Absent,
}

/// An issue alert.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Label of the rule.
    pub rule: String,
    pub urls: AlertUrls,
    /// Settings of the app's alert-rule-action, name and value; empty for a rule without.
    pub settings: Vec<(String, String)>,
}

impl Default for Alert {
    fn default() -> Self {
        Self { rule: "Page the team".to_owned(), urls: AlertUrls::Present, settings: Vec::new() }
    }
}

/// What was asked for does not exist in the simulated Sentry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    #[error("no project is called {0}")]
    Project(String),
    #[error("there is no issue {0}")]
    Issue(u64),
    #[error("no alert rule is called {0}")]
    Rule(String),
    #[error("there is no installation {0}")]
    Installation(String),
}

/// Why an installation is still there after [`Simulator::uninstall`].
#[derive(Debug, thiserror::Error)]
pub enum UninstallFailed {
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// 23.7.1 shows the user a 500 when a published app answers `installation.deleted` with 503 or 504.
    #[error("the app answered installation.deleted with {0}, and this Sentry then keeps the installation")]
    Answered(u16),
}

impl Simulator {
    /// [`Self::install_with`] the defaults: the settings' organization, the webhook first.
    pub async fn install(&self) -> Installed {
        self.install_with(Install::default()).await
    }

    /// Installs the app. Where it is installed already, that installation is returned, with its code if that is still
    /// unused, and nothing is sent.
    pub async fn install_with(&self, options: Install) -> Installed {
        let config = self.config();
        let organization = options.organization.as_deref().unwrap_or(&config.organization);
        let found = locked(&self.0.state).of_organization(organization).map(|found| found.uuid.clone());
        if let Some(uuid) = found {
            return self.installed(uuid, Announcement::None);
        }
        let status = if config.verify_install { Status::Pending } else { Status::Installed };
        let uuid = locked(&self.0.state).install(organization, Owner::ThisApp, status, Some(self.now()));
        let webhook = match options.order {
            Order::RedirectFirst => Announcement::Later,
            Order::WebhookFirst => Announcement::Sent(self.send(created(&uuid)).await),
            Order::Both => {
                let (simulator, webhook) = (self.clone(), created(&uuid));
                Announcement::UnderWay(tokio::spawn(async move { simulator.send(webhook).await }))
            }
        };
        self.installed(uuid, webhook)
    }

    /// An installation of another app on the same server, whose redirect a stranger sends to this app. Its code is good,
    /// but not for this app.
    pub fn install_other_app(&self) -> Installed {
        let organization = &self.config().organization;
        let uuid = locked(&self.0.state).install(organization, Owner::OtherApp, Status::Pending, Some(self.now()));
        self.installed(uuid, Announcement::None)
    }

    /// Sends `installation.created` of an installation made with [`Order::RedirectFirst`].
    pub async fn announce(&self, installation: &str) -> Delivery {
        self.send(created(installation)).await
    }

    fn installed(&self, installation: String, webhook: Announcement) -> Installed {
        let mut state = locked(&self.0.state);
        let (code, organization) = state.live(&installation).map_or((None, String::new()), |found| {
            (found.grant.as_ref().map(|grant| grant.code.clone()), found.organization.clone())
        });
        drop(state);
        let redirect_url = self
            .addresses()
            .redirect_url
            .filter(|_| self.config().kind != AppKind::Internal)
            .map(|base| redirect(&base, code.as_deref(), &installation, &organization));
        Installed { installation, code, redirect_url, webhook }
    }

    /// Sends `installation.deleted`, once, and then removes the installation. Its tokens stay in the database: the API
    /// answers them with 403.
    pub async fn uninstall(&self, installation: &str) -> Result<Delivery, UninstallFailed> {
        let bytes = {
            let mut state = locked(&self.0.state);
            let found = state.live(installation).ok_or_else(|| Unknown::Installation(installation.to_owned()))?;
            let data = payload::installation(self, found, false);
            payload::body(self, installation, "deleted", data, Actor::User)
        };
        let webhook = webhook(installation, "installation", "deleted", Body::Fixed(bytes.into()));
        let delivery = self.send(webhook).await;
        let config = self.config();
        if config.version == crate::Version::V23_7_1
            && config.kind == AppKind::Published
            && let Attempt::Answered(status @ (503 | 504)) = delivery.first
        {
            return Err(UninstallFailed::Answered(status));
        }
        if let Some(found) = locked(&self.0.state).live(installation) {
            found.status = Status::Removed;
        }
        Ok(delivery)
    }

    /// Lets an issue happen; sends `issue.created`.
    pub async fn create_issue(&self, new: NewIssue) -> Result<Created, Unknown> {
        let project = self.project(&new.project).ok_or_else(|| Unknown::Project(new.project.clone()))?;
        let now = self.now();
        let issue = {
            let mut state = locked(&self.0.state);
            let id = state.issues.keys().next_back().map_or(1, |last| last + 1);
            let number = state.issues.values().filter(|issue| issue.project.id == project.id).count() + 1;
            let issue = Issue {
                id,
                short_id: format!("{}-{number}", project.slug.to_uppercase()),
                organization: new.organization.unwrap_or_else(|| self.config().organization.clone()),
                project,
                title: new.title,
                culprit: new.culprit,
                level: new.level,
                status: "unresolved",
                substatus: Some("new"),
                assigned: None,
                count: 1,
                first_seen: now,
                last_seen: now,
            };
            state.issues.insert(id, issue.clone());
            issue
        };
        let delivery = self.send_about(&issue, "issue", "created", |installation| {
            let data = payload::issue(self, &issue, "created");
            Body::Fixed(payload::body(self, installation, "created", data, Actor::Sentry).into())
        });
        Ok(Created { issue: issue.id, delivery: delivery.await })
    }

    /// Another event of an issue: its counter and the time it was last seen move; sends nothing.
    pub fn add_event(&self, issue: u64) -> Result<(), Unknown> {
        let now = self.now();
        self.change(issue, |issue| {
            issue.count += 1;
            issue.last_seen = now;
        })
        .map(drop)
    }

    /// A user resolves an issue; sends `issue.resolved`.
    pub async fn resolve_issue(&self, issue: u64) -> Result<Delivery, Unknown> {
        self.act(issue, "resolved", |issue| (issue.status, issue.substatus) = ("resolved", None)).await
    }

    /// A user archives an issue; sends `issue.ignored`, as the wire calls it.
    pub async fn archive_issue(&self, issue: u64) -> Result<Delivery, Unknown> {
        let substatus = (self.config().version == crate::Version::Today).then_some("archived_until_escalating");
        self.act(issue, "ignored", |issue| (issue.status, issue.substatus) = ("ignored", substatus)).await
    }

    /// An issue that was resolved comes back with a new event; sends `issue.unresolved`, as newer servers do.
    pub async fn regress_issue(&self, issue: u64) -> Result<Delivery, Unknown> {
        self.add_event(issue)?;
        let issue = self.change(issue, |issue| (issue.status, issue.substatus) = ("unresolved", Some("regressed")))?;
        let body = Body::Issue { id: issue.id, actor: Actor::Sentry };
        Ok(self.send_about(&issue, "issue", "unresolved", |_| body).await)
    }

    /// A user writes a comment below an issue; sends `comment.created`.
    pub async fn comment(&self, issue: u64, text: &str) -> Result<Delivery, Unknown> {
        let issue = self.change(issue, |_| {})?;
        let delivery = self.send_about(&issue, "comment", "created", |installation| {
            let data = payload::comment(&issue, text, self.now());
            Body::Fixed(payload::body(self, installation, "created", data, Actor::User).into())
        });
        Ok(delivery.await)
    }

    /// A user gives an issue to somebody; sends `issue.assigned`.
    pub async fn assign(&self, issue: u64, to: Assignee) -> Result<Delivery, Unknown> {
        self.act(issue, "assigned", |issue| issue.assigned = Some(to)).await
    }

    /// An alert rule fires for an issue: one more event; sends `event_alert.triggered`.
    pub async fn trigger_alert(&self, issue: u64, alert: Alert) -> Result<Delivery, Unknown> {
        self.add_event(issue)?;
        let issue = self.change(issue, |_| {})?;
        let delivery = self.send_about(&issue, "event_alert", "triggered", |installation| {
            let data = payload::alert(self, &issue, &alert, self.now());
            Body::Fixed(payload::body(self, installation, "triggered", data, Actor::Sentry).into())
        });
        Ok(delivery.await)
    }

    async fn act(&self, issue: u64, action: &str, change: impl FnOnce(&mut Issue)) -> Result<Delivery, Unknown> {
        let issue = self.change(issue, change)?;
        let body = Body::Issue { id: issue.id, actor: Actor::User };
        Ok(self.send_about(&issue, "issue", action, |_| body).await)
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Issue)) -> Result<Issue, Unknown> {
        let mut state = locked(&self.0.state);
        let issue = state.issues.get_mut(&id).ok_or(Unknown::Issue(id))?;
        change(issue);
        Ok(issue.clone())
    }

    /// Sends to the installation of the issue's organization, if there is one.
    async fn send_about(
        &self,
        issue: &Issue,
        resource: &str,
        action: &str,
        body: impl FnOnce(&str) -> Body,
    ) -> Delivery {
        let found = locked(&self.0.state).of_organization(&issue.organization).map(|found| found.uuid.clone());
        match found {
            Some(installation) => {
                let body = body(&installation);
                self.send(webhook(&installation, resource, action, body)).await
            }
            None => Delivery::not_sent(&format!("{resource}.{action}"), NotSent::NotInstalled),
        }
    }

    fn project(&self, name_or_slug: &str) -> Option<Project> {
        let projects = &self.config().projects;
        projects.iter().find(|project| project.slug == name_or_slug || project.name == name_or_slug).cloned()
    }
}

fn webhook(installation: &str, resource: &str, action: &str, body: Body) -> Webhook {
    Webhook { installation: installation.to_owned(), resource: resource.to_owned(), action: action.to_owned(), body }
}

fn created(installation: &str) -> Webhook {
    webhook(installation, "installation", "created", Body::InstallationCreated)
}

/// The Redirect URL with what Sentry's pages add. Parameters that it has are kept; all are sorted by name.
fn redirect(base: &str, code: Option<&str>, installation: &str, organization: &str) -> String {
    let (base, fragment) = base.split_once('#').map_or((base, None), |(base, fragment)| (base, Some(fragment)));
    let (path, query) = base.split_once('?').unwrap_or((base, ""));
    let mut parameters: Vec<String> = query.split('&').filter(|text| !text.is_empty()).map(str::to_owned).collect();
    parameters.extend(code.map(|code| format!("code={code}")));
    parameters.push(format!("installationId={installation}"));
    parameters.push(format!("orgSlug={organization}"));
    parameters.sort_by(|a, b| name(a).cmp(name(b)));
    let fragment = fragment.map_or_else(String::new, |fragment| format!("#{fragment}"));
    format!("{path}?{}{fragment}", parameters.join("&"))
}

fn name(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_redirect_keeps_what_was_there_and_sorts_by_name() {
        let cases = [
            ("http://a/setup", Some("c"), "http://a/setup?code=c&installationId=i&orgSlug=o"),
            (
                "http://a/setup?zoo=1&b=2#top",
                Some("c"),
                "http://a/setup?b=2&code=c&installationId=i&orgSlug=o&zoo=1#top",
            ),
            ("http://a/setup", None, "http://a/setup?installationId=i&orgSlug=o"),
        ];
        for (base, code, expected) in cases {
            assert_eq!(redirect(base, code, "i", "o"), expected);
        }
    }
}

//! The far sides themselves: what is called in place of a destination or tracker.

use std::sync::{Arc, Mutex};

use axum::Router;
use shared::destinations::opens_tickets;
use shared::ports::BusEvent;
use simulator::{Discord, GitHub, GitLab, Jira, Linear, Mattermost, PagerDuty, Receiver, Simulator, Slack, Teams};
use toml::Value;

use super::fill_in::{Account, Entry};
use super::{HOSTS, Place};

/// Standard Webhooks wants 24 to 64 bytes; these are 32.
const WEBHOOK_SECRET: &str = "whsec_c3RhbmQtaW4tc3RhbmQtaW4tc3RhbmQtaW4tMDE=";

/// The far side of one destination or tracker.
#[derive(Clone)]
pub(crate) enum FarSide {
    Slack {
        workspace: Slack,
        channel: String,
    },
    Discord(Discord),
    Mattermost(Mattermost),
    Teams(Teams),
    PagerDuty(PagerDuty),
    Webhook(Receiver),
    Pushover(Simulator),
    Bus(Arc<Mutex<Vec<BusEvent>>>),
    GitHub(GitHub),
    GitLab(GitLab),
    Jira(Jira),
    Linear(Linear),
    /// Tickets: they are opened in a tracker of the file.
    Tickets,
    /// It writes into the log: nothing arrives anywhere else.
    Console,
}

/// Those whose addresses are secrets: each further one of its kind has the same address.
#[derive(Clone, Default)]
pub(super) struct Models {
    discord: Discord,
    teams: Teams,
}

impl Models {
    /// See [`super::StandIns::secrets`].
    pub(super) fn secrets(&self) -> String {
        let slack = Slack::default();
        let values = [
            ("pushover-user", "u".repeat(30)),
            ("pushover-token", "a".repeat(30)),
            ("slack-url", format!("https://hooks.slack.com{}", slack.webhook_path())),
            ("slack-bot_token", slack.bot_token().to_owned()),
            ("discord-url", self.discord.webhook_url()),
            ("mattermost-url", format!("https://{HOSTS}{}", Mattermost::default().hook_path())),
            ("teams-url", self.teams.webhook_url()),
            ("pagerduty-routing_key", "0".repeat(32)),
            ("webhook-url", format!("https://{HOSTS}/hook")),
            ("webhook-secret", WEBHOOK_SECRET.to_owned()),
            ("github-token", GitHub::default().token().to_owned()),
            ("gitlab-token", GitLab::default().token().to_owned()),
            ("linear-token", Linear::default().api_key().to_owned()),
            ("jira-token", Jira::cloud().token().to_owned()),
        ];
        values.map(|(name, value)| format!("{name} = {}\n", Value::String(value))).concat()
    }
}

impl FarSide {
    /// A new one; `places` are those that there are already.
    pub(super) fn new(entry: &Entry, models: &Models, places: &[Place]) -> Self {
        match &*entry.kind {
            "slack" => Self::slack(&entry.account, places),
            "discord" => Self::Discord(models.discord.another()),
            "mattermost" => Self::Mattermost(Mattermost::default()),
            "teams" => Self::Teams(models.teams.another()),
            "pagerduty" => Self::PagerDuty(PagerDuty::default()),
            "webhook" => Self::Webhook(Receiver::in_real_time(WEBHOOK_SECRET)),
            "pushover" => Self::Pushover(Simulator::new(simulator::Config::default())),
            "eventbridge" => Self::Bus(Arc::default()),
            // It has one of its own only where the file names none.
            "github" if entry.projects.is_empty() => Self::GitHub(GitHub::default()),
            "github" => Self::GitHub(GitHub::with_repositories([])),
            "gitlab" if entry.projects.is_empty() => Self::GitLab(GitLab::default()),
            "gitlab" => Self::GitLab(GitLab::with_projects([])),
            "jira" if entry.account.email.is_some() => Self::Jira(Jira::cloud()),
            "jira" => Self::Jira(Jira::data_center()),
            "linear" => Self::Linear(Linear::default()),
            kind if opens_tickets(kind) => Self::Tickets,
            _ => Self::Console,
        }
    }

    /// One bot has one workspace, with as many channels as are named.
    fn slack(account: &Account, places: &[Place]) -> Self {
        let token = account.secrets.get("bot_token");
        let of_bot = places.iter().find_map(|place| match &place.far_side {
            Self::Slack { workspace, .. } if token.is_some() && place.account.secrets.get("bot_token") == token => {
                Some(workspace.clone())
            }
            _ => None,
        });
        let workspace = of_bot.unwrap_or_default();
        let named = Some(&account.channel).filter(|channel| !channel.is_empty() && token.is_some());
        let channel = named.map_or("alerts", String::as_str).to_owned();
        if channel != "alerts" {
            workspace.add_channel(&channel);
        }
        Self::Slack { workspace, channel }
    }

    /// Has what the file names, so that it can be used.
    pub(super) fn hold(&self, entry: &Entry) {
        for project in &entry.projects {
            match self {
                Self::GitHub(github) => github.add_repository(project),
                Self::GitLab(gitlab) => gitlab.add_project(project),
                Self::Jira(jira) => jira.add_project(project),
                Self::Linear(linear) => linear.add_team(project),
                _ => {}
            }
        }
        match (self, &entry.issue_type) {
            (Self::Jira(jira), Some(issue_type)) => jira.add_issue_type(issue_type),
            // Elsewhere a label is made by using it.
            (Self::Linear(linear), _) => entry.labels.iter().for_each(|label| linear.add_label(label)),
            _ => {}
        }
    }

    /// Whether it is called at an address.
    pub(super) fn is_called(&self) -> bool {
        !matches!(self, Self::Console | Self::Tickets)
    }

    pub(super) fn router(&self) -> Router {
        match self {
            Self::Slack { workspace, .. } => workspace.router(),
            Self::Discord(discord) => discord.router(),
            Self::Mattermost(mattermost) => mattermost.router(),
            Self::Teams(teams) => teams.router(),
            Self::PagerDuty(pagerduty) => pagerduty.router(),
            Self::Webhook(receiver) => receiver.router(),
            Self::Pushover(pushover) => pushover.pushover_router(),
            Self::GitHub(github) => {
                // Whoever looks for a new ticket at once is to find it.
                github.index();
                github.router()
            }
            Self::GitLab(gitlab) => gitlab.router(),
            Self::Jira(jira) => jira.router(),
            Self::Linear(linear) => linear.router(),
            Self::Bus(_) | Self::Console | Self::Tickets => Router::new(),
        }
    }
}

#![doc = include_str!("../README.md")]

mod components;
mod config;
mod deliver;
mod discord;
mod events;
mod faults;
mod github;
mod gitlab;
mod jira;
mod linear;
mod markdown;
mod mattermost;
mod ordered;
mod pagerduty;
mod pushover;
mod receiver;
mod record;
mod server;
mod signing;
mod simulator;
mod slack;
mod stand_in;
mod state;
mod teams;
#[cfg(test)]
mod testing;
mod webhooks;

pub use components::{ExternalIssue, Field, Options, SchemaRefused, UserSees, check_schema};
pub use config::{AppKind, Clock, Config, Project, Sleep, Version};
pub use deliver::{Answering, Deliver, IntoRouter, OverHttp, SendFailure};
pub use discord::{Discord, DiscordMessage};
pub use events::{
    Alert, AlertUrls, Announcement, Assignee, Created, Install, Installed, NewIssue, Order, UninstallFailed, Unknown,
};
pub use faults::{Endpoint, Fault, Faults};
pub use github::{GitHub, GitHubIssue};
pub use gitlab::{GitLab, GitLabIssue};
pub use jira::{Jira, JiraEdition, JiraTicket};
pub use linear::{Linear, LinearTicket};
pub use mattermost::{Mattermost, MattermostPost};
pub use pagerduty::{Incident, IncidentState, PagerDuty};
pub use pushover::PushoverMessage;
pub use receiver::{Hook, Receiver};
pub use record::{Direction, Exchange};
pub use simulator::{Simulator, TokenPair};
pub use slack::{Slack, SlackCall, SlackMessage, SlackThread};
pub use teams::{Teams, TeamsMessage};
pub use webhooks::{Attempt, Delivery, NotSent};

//! What stands at the far side of a destination now, in one form for all of them.

use std::sync::PoisonError;

use jiff::Timestamp;
use serde_json::Value;
use simulator::{IncidentState, PushoverMessage, SlackMessage};

use super::stand_ins::FarSide;

/// A body longer than this is cut.
const BODY_SHOWN_CHARS: usize = 1000;

/// A message, an incident, an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    /// `None` where the far side keeps no time.
    pub(super) at: Option<Timestamp>,
    pub(super) title: String,
    /// Lines.
    pub(super) text: String,
    /// Short words about it: `priority 2`, `resolved`, `wakes here`.
    pub(super) marks: Vec<String>,
    /// `#rrggbb`
    pub(super) colour: Option<String>,
    /// Address and label.
    pub(super) link: Option<(String, String)>,
    /// What came after it and stands below it, oldest first.
    pub(super) replies: Vec<String>,
}

/// Newest first, at most `limit`.
pub(super) fn arrived(far_side: &FarSide, limit: usize, now: Timestamp) -> Vec<Arrived> {
    let all = match far_side {
        FarSide::Slack { workspace, channel } => {
            let threads = workspace.threads(channel).into_iter();
            let shown = threads.map(|thread| Arrived {
                replies: thread.replies.iter().map(|reply| reply.shown.clone()).collect(),
                ..slack(&thread.parent)
            });
            shown.collect()
        }
        FarSide::Discord(discord) => discord.messages().iter().map(discord_message).collect(),
        FarSide::Mattermost(mattermost) => mattermost.posts().iter().map(mattermost_post).collect(),
        FarSide::Teams(teams) => teams.messages().iter().map(teams_card).collect(),
        FarSide::PagerDuty(pagerduty) => pagerduty.incidents().iter().map(incident).collect(),
        FarSide::Webhook(receiver) => receiver.hooks().iter().map(hook).collect(),
        FarSide::Pushover(pushover) => {
            pushover.pushover_messages().into_iter().map(|message| pushover_message(message, now)).collect()
        }
        FarSide::Bus(kept) => {
            let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = |event: &shared::ports::BusEvent| Arrived {
                at: Some(event.time),
                title: event.detail_type.clone(),
                text: cut(&event.detail),
                marks: vec![format!("bus {}", event.bus), format!("source {}", event.source)],
                ..Arrived::default()
            };
            kept.iter().map(entry).collect()
        }
        FarSide::GitHub(github) => github.issues().into_iter().map(github_issue).collect(),
        FarSide::GitLab(gitlab) => gitlab.issues().into_iter().map(gitlab_issue).collect(),
        FarSide::Jira(jira) => jira.tickets().into_iter().map(|ticket| jira_ticket(jira, ticket)).collect(),
        FarSide::Linear(linear) => linear.tickets().into_iter().map(|ticket| linear_ticket(linear, ticket)).collect(),
        FarSide::Console | FarSide::Tickets => Vec::new(),
    };
    let all: Vec<Arrived> = all;
    all.into_iter().rev().take(limit).collect()
}

fn slack(message: &SlackMessage) -> Arrived {
    let (title, text) = first_line(&message.shown);
    Arrived {
        at: Some(message.posted_at),
        title,
        text,
        marks: edited(message.edits),
        colour: message.colour.clone(),
        ..Arrived::default()
    }
}

fn discord_message(message: &simulator::DiscordMessage) -> Arrived {
    let embed = message.embeds.first().unwrap_or(&Value::Null);
    let fields = pairs(&embed["fields"], "name");
    let mut marks = edited(message.edits);
    marks.extend(woken(&message.woke));
    Arrived {
        at: Some(message.received_at),
        title: text(&embed["title"]),
        text: lines([message.content.clone(), text(&embed["description"]), fields]),
        marks,
        colour: embed["color"].as_u64().map(|colour| format!("#{colour:06x}")),
        link: link(&embed["url"]),
        replies: Vec::new(),
    }
}

fn mattermost_post(post: &simulator::MattermostPost) -> Arrived {
    let attachment = &post.attachments[0];
    Arrived {
        at: Some(post.posted_at),
        title: text(&attachment["title"]),
        text: lines([post.text.clone(), text(&attachment["text"]), pairs(&attachment["fields"], "title")]),
        marks: woken(&post.wakes).into_iter().collect(),
        colour: attachment["color"].as_str().map(str::to_owned),
        link: link(&attachment["title_link"]),
        replies: Vec::new(),
    }
}

fn teams_card(message: &simulator::TeamsMessage) -> Arrived {
    let mut texts = Vec::new();
    collect_texts(&message.card["body"], &mut texts);
    let (title, text) = first_line(&texts.join("\n"));
    Arrived {
        at: Some(message.received_at),
        title,
        text,
        marks: woken(&message.woke).into_iter().collect(),
        link: link(&message.card["actions"][0]["url"]),
        ..Arrived::default()
    }
}

/// The texts of a card's elements, in their order; a fact is one line.
fn collect_texts(element: &Value, texts: &mut Vec<String>) {
    match element {
        Value::Array(elements) => elements.iter().for_each(|element| collect_texts(element, texts)),
        Value::Object(object) => {
            if let (Some(Value::String(title)), Some(Value::String(value))) = (object.get("title"), object.get("value"))
            {
                texts.push(format!("{title}: {value}"));
                return;
            }
            if let Some(Value::String(text)) = object.get("text") {
                texts.push(text.clone());
            }
            for key in ["items", "columns", "inlines", "facts"] {
                object.get(key).into_iter().for_each(|inner| collect_texts(inner, texts));
            }
        }
        _ => {}
    }
}

fn incident(incident: &simulator::Incident) -> Arrived {
    let payload = incident.payload();
    let (state, colour) = match incident.state {
        IncidentState::Triggered => ("triggered: it rings", "#cf222e"),
        IncidentState::Acknowledged => ("acknowledged", "#bf8700"),
        IncidentState::Resolved => ("resolved", "#1a7f37"),
    };
    let happened = incident.events.iter().map(|event| text(&event["event_action"]));
    let last = incident.events.iter().rev().find(|event| event["event_action"] == "trigger").unwrap_or(&Value::Null);
    Arrived {
        at: payload["timestamp"].as_str().and_then(|at| at.parse().ok()),
        title: text(&payload["summary"]),
        text: String::new(),
        marks: vec![state.to_owned(), format!("severity {}", text(&payload["severity"]))],
        colour: Some(colour.to_owned()),
        link: link(&last["links"][0]["href"]).or_else(|| link(&last["client_url"])),
        replies: happened.collect(),
    }
}

fn hook(hook: &simulator::Hook) -> Arrived {
    let body: Value = serde_json::from_slice(&hook.body).unwrap_or_default();
    let named = ["title", "event", "type", "action"].into_iter().find_map(|key| body[key].as_str());
    Arrived {
        at: Some(hook.received_at),
        title: named.unwrap_or("a webhook").to_owned(),
        text: cut(&String::from_utf8_lossy(&hook.body)),
        marks: vec!["signature fits".to_owned(), format!("webhook-id {}", hook.id)],
        ..Arrived::default()
    }
}

fn github_issue(issue: simulator::GitHubIssue) -> Arrived {
    let state = if issue.is_open { "open" } else { "closed" };
    Arrived {
        title: format!("{}#{} {}", issue.repository, issue.number, issue.title),
        text: cut(&issue.body),
        marks: marks(state.to_owned(), &issue.labels, issue.assignees, &issue.mentions),
        replies: issue.comments,
        ..Arrived::default()
    }
}

fn gitlab_issue(issue: simulator::GitLabIssue) -> Arrived {
    let state = if issue.is_open { "opened" } else { "closed" };
    Arrived {
        title: format!("{}#{} {}", issue.project, issue.number, issue.title),
        text: cut(&issue.description),
        marks: marks(state.to_owned(), &issue.labels, issue.assignees, &issue.mentions),
        replies: issue.comments,
        ..Arrived::default()
    }
}

fn jira_ticket(jira: &simulator::Jira, ticket: simulator::JiraTicket) -> Arrived {
    let assignee = ticket.assignee.map(|user| jira.name_of(&user).map_or(user, str::to_owned));
    Arrived {
        title: format!("{} {}", ticket.key, ticket.title),
        text: cut(&ticket.text),
        marks: marks(ticket.state, &ticket.labels, assignee, &ticket.mentions),
        replies: ticket.comments,
        ..Arrived::default()
    }
}

fn linear_ticket(linear: &simulator::Linear, ticket: simulator::LinearTicket) -> Arrived {
    let assignee = ticket.assignee.map(|user| linear.name_of(&user).map_or(user, str::to_owned));
    Arrived {
        title: format!("{} {}", ticket.identifier, ticket.title),
        text: cut(&ticket.text),
        marks: marks(ticket.state, &ticket.labels, assignee, &ticket.mentions),
        replies: ticket.comments,
        ..Arrived::default()
    }
}

fn marks(
    state: String,
    labels: &[String],
    assignees: impl IntoIterator<Item = String>,
    mentions: &[String],
) -> Vec<String> {
    let mut marks = vec![state];
    marks.extend(labels.iter().map(|label| format!("label {label}")));
    marks.extend(assignees.into_iter().map(|assignee| format!("assigned to {assignee}")));
    marks.extend(woken(mentions));
    marks
}

fn pushover_message(message: PushoverMessage, now: Timestamp) -> Arrived {
    let priority = match message.priority {
        2 => "priority 2, an emergency".to_owned(),
        priority => format!("priority {priority}"),
    };
    let mut marks = vec![priority];
    if message.rings_at(now) {
        marks.push("rings until somebody acknowledges it".to_owned());
    } else if message.cancelled_at.is_some() {
        marks.push("ringing cancelled".to_owned());
    }
    marks.extend(message.sound.map(|sound| format!("sound {sound}")));
    marks.extend(message.device.map(|device| format!("device {device}")));
    let label = message.url_title;
    Arrived {
        at: Some(message.received_at),
        title: message.title.unwrap_or_else(|| "(no title)".to_owned()),
        text: message.message,
        marks,
        link: message.url.map(|url| (url.clone(), label.unwrap_or(url))),
        ..Arrived::default()
    }
}

fn edited(edits: usize) -> Vec<String> {
    match edits {
        0 => Vec::new(),
        1 => vec!["changed once".to_owned()],
        edits => vec![format!("changed {edits} times")],
    }
}

fn woken(whom: &[String]) -> Option<String> {
    (!whom.is_empty()).then(|| format!("wakes {}", whom.join(", ")))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn link(value: &Value) -> Option<(String, String)> {
    value.as_str().map(|url| (url.to_owned(), "Open in Sentry".to_owned()))
}

fn pairs(fields: &Value, name: &str) -> String {
    let fields = fields.as_array().map(Vec::as_slice).unwrap_or_default();
    let pair = |field: &Value| format!("{}: {}", text(&field[name]), text(&field["value"]));
    fields.iter().map(pair).collect::<Vec<_>>().join("\n")
}

fn lines<const N: usize>(texts: [String; N]) -> String {
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

fn first_line(text: &str) -> (String, String) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    (first.to_owned(), rest.to_owned())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(BODY_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_card_is_read_in_its_order() {
        let card = json!([
            {"type": "TextBlock", "text": "Title"},
            {"type": "Container", "items": [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "inner"}]}]},
            {"type": "FactSet", "facts": [{"title": "Level", "value": "error"}]},
        ]);
        let mut texts = Vec::new();
        collect_texts(&card, &mut texts);
        assert_eq!(texts, ["Title", "inner", "Level: error"]);
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ü".repeat(BODY_SHOWN_CHARS + 1)).chars().count(), BODY_SHOWN_CHARS + 1);
    }
}

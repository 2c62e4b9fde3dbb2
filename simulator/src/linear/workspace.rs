//! What is in a workspace, and what operations do to it.

use serde_json::{Map, Value, json};

use super::query::{Field, Operation};
use super::{LinearTicket, Refusal};

/// Key, id and name.
const TEAMS: [(&str, &str, &str); 2] = [
    ("ENG", "9cfb482a-81e3-4154-b5b9-2c805e70a02d", "Engineering"),
    ("DES", "5f5c0a1e-6c1b-4a2f-9d0e-8f3b7c6d5e4f", "Design"),
];
/// Id, name and display name; all are members of all teams. The last one has left.
const USERS: [(&str, &str, &str); 3] = [
    ("b8f2d6a0-3c4e-4f5a-8b6c-7d8e9f0a1b2c", "Ada Lovelace", "ada"),
    ("c9a3e7b1-4d5f-4a6b-9c7d-8e9f0a1b2c3d", "Grace Hopper", "grace"),
    ("d0b4f8c2-5e6a-4b7c-8d8e-9f0a1b2c3d4e", "Alan Turing", "alan"),
];
/// Id, name, key of its team where it is not the workspace's, and whether it is only a group of labels.
const LABELS: [(&str, &str, Option<&str>, bool); 4] = [
    ("11111111-1111-4111-8111-111111111111", "Bug", None, false),
    ("22222222-2222-4222-8222-222222222222", "backend", Some("ENG"), false),
    ("33333333-3333-4333-8333-333333333333", "colours", Some("DES"), false),
    ("44444444-4444-4444-8444-444444444444", "Area", None, true),
];
/// Type and position; the id of a team's state ends in the team's key.
const STATES: [(&str, f64); 6] =
    [("backlog", 0.0), ("unstarted", 1.0), ("started", 2.0), ("completed", 4.0), ("completed", 3.0), ("canceled", 5.0)];
const TITLE_LIMIT_CHARS: usize = 255;
/// None is documented; a longer one is nobody's text.
const TEXT_LIMIT_CHARS: usize = 100_000;

pub(super) struct Workspace {
    teams: Vec<Team>,
    labels: Vec<Label>,
    pub(super) tickets: Vec<LinearTicket>,
    pub(super) transitions: usize,
    pub(super) tokens_are_revoked: bool,
}

struct Team {
    key: String,
    id: String,
    name: String,
}

struct Label {
    id: String,
    name: String,
    /// Key of its team.
    team: Option<&'static str>,
    is_group: bool,
}

impl Default for Workspace {
    fn default() -> Self {
        let team = |(key, id, name): (&str, &str, &str)| Team { key: key.into(), id: id.into(), name: name.into() };
        let label =
            |(id, name, team, is_group): (&str, &str, _, _)| Label { id: id.into(), name: name.into(), team, is_group };
        Self {
            teams: TEAMS.map(team).into(),
            labels: LABELS.map(label).into(),
            tickets: Vec::new(),
            transitions: 0,
            tokens_are_revoked: false,
        }
    }
}

impl Workspace {
    pub(super) fn add_team(&mut self, key: &str) {
        if !self.teams.iter().any(|team| team.key.eq_ignore_ascii_case(key)) {
            let id = crate::signing::random_uuid();
            self.teams.push(Team { key: key.to_uppercase(), id, name: key.to_owned() });
        }
    }

    pub(super) fn add_label(&mut self, name: &str) {
        if !self.labels.iter().any(|label| label.name == name) {
            let id = crate::signing::random_uuid();
            self.labels.push(Label { id, name: name.to_owned(), team: None, is_group: false });
        }
    }

    pub(super) fn carry_out(&mut self, operation: &Operation) -> Result<Value, Refusal> {
        let mut data = Map::new();
        for field in &operation.fields {
            let done = if operation.is_mutation { self.change(field)? } else { self.look_up(field)? };
            data.insert(field.name.clone(), done);
        }
        Ok(Value::Object(data))
    }

    fn look_up(&self, field: &Field) -> Result<Value, Refusal> {
        let list: Vec<Value> = match &*field.name {
            "teams" => self.teams.iter().map(Team::shown).collect(),
            "issueLabels" => self.labels.iter().map(|label| self.label(label)).collect(),
            "issues" => {
                let all = field.arguments.get("includeArchived") == Some(&json!(true));
                // Newest first.
                let tickets = self.tickets.iter().rev().filter(|ticket| all || !ticket.is_in_trash);
                tickets.map(|ticket| self.issue(ticket)).collect()
            }
            other => return Err(Refusal::of_query(format!("Cannot query field \"{other}\" on type \"Query\"."))),
        };
        field.select(&Value::Array(list))
    }

    fn change(&mut self, field: &Field) -> Result<Value, Refusal> {
        let input = field.arguments.get("input").unwrap_or(&Value::Null);
        let done = match &*field.name {
            "issueCreate" => self.open(input)?,
            "issueUpdate" => {
                let ticket = self.ticket(field.arguments.get("id").unwrap_or(&Value::Null))?;
                let wanted = input["stateId"].as_str().unwrap_or_default();
                let states = states(&ticket.team);
                let state = states.iter().find(|state| state["id"] == wanted);
                let state = state.ok_or_else(|| Refusal::no_entity("WorkflowState"))?;
                state["type"].as_str().unwrap_or_default().clone_into(&mut ticket.state);
                let ticket = ticket.clone();
                self.transitions += 1;
                json!({"success": true, "issue": self.issue(&ticket)})
            }
            "commentCreate" => {
                let body = input["body"].as_str().unwrap_or_default();
                if body.trim().is_empty() || body.encode_utf16().count() > TEXT_LIMIT_CHARS {
                    return Err(Refusal::of_input("body must be a comment."));
                }
                let ticket = self.ticket(&input["issueId"])?;
                let (mentions, links) = read(body);
                ticket.comments.push(body.to_owned());
                ticket.mentions.extend(mentions);
                ticket.links.extend(links);
                json!({"success": true})
            }
            other => return Err(Refusal::of_query(format!("Cannot query field \"{other}\" on type \"Mutation\"."))),
        };
        field.select(&done)
    }

    /// By id or identifier.
    fn ticket(&mut self, id: &Value) -> Result<&mut LinearTicket, Refusal> {
        let mut tickets = self.tickets.iter_mut().filter(|ticket| !ticket.is_in_trash);
        let found = tickets.find(|ticket| *id == *ticket.id || *id == *ticket.identifier);
        found.ok_or_else(|| Refusal::no_entity("Issue"))
    }

    fn open(&mut self, input: &Value) -> Result<Value, Refusal> {
        let text = |name: &str| input[name].as_str().unwrap_or_default();
        let id = match &input["id"] {
            Value::Null => crate::signing::random_uuid(),
            id => id.as_str().unwrap_or_default().to_owned(),
        };
        let is_uuid = uuid::Uuid::parse_str(&id).is_ok_and(|id| id.get_version_num() == 4);
        if !is_uuid {
            return Err(Refusal::of_input("id must be a UUID."));
        }
        let team = self.teams.iter().find(|team| team.id == text("teamId"));
        let team = team.ok_or_else(|| Refusal::no_entity("Team"))?.key.clone();
        let title = text("title");
        if title.trim().is_empty() || title.encode_utf16().count() > TITLE_LIMIT_CHARS {
            return Err(Refusal::of_input("title must be shorter than or equal to 255 characters."));
        }
        if text("description").encode_utf16().count() > TEXT_LIMIT_CHARS {
            return Err(Refusal::of_input("description is too long."));
        }
        let mut labels = Vec::new();
        for id in input["labelIds"].as_array().into_iter().flatten() {
            let is_usable = |label: &&Label| label.team.is_none_or(|key| key == team) && !label.is_group;
            let known = self.labels.iter().filter(is_usable).find(|label| *id == *label.id);
            labels.push(known.ok_or_else(|| Refusal::no_entity("IssueLabel"))?.name.clone());
        }
        let assignee = input["assigneeId"].as_str().map(str::to_owned);
        if assignee.as_ref().is_some_and(|id| !USERS[..2].iter().any(|(known, ..)| known == id)) {
            return Err(Refusal::no_entity("User"));
        }
        if self.tickets.iter().any(|ticket| ticket.id == id) {
            return Err(Refusal::of_input("Entity Issue with this id already exists."));
        }
        let number = self.tickets.iter().filter(|ticket| ticket.team == team).count() + 1;
        let (mentions, links) = read(text("description"));
        let ticket = LinearTicket {
            id,
            identifier: format!("{team}-{number}"),
            team,
            title: title.to_owned(),
            text: text("description").to_owned(),
            labels,
            assignee,
            state: "unstarted".to_owned(),
            comments: Vec::new(),
            mentions,
            links,
            is_in_trash: false,
        };
        let opened = self.issue(&ticket);
        self.tickets.push(ticket);
        Ok(json!({"success": true, "issue": opened}))
    }

    fn label(&self, label: &Label) -> Value {
        let team = label.team.and_then(|key| self.teams.iter().find(|team| team.key == key));
        json!({"id": label.id, "name": label.name, "team": team.map(Team::shown), "isGroup": label.is_group})
    }

    fn issue(&self, ticket: &LinearTicket) -> Value {
        let number: u64 =
            ticket.identifier.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        let team = self.teams.iter().find(|team| team.key == ticket.team).map(Team::shown);
        json!({
            "id": ticket.id, "identifier": ticket.identifier, "number": number, "title": ticket.title,
            "description": ticket.text, "url": format!("https://linear.app/acme/issue/{}/slug", ticket.identifier),
            "trashed": if ticket.is_in_trash { json!(true) } else { Value::Null }, "team": team,
            "state": {"type": ticket.state},
        })
    }
}

impl Team {
    fn shown(&self) -> Value {
        let users = USERS.iter().enumerate();
        let members: Vec<Value> = users
            .map(|(at, (id, name, shown))| json!({"id": id, "name": name, "displayName": shown, "active": at < 2}))
            .collect();
        let Self { key, id, name } = self;
        json!({"id": id, "key": key, "name": name, "members": members, "states": states(key)})
    }
}

pub(super) fn name_of(user: &str) -> Option<&'static str> {
    USERS.iter().find(|(id, ..)| *id == user).map(|(_, name, _)| *name)
}

fn states(team: &str) -> Vec<Value> {
    let states = STATES.iter().enumerate();
    states
        .map(|(at, (kind, position))| json!({"id": format!("state-{at}-{team}"), "type": kind, "position": position}))
        .collect()
}

/// Whom Markdown mentions and where it links to. A name behind an `@` counts wherever it stands.
fn read(markdown: &str) -> (Vec<String>, Vec<String>) {
    let names = markdown.split('@').skip(1).map(|behind| {
        behind.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')).collect::<String>()
    });
    let mut mentions: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    let mut links = Vec::new();
    let mut fence: Option<usize> = None;
    for line in markdown.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            Some(length) if ticks >= length && line.trim_end().len() == ticks => fence = None,
            Some(_) => {}
            None if ticks >= 3 => fence = Some(ticks),
            None => {
                let words = line.split(|c: char| c.is_whitespace() || "()<>[]".contains(c));
                links.extend(words.filter(|word| word.contains("://")).map(str::to_owned));
            }
        }
    }
    let profiles = links.iter().filter_map(|link| link.split_once("linear.app/")?.1.split_once("/profiles/"));
    mentions.extend(profiles.map(|(_, name)| name.to_owned()));
    (mentions, links)
}

//! Linear, by its GraphQL API: <https://linear.app/developers/graphql>. Its teams are the projects, named by their keys.
//!
//! A ticket's id is made from its marker, so that Linear itself refuses to open it twice; and by that id it is found.

mod answer;
#[cfg(test)]
mod tests;
mod text;

use async_trait::async_trait;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::answer::{ask, list};
use super::text::{some_text, some_title};
use super::{Api, Choice, NewTicket, Ticket, Tracker, TrackerError, TrackerKind};
use crate::destinations::kind::{Key, Takes};
use crate::destinations::one_line;

const MAX_TITLE: usize = 255;

pub(super) static KIND: TrackerKind = TrackerKind {
    name: "linear",
    keys: &[Key::new("token", Takes::Secret)],
    needs: &["token"],
    projects_key: "projects",
    project_form: None,
    max_title: MAX_TITLE,
    max_text: text::MAX,
    tracker: &Linear,
};

// What differs between calls goes into variables and never into these.
const TEAMS: &str =
    "query($filter: TeamFilter) { teams(filter: $filter, first: 50, orderBy: updatedAt) { nodes { key name } } }";
// A list of a team that there is not would be empty, so the team is asked for along with it.
const LABELS: &str = "query($team: TeamFilter, $filter: IssueLabelFilter) { \
    teams(filter: $team, first: 1) { nodes { id } } \
    issueLabels(filter: $filter, first: 100) { nodes { name isGroup } } }";
const MEMBERS: &str = "query($team: TeamFilter, $filter: UserFilter) { teams(filter: $team, first: 1) { nodes { \
    members(filter: $filter, first: 50) { nodes { id name } } } } }";
const TICKETS: &str = "query($team: TeamFilter, $filter: IssueFilter) { \
    teams(filter: $team, first: 1) { nodes { id } } \
    issues(filter: $filter, includeArchived: false, first: 50, orderBy: createdAt) { \
    nodes { identifier title state { type } } } }";
const ISSUES: &str = "query($filter: IssueFilter) { \
    issues(filter: $filter, includeArchived: true, first: 50, orderBy: createdAt) { \
    nodes { id identifier url trashed team { key } } } }";
const TEAM_AND_LABELS: &str = "query($team: TeamFilter, $labels: IssueLabelFilter) { \
    teams(filter: $team, first: 1) { nodes { id } } \
    issueLabels(filter: $labels, first: 100) { nodes { id name isGroup } } }";
const STATES: &str = "query($filter: IssueFilter, $states: WorkflowStateFilter) { \
    issues(filter: $filter, includeArchived: true, first: 1) { nodes { id state { type } \
    team { states(filter: $states, first: 50) { nodes { id type position } } } } } }";
const OPEN: &str = "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { success \
    issue { id identifier url team { key } } } }";
const MOVE: &str =
    "mutation($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }";
const COMMENT: &str = "mutation($input: CommentCreateInput!) { commentCreate(input: $input) { success } }";

struct Linear;

#[async_trait]
impl Tracker for Linear {
    async fn projects(&self, api: &Api<'_>, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let query = one_line(query, 100);
        let filter = json!({"or": [{"name": holding(&query)}, {"key": holding(&query)}]});
        let filter = if query.is_empty() { json!({}) } else { filter };
        let data = ask(api, TEAMS, json!({"filter": filter}), "teams").await?;
        let teams = list(&data["teams"]).filter_map(|team| Some((team["key"].as_str()?, team["name"].as_str()?)));
        Ok(teams.map(|(key, name)| Choice::new(key, format!("{} ({key})", one_line(name, 80)))).collect())
    }

    async fn labels(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let key = team_key(project)?;
        let query = one_line(query, 100);
        let mut filter = labels_of(&key);
        if !query.is_empty() {
            filter["name"] = holding(&query);
        }
        let data = ask(api, LABELS, json!({"team": of_key(&key), "filter": filter}), &key).await?;
        the_team(&data, &key)?;
        let names = list(&data["issueLabels"]).filter(|label| label["isGroup"] != true);
        Ok(names.filter_map(|label| Some(Choice::new(label["name"].as_str()?, label["name"].as_str()?))).collect())
    }

    async fn assignees(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let key = team_key(project)?;
        let query = one_line(query, 100);
        let mut filter = json!({"active": {"eq": true}});
        if !query.is_empty() {
            filter["or"] = json!([{"name": holding(&query)}, {"displayName": holding(&query)}]);
        }
        let data = ask(api, MEMBERS, json!({"team": of_key(&key), "filter": filter}), &key).await?;
        let people = list(&the_team(&data, &key)?["members"])
            .filter_map(|user| Some((user["id"].as_str()?, user["name"].as_str()?)));
        Ok(people.map(|(id, name)| Choice::new(id, one_line(name, 80))).collect())
    }

    async fn tickets(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let key = team_key(project)?;
        let query = one_line(query, 200);
        let mut filter = json!({"team": of_key(&key)});
        if let Some((team, number)) = named(&key, &query) {
            filter["or"] = json!([{"title": holding(&query)}]);
            if team == key {
                filter["or"] = json!([{"number": {"eq": number}}, {"title": holding(&query)}]);
            }
        } else if !query.is_empty() {
            filter["title"] = holding(&query);
        }
        let data = ask(api, TICKETS, json!({"team": of_key(&key), "filter": filter}), &key).await?;
        the_team(&data, &key)?;
        let mut issues: Vec<&Value> = list(&data["issues"]).collect();
        issues.sort_by_key(|issue| is_closed(issue));
        let choice = |issue: &Value| {
            let identifier = issue["identifier"].as_str()?;
            Some(Choice::new(identifier, format!("{identifier} {}", one_line(issue["title"].as_str()?, 80))))
        };
        Ok(issues.into_iter().filter_map(choice).collect())
    }

    async fn read(&self, api: &Api<'_>, project: &str, id: &str) -> Result<Ticket, TrackerError> {
        let key = team_key(project)?;
        let not_found = || TrackerError::NotFound(one_line(id, 80));
        // Which teams may be used was asked of the one that was named, and not of another in the identifier.
        let (_, number) = named(&key, id).filter(|(team, _)| *team == key).ok_or_else(not_found)?;
        let filter = json!({"team": of_key(&key), "number": {"eq": number}});
        let data = ask(api, ISSUES, json!({"filter": filter}), &key).await?;
        let mut issues = list(&data["issues"]).filter(|issue| issue["trashed"] != true);
        ticket(issues.next().ok_or_else(not_found)?)
    }

    async fn find(&self, api: &Api<'_>, project: &str, marker: &str) -> Result<Option<Ticket>, TrackerError> {
        let key = team_key(project)?;
        let either = json!([{"id": {"eq": id_of(marker)}}, {"description": {"contains": marker}}]);
        let filter = json!({"team": of_key(&key), "or": either});
        let data = ask(api, ISSUES, json!({"filter": filter}), &key).await?;
        list(&data["issues"]).find(|issue| issue["trashed"] != true).map(ticket).transpose()
    }

    async fn open(&self, api: &Api<'_>, new: &NewTicket) -> Result<Ticket, TrackerError> {
        let key = team_key(&new.project)?;
        let wanted: Vec<String> = new.labels.iter().map(|label| one_line(label, 80)).collect();
        let mut labels = labels_of(&key);
        labels["name"] = json!({"in": wanted});
        let data = ask(api, TEAM_AND_LABELS, json!({"team": of_key(&key), "labels": labels}), &key).await?;
        let team = the_team(&data, &key)?;
        let mut label_ids = Vec::new();
        for name in &wanted {
            let mut known = list(&data["issueLabels"]).filter(|label| label["isGroup"] != true);
            let Some(label) = known.find(|label| label["name"] == **name) else {
                let reason = format!("{key} has no label `{name}`: make it there, or leave it out");
                return Err(TrackerError::Refused { status: 400, reason });
            };
            if !label_ids.contains(&&label["id"]) {
                label_ids.push(&label["id"]);
            }
        }
        let id = id_of(&new.marker);
        let title = one_line(&new.title, MAX_TITLE);
        let mut input = json!({
            "id": id,
            "teamId": team["id"],
            "title": some_title(&title),
            "description": text::markdown(&new.text, new.link.as_deref(), Some(&new.marker)),
            "labelIds": label_ids,
        });
        if let Some(assignee) = &new.assignee {
            input["assigneeId"] = json!(assignee);
        }
        match ask(api, OPEN, json!({"input": input}), &key).await {
            Ok(data) if data["issueCreate"]["success"] == true => ticket(&data["issueCreate"]["issue"]),
            Ok(_) => Err(unexplained()),
            // It may be refused because it is there already: whatever is said then, that is looked for.
            Err(refused @ TrackerError::Refused { .. }) => {
                let filter = json!({"id": {"eq": id}});
                let data = ask(api, ISSUES, json!({"filter": filter}), &key).await?;
                match list(&data["issues"]).next() {
                    Some(issue) if issue["trashed"] == true => Err(in_the_trash(issue)),
                    Some(issue) => ticket(issue),
                    None => Err(refused),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn comment(&self, api: &Api<'_>, ticket: &Ticket, text: &str) -> Result<(), TrackerError> {
        let text = some_text(text);
        let id = if ticket.id.is_empty() { &ticket.identifier } else { &ticket.id };
        let input = json!({"issueId": id, "body": text::markdown(text, None, None)});
        let data = ask(api, COMMENT, json!({"input": input}), &ticket.identifier).await?;
        if data["commentCreate"]["success"] == true { Ok(()) } else { Err(unexplained()) }
    }

    async fn close(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError> {
        move_to(api, ticket, &["completed"], is_closed).await
    }

    async fn reopen(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError> {
        move_to(api, ticket, &["unstarted", "backlog"], |issue| !is_closed(issue)).await
    }
}

/// Moves to the first state of these types, the types in order, unless it `is_there` already.
async fn move_to(
    api: &Api<'_>,
    ticket: &Ticket,
    types: &[&str],
    is_there: fn(&Value) -> bool,
) -> Result<(), TrackerError> {
    let not_found = || TrackerError::NotFound(one_line(&ticket.identifier, 80));
    let filter = if ticket.id.is_empty() {
        let (team, number) = named(&ticket.project, &ticket.identifier).ok_or_else(not_found)?;
        json!({"team": of_key(&team), "number": {"eq": number}})
    } else {
        json!({"id": {"eq": ticket.id}})
    };
    let variables = json!({"filter": filter, "states": {"type": {"in": types}}});
    let data = ask(api, STATES, variables, &ticket.identifier).await?;
    let issue = list(&data["issues"]).next().ok_or_else(not_found)?;
    if is_there(issue) {
        return Ok(());
    }
    let position = |state: &&Value| state["position"].as_f64().unwrap_or_default();
    let first_of = |kind: &&str| {
        let states = list(&issue["team"]["states"]).filter(|state| state["type"] == **kind);
        states.min_by(|a, b| position(a).total_cmp(&position(b)))
    };
    let Some(state) = types.iter().find_map(first_of) else {
        let reason = format!("the team of {} has no state of the type {}", ticket.identifier, types.join(" or "));
        return Err(TrackerError::Refused { status: 409, reason });
    };
    let variables = json!({"id": issue["id"], "input": {"stateId": state["id"]}});
    let data = ask(api, MOVE, variables, &ticket.identifier).await?;
    if data["issueUpdate"]["success"] == true { Ok(()) } else { Err(unexplained()) }
}

fn ticket(issue: &Value) -> Result<Ticket, TrackerError> {
    let text = |value: &Value| {
        let missing = || TrackerError::NotUnderstood("an issue without its names".to_owned());
        value.as_str().map(str::to_owned).ok_or_else(missing)
    };
    Ok(Ticket {
        project: text(&issue["team"]["key"])?,
        identifier: text(&issue["identifier"])?,
        id: text(&issue["id"])?,
        url: text(&issue["url"])?,
    })
}

fn is_closed(issue: &Value) -> bool {
    matches!(issue["state"]["type"].as_str(), Some("completed" | "canceled" | "duplicate"))
}

fn unexplained() -> TrackerError {
    TrackerError::Refused { status: 400, reason: "no reason given".to_owned() }
}

fn in_the_trash(issue: &Value) -> TrackerError {
    let identifier = issue["identifier"].as_str().unwrap_or("the ticket");
    let reason = format!("this issue's ticket, {identifier}, was deleted and lies in the trash: restore it there");
    TrackerError::Refused { status: 409, reason }
}

/// The same for every try to open the ticket of this marker; as Linear wants it, of version 4.
fn id_of(marker: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(marker).into();
    let (first, _) = hash.split_first_chunk().expect("32 are more than 16");
    uuid::Builder::from_random_bytes(*first).into_uuid().to_string()
}

fn team_key(project: &str) -> Result<String, TrackerError> {
    let is_key = (1..=20).contains(&project.len()) && project.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_key { Ok(project.to_ascii_uppercase()) } else { Err(TrackerError::NotFound(one_line(project, 80))) }
}

/// Team and number of the ticket that a person means: `12`, `#12`, `ENG-12` or the ticket's address.
fn named(key: &str, id: &str) -> Option<(String, u32)> {
    let id = id.trim();
    let page = id.strip_prefix("https://linear.app/").and_then(|path| path.split_once("/issue/"));
    let id = page.map_or(id, |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    let id = id.strip_prefix('#').unwrap_or(id);
    let (team, number) = match id.split_once('-') {
        Some((team, number)) => (team_key(team).ok()?, number),
        None => (key.to_ascii_uppercase(), id),
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    Some((team, number.parse().ok().filter(|_| is_number)?))
}

/// The filter of a team.
fn of_key(key: &str) -> Value {
    json!({"key": {"eq": key}})
}

/// The team that was asked for along with what is its.
fn the_team<'d>(data: &'d Value, key: &str) -> Result<&'d Value, TrackerError> {
    list(&data["teams"]).next().ok_or_else(|| TrackerError::NotFound(key.to_owned()))
}

fn holding(query: &str) -> Value {
    json!({"containsIgnoreCase": query})
}

/// The labels of a team and those of the whole workspace.
fn labels_of(key: &str) -> Value {
    json!({"or": [{"team": {"null": true}}, {"team": of_key(key)}]})
}

//! Jira, in the cloud (`email` is given: Basic authentication, `/rest/api/3`, text as documents) and in a data center
//! (none is: personal access token, `/rest/api/2`, text as wiki markup). Cloud:
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/>, data center:
//! <https://docs.atlassian.com/software/jira/docs/api/REST/9.12.0/>.
//!
//! A ticket is found again by its marker, which is a label of it (exact, and indexed with the ticket) and stands in its
//! text (for projects whose create screen has no labels). Both are found by searching, which lags: in the cloud by seconds
//! (<https://developer.atlassian.com/cloud/jira/platform/search-and-reconcile/>), in a data center between its nodes. A
//! search can be told what it may not know yet (`reconcileIssues`), but by its id only. So in the cloud the keys behind the
//! newest that the search knows are read, too.

mod site;
#[cfg(test)]
mod tests;
mod text;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::site::{Refusal, Site};
use super::text::{some_text, some_title};
use super::{Api, Choice, NewTicket, Ticket, Tracker, TrackerError, TrackerKind};
use crate::destinations::kind::{Key, Takes};
use crate::destinations::one_line;

const MAX_TITLE: usize = 255;
const MAX_LABEL: usize = 255;
const MARKER: &str = "sentry-switchboard-";
/// Entries of a listing, which a person narrows down by typing.
const LISTED: usize = 50;
/// Keys behind the newest that the search knows.
const NEWER: u64 = 20;
/// Pages of labels that are looked through, each of [`LABELS_A_PAGE`].
const LABEL_PAGES: usize = 5;
const LABELS_A_PAGE: usize = 1000;
/// What every project of a template in English has.
const ISSUE_TYPE: &str = "Task";

pub(super) static KIND: TrackerKind = TrackerKind {
    name: "jira",
    keys: &[
        Key::new("url", Takes::Text),
        Key::new("email", Takes::Text),
        Key::new("token", Takes::Secret),
        Key::new("issue_type", Takes::Text),
    ],
    needs: &["url", "token"],
    projects_key: "projects",
    project_form: None,
    max_title: MAX_TITLE,
    max_text: text::MAX,
    tracker: &Jira,
};

struct Jira;

#[async_trait]
impl Tracker for Jira {
    async fn projects(&self, api: &Api<'_>, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let site = Site::of(api)?;
        let query = one_line(query, 100);
        let found = if site.is_cloud {
            let mut asked = vec![("maxResults", "50"), ("orderBy", "-lastIssueUpdatedTime")];
            if !query.is_empty() {
                asked.push(("query", &query));
            }
            site.get("project/search", &asked, "project").await?["values"].clone()
        } else {
            site.get("project", &[], "project").await?
        };
        let projects = list(&found).filter_map(|project| Some((project["key"].as_str()?, project["name"].as_str()?)));
        let fitting = projects.filter(|(key, name)| fits(key, &query) || fits(name, &query));
        Ok(fitting.map(|(key, name)| Choice::new(key, format!("{} ({key})", one_line(name, 80)))).collect())
    }

    async fn labels(&self, api: &Api<'_>, _project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let site = Site::of(api)?;
        let mut choices = Vec::new();
        // A data center has no list of them. A person can still write one.
        let pages = if site.is_cloud { LABEL_PAGES } else { 0 };
        let mut start = 0;
        for _ in 0..pages {
            let asked = [("startAt", &*start.to_string()), ("maxResults", &*LABELS_A_PAGE.to_string())];
            let page = site.get("label", &asked, "label").await?;
            let labels = list(&page["values"]).filter_map(Value::as_str);
            let fitting = labels.filter(|label| fits(label, query.trim()) && !label.starts_with(MARKER));
            choices.extend(fitting.map(|label| Choice::new(label, label)));
            let taken = list(&page["values"]).count();
            if page["isLast"] == true || taken == 0 || choices.len() >= LISTED {
                break;
            }
            start += taken;
        }
        Ok(choices)
    }

    async fn assignees(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let site = Site::of(api)?;
        let project = project_key(project)?;
        let (by, value) = if site.is_cloud { ("query", "accountId") } else { ("username", "name") };
        let asked = [("project", project), (by, query.trim()), ("maxResults", "50")];
        let found = site.get("user/assignable/search", &asked, project).await?;
        let people = list(&found).filter(|user| user["active"] != false && user["accountType"] != "app");
        let named = people.filter_map(|user| Some((user[value].as_str()?, user["displayName"].as_str()?)));
        Ok(named.map(|(value, name)| Choice::new(value, one_line(name, 80))).collect())
    }

    async fn tickets(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let site = Site::of(api)?;
        let project = project_key(project)?;
        let mut found = Vec::new();
        // A key is read and not searched for: a search for one that is not there is refused as a whole.
        if let Ok(key) = site.key_of(project, query)
            && let Ok(issue) = site.issue(&key, "summary,status,project").await
            && is_of(&issue, project)
        {
            found.push(issue);
        }
        let words = search_words(query);
        if query.trim().is_empty() || !words.is_empty() {
            // What is typed may be the beginning of a word.
            let holding = words.iter().map(|word| format!("summary ~ {}", quoted(&format!("{word}*"))));
            let conditions: Vec<String> =
                std::iter::once(format!("project = {}", quoted(project))).chain(holding).collect();
            let jql = format!("{} ORDER BY created DESC", conditions.join(" AND "));
            let mut issues = site.search(&jql, &["summary", "status", "project"], project).await?;
            issues.sort_by_key(|issue| category(issue) == Some("done"));
            issues.retain(|issue| found.iter().all(|known| known["key"] != issue["key"]));
            found.extend(issues);
        }
        let entry = |issue: &Value| {
            let key = issue["key"].as_str()?;
            Some(Choice::new(key, format!("{key} {}", one_line(issue["fields"]["summary"].as_str()?, 80))))
        };
        Ok(found.iter().filter_map(entry).collect())
    }

    async fn read(&self, api: &Api<'_>, project: &str, id: &str) -> Result<Ticket, TrackerError> {
        let site = Site::of(api)?;
        let project = project_key(project)?;
        let key = site.key_of(project, id)?;
        let issue = site.issue(&key, "project").await?;
        // Which projects may be used was asked of the project that was named, and not of where it leads.
        if !is_of(&issue, project) {
            return Err(TrackerError::NotFound(key));
        }
        site.ticket(&issue)
    }

    async fn find(&self, api: &Api<'_>, project: &str, marker: &str) -> Result<Option<Ticket>, TrackerError> {
        let site = Site::of(api)?;
        let project = project_key(project)?;
        let jql = format!(
            "project = {} AND (labels = {} OR description ~ {}) ORDER BY created ASC",
            quoted(project),
            quoted(marker),
            quoted(&format!("\"{marker}\"")),
        );
        let issues = site.search(&jql, &["labels", "description", "project"], project).await?;
        // What a search in texts finds is only like what was looked for.
        let holds = |issue: &&Value| {
            let fields = &issue["fields"];
            list(&fields["labels"]).any(|label| label == marker) || fields["description"].to_string().contains(marker)
        };
        if let Some(issue) = issues.iter().find(holds) {
            return site.ticket(issue).map(Some);
        }
        let newer = if site.is_cloud { newer_than_the_search(&site, project).await? } else { Vec::new() };
        let mut newer = newer.iter().filter(|issue| is_of(issue, project));
        newer.find(holds).map(|issue| site.ticket(issue)).transpose()
    }

    async fn open(&self, api: &Api<'_>, new: &NewTicket) -> Result<Ticket, TrackerError> {
        let site = Site::of(api)?;
        let project = project_key(&new.project)?;
        let issue_type = api.settings.text("issue_type").map_or(ISSUE_TYPE, str::trim);
        let title = one_line(&new.title, MAX_TITLE);
        let mut labels = vec![new.marker.clone()];
        for label in new.labels.iter().map(|label| label_of(label)).filter(|label| !label.is_empty()) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        let mut fields = json!({
            "project": {"key": project},
            "issuetype": {"name": issue_type},
            "summary": some_title(&title),
            "description": site.text(&new.text, new.link.as_deref(), Some(&new.marker)),
            "labels": labels,
        });
        if let Some(assignee) = &new.assignee {
            fields["assignee"] = json!({if site.is_cloud { "accountId" } else { "name" }: assignee});
        }
        let mut made = site.post("issue", &json!({"fields": fields}), project).await?;
        // The marker stands in the text as well; what a person or the file asked for is not left out.
        if matches!(&made, Err(refusal) if refusal.is_about("labels")) && labels.len() == 1 {
            if let Some(fields) = fields.as_object_mut() {
                fields.remove("labels");
            }
            made = site.post("issue", &json!({"fields": fields}), project).await?;
        }
        match made {
            Ok(issue) => site.ticket_of(&issue, project),
            Err(refusal) if refusal.is_about("project") => Err(TrackerError::NotFound(project.to_owned())),
            Err(refusal) if refusal.is_about("issuetype") => {
                Err(no_such_type(&site, project, issue_type, refusal).await)
            }
            Err(refusal) => Err(refusal.error),
        }
    }

    async fn comment(&self, api: &Api<'_>, ticket: &Ticket, text: &str) -> Result<(), TrackerError> {
        let site = Site::of(api)?;
        let text = some_text(text);
        let path = format!("issue/{}/comment", issue_id(ticket)?);
        let said = site.post(&path, &json!({"body": site.text(text, None, None)}), &ticket.identifier).await?;
        said.map(drop).map_err(|refusal| refusal.error)
    }

    async fn close(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError> {
        move_to(&Site::of(api)?, ticket, &["done"], "Done").await
    }

    async fn reopen(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError> {
        move_to(&Site::of(api)?, ticket, &["new", "indeterminate"], "To Do or In Progress").await
    }
}

/// The tickets that were opened since the search has learned of any.
async fn newer_than_the_search(site: &Site<'_>, project: &str) -> Result<Vec<Value>, TrackerError> {
    let jql = format!("project = {} ORDER BY key DESC", quoted(project));
    let known = site.search(&jql, &["project"], project).await?;
    let number = |issue: &Value| -> Option<u64> { issue["key"].as_str()?.rsplit_once('-')?.1.parse().ok() };
    let newest = known.iter().filter_map(number).max().unwrap_or_default();
    let keys: Vec<String> = (1..=NEWER).map(|n| format!("{project}-{}", newest.saturating_add(n))).collect();
    let body = json!({"issueIdsOrKeys": keys, "fields": ["labels", "description", "project"]});
    match site.post("issue/bulkfetch", &body, project).await {
        Ok(Ok(fetched)) => Ok(list(&fetched["issues"]).cloned().collect()),
        // Where that is not to be had, the search must do.
        Ok(Err(Refusal { error, .. }))
        | Err(error @ (TrackerError::Forbidden(_) | TrackerError::NotFound(_) | TrackerError::Refused { .. })) => {
            tracing::warn!("Jira lets nobody look behind its search: {error}");
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Takes the first transition to one of these categories of states, the categories in order; nothing where it stands in
/// one of them.
async fn move_to(site: &Site<'_>, ticket: &Ticket, to: &[&str], shown: &str) -> Result<(), TrackerError> {
    let id = issue_id(ticket)?;
    let issue = site.issue_named(id, "status", &ticket.identifier).await?;
    if category(&issue).is_some_and(|here| to.contains(&here)) {
        return Ok(());
    }
    let path = format!("issue/{id}/transitions");
    let listed = site.get(&path, &[], &ticket.identifier).await?;
    let leads_to = |category: &str| {
        let mut transitions = list(&listed["transitions"]);
        transitions.find(|transition| transition["to"]["statusCategory"]["key"] == category)
    };
    let Some(transition) = to.iter().find_map(|category| leads_to(category)) else {
        let reason = format!(
            "its workflow lets the token's user take {} to no state of the category {shown}: do it by hand, or add a transition",
            ticket.identifier
        );
        return Err(TrackerError::Refused { status: 409, reason });
    };
    let moved = site.post(&path, &json!({"transition": {"id": transition["id"]}}), &ticket.identifier).await?;
    moved.map(drop).map_err(|refusal| refusal.error)
}

/// Says which types there are.
async fn no_such_type(site: &Site<'_>, project: &str, asked: &str, refusal: Refusal) -> TrackerError {
    let Ok(found) = site.get(&format!("project/{project}"), &[], project).await else {
        return refusal.error;
    };
    let types = list(&found["issueTypes"]).filter(|known| known["subtask"] != true);
    let names: Vec<String> = types.filter_map(|known| Some(one_line(known["name"].as_str()?, 40))).collect();
    let asked = one_line(asked, 40);
    let reason = format!(
        "{project} takes no issue of the type `{asked}`: its operator must set `issue_type` to one of {}",
        names.join(", ")
    );
    TrackerError::Refused { status: 400, reason: one_line(&reason, 400) }
}

/// A key that can stand in a path and in quotes.
fn project_key(project: &str) -> Result<&str, TrackerError> {
    let is_key = project.starts_with(|c: char| c.is_ascii_alphabetic())
        && project.len() <= 255
        && project.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_key { Ok(project) } else { Err(TrackerError::NotFound(one_line(project, 80))) }
}

/// What the API calls a ticket: its number, which it keeps when it is moved to another project, else its key.
fn issue_id(ticket: &Ticket) -> Result<&str, TrackerError> {
    let id = if ticket.id.is_empty() { &ticket.identifier } else { &ticket.id };
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_id { Ok(id) } else { Err(TrackerError::NotFound(one_line(&ticket.identifier, 80))) }
}

fn is_of(issue: &Value, project: &str) -> bool {
    issue["fields"]["project"]["key"].as_str().is_some_and(|key| key.eq_ignore_ascii_case(project))
}

fn category(issue: &Value) -> Option<&str> {
    issue["fields"]["status"]["statusCategory"]["key"].as_str()
}

/// Jira takes no label with a space.
fn label_of(label: &str) -> String {
    let visible = one_line(label, MAX_LABEL);
    visible.split_whitespace().collect::<Vec<_>>().join("-")
}

/// The words of what a person typed, in which nothing is an operator, a wildcard or a field.
fn search_words(query: &str) -> Vec<String> {
    let words = query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(8).map(|word| one_line(word, 60).trim_end_matches('…').to_lowercase()).collect()
}

/// A text of JQL.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn fits(text: &str, query: &str) -> bool {
    text.to_lowercase().contains(&query.to_lowercase())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

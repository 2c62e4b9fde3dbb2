//! What calls do to the tickets of a site.

use axum::response::IntoResponse as _;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Call, Done, FETCHED_AT_MOST, FIRST_ID, JiraTicket, LABEL_LIMIT_CHARS, Refusal, STATES, SUMMARY_LIMIT_CHARS, Site,
    USERS, answer, jql, object, status, text,
};

impl Site {
    /// Key and name. The case of a key does not matter.
    pub(super) fn project(&self, key: &str) -> Option<(&str, &str)> {
        let found = self.projects.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
        found.map(|(key, name)| (&**key, &**name))
    }

    pub(super) fn found(&self, jql: &str, fields: &[&str]) -> Result<Vec<Value>, Refusal> {
        let search =
            jql::Search::read(jql, |key| self.project(key).is_some()).map_err(|text| Refusal::whole(400, text))?;
        // Newest first, which is all that is asked for.
        let known = self.indexed.map_or(self.tickets.len(), |count| count.min(self.tickets.len()));
        Ok(self.tickets[..known]
            .iter()
            .rev()
            .filter(|ticket| search.takes(ticket))
            .map(|ticket| self.shown(ticket, fields))
            .collect())
    }

    /// Many at once, by id or key: those that there are. It is no search and lags behind nothing.
    pub(super) fn fetched(&self, body: &Value) -> Done {
        let texts = |name: &str| -> Vec<&str> {
            body[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let (asked, fields) = (texts("issueIdsOrKeys"), texts("fields"));
        if asked.is_empty() || asked.len() > FETCHED_AT_MOST {
            return Err(Refusal::whole(400, "The number of issues must be between 1 and 100."));
        }
        let is_asked = |ticket: &&JiraTicket| {
            asked.iter().any(|name| ticket.key.eq_ignore_ascii_case(name) || self.id_of(ticket) == **name)
        };
        let issues: Vec<Value> =
            self.tickets.iter().filter(is_asked).map(|ticket| self.shown(ticket, &fields)).collect();
        Ok(answer(200, &json!({"issues": issues, "issueErrors": []})))
    }

    fn shown(&self, ticket: &JiraTicket, fields: &[&str]) -> Value {
        let all = [
            ("summary", json!(ticket.title)),
            ("project", json!({"key": ticket.project})),
            ("status", status(&ticket.state)),
            ("labels", json!(ticket.labels)),
            ("description", ticket.description.clone()),
        ];
        let asked =
            all.into_iter().filter(|(name, _)| fields.contains(name)).map(|(name, value)| (name.to_owned(), value));
        json!({"id": self.id_of(ticket), "key": ticket.key, "fields": asked.collect::<Map<_, _>>()})
    }

    fn id_of(&self, ticket: &JiraTicket) -> String {
        let at = self.tickets.iter().position(|known| known.key == ticket.key).unwrap_or_default();
        (FIRST_ID + at).to_string()
    }

    pub(super) fn open(&mut self, body: &Value, cloud: bool) -> Done {
        let fields = &body["fields"];
        let mut wrong = Vec::new();
        let mut refuse = |name: &str, text: String| wrong.push((name.to_owned(), text));
        let found = self.project(fields["project"]["key"].as_str().unwrap_or_default());
        let found = found.map(|(key, _)| key.to_owned());
        if found.is_none() {
            refuse("project", "valid project is required".into());
        }
        let issue_type = fields["issuetype"]["name"].as_str().unwrap_or_default();
        if !self.types.iter().any(|known| known == issue_type) {
            refuse("issuetype", "Specify a valid issue type".into());
        }
        let title = fields["summary"].as_str().unwrap_or_default();
        if title.trim().is_empty() {
            refuse("summary", "You must specify a summary of the issue.".into());
        } else if title.contains(['\n', '\r']) {
            refuse("summary", "The summary is invalid because it contains newline characters.".into());
        } else if title.encode_utf16().count() > SUMMARY_LIMIT_CHARS {
            refuse("summary", "Summary can't exceed 255 characters.".into());
        }
        let read = text::read(&fields["description"], cloud);
        match &read {
            Err(text::Bad::NoDocument) if !cloud => refuse("description", "Operation value must be a string".into()),
            Err(text::Bad::NoDocument) => refuse(
                "description",
                "Operation value must be an Atlassian Document (see the Atlassian Document Format)".into(),
            ),
            Err(text::Bad::Malformed) => return Err(Refusal::whole(400, "INVALID_INPUT")),
            Err(text::Bad::TooLong) if cloud => refuse("description", "CONTENT_LIMIT_EXCEEDED".into()),
            Err(text::Bad::TooLong) => refuse(
                "description",
                "The entered text is too long. It exceeds the allowed limit of 32,767 characters.".into(),
            ),
            Ok(_) => {}
        }
        let labels: Vec<String> = fields["labels"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|label| label.as_str().unwrap_or_default().to_owned())
            .collect();
        if self.labels_are_off_the_screen && !labels.is_empty() {
            refuse("labels", "Field 'labels' cannot be set. It is not on the appropriate screen, or unknown.".into());
        } else if let Some(label) = labels.iter().find(|label| label.contains(char::is_whitespace) || label.is_empty())
        {
            refuse("labels", format!("The label '{label}' contains spaces which is invalid."));
        } else if let Some(label) = labels.iter().find(|label| label.chars().count() > LABEL_LIMIT_CHARS) {
            refuse("labels", format!("The label '{label}' exceeds 255 characters."));
        }
        let named = &fields["assignee"][if cloud { "accountId" } else { "name" }];
        let assignee = named.as_str().map(str::to_owned);
        if let Some(assignee) = &assignee
            && !USERS.iter().any(|(account, name, _)| assignee == if cloud { account } else { name })
        {
            refuse("assignee", format!("User '{assignee}' cannot be assigned issues."));
        }
        let (Some(project), Ok(read), true) = (found, read, wrong.is_empty()) else {
            return Err(Refusal(400, Vec::new(), wrong));
        };
        let number = self.tickets.iter().filter(|ticket| ticket.project == project).count() + 1;
        let ticket = JiraTicket {
            key: format!("{project}-{number}"),
            project,
            issue_type: issue_type.to_owned(),
            title: title.to_owned(),
            text: read.shown,
            labels,
            assignee,
            state: STATES[0].1.to_owned(),
            comments: Vec::new(),
            mentions: read.mentions,
            links: read.links,
            description: fields["description"].clone(),
        };
        self.tickets.push(ticket.clone());
        Ok(answer(201, &json!({"id": self.id_of(&ticket), "key": ticket.key, "self": "https://jira.test/"})))
    }

    pub(super) fn of_issue(
        &mut self,
        method: &Method,
        id: &str,
        rest: &[&str],
        call: &Call,
        fields: &str,
        cloud: bool,
    ) -> Done {
        let named =
            |at: usize, ticket: &JiraTicket| ticket.key.eq_ignore_ascii_case(id) || (FIRST_ID + at).to_string() == id;
        let at = (0..self.tickets.len()).find(|at| named(*at, &self.tickets[*at])).ok_or_else(Refusal::no_issue)?;
        let closes = !self.cannot_be_done;
        let here = self.tickets[at].state.clone();
        let open_to = |category: &str, name: &str| name != here && (closes || category != "done");
        match (method, rest) {
            (&Method::GET, []) => {
                let fields: Vec<&str> = fields.split(',').collect();
                Ok(answer(200, &self.shown(&self.tickets[at], &fields)))
            }
            (&Method::POST, ["comment"]) => {
                let read = text::read(&object(call)?["body"], cloud).map_err(|bad| match bad {
                    text::Bad::TooLong if cloud => Refusal::field("comment", "CONTENT_LIMIT_EXCEEDED"),
                    text::Bad::TooLong => Refusal::field(
                        "comment",
                        "The entered text is too long. It exceeds the allowed limit of 32,767 characters.",
                    ),
                    text::Bad::NoDocument => Refusal::field("comment", "Comment body is not valid!"),
                    text::Bad::Malformed => Refusal::whole(400, "INVALID_INPUT"),
                })?;
                if read.shown.trim().is_empty() {
                    return Err(Refusal::field("comment", "Comment body can not be empty!"));
                }
                let ticket = &mut self.tickets[at];
                ticket.comments.push(read.shown);
                ticket.mentions.extend(read.mentions);
                ticket.links.extend(read.links);
                Ok(answer(201, &json!({"id": (FIRST_ID + ticket.comments.len()).to_string()})))
            }
            (&Method::GET, ["transitions"]) => {
                let open = STATES.iter().filter(|(_, name, category)| open_to(category, name));
                let list: Vec<Value> =
                    open.map(|(id, name, _)| json!({"id": id, "name": name, "to": status(name)})).collect();
                Ok(answer(200, &json!({"transitions": list})))
            }
            (&Method::POST, ["transitions"]) => {
                let body = object(call)?;
                let asked = body["transition"]["id"].as_str().unwrap_or_default();
                let to = STATES.iter().find(|(id, name, category)| *id == asked && open_to(category, name));
                let Some((_, name, _)) = to else {
                    return Err(Refusal::whole(
                        400,
                        format!("The transition id '{asked}' is not valid for this issue."),
                    ));
                };
                (*name).clone_into(&mut self.tickets[at].state);
                self.transitions += 1;
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            _ => Err(Refusal::whole(405, "Method Not Allowed")),
        }
    }
}

//! What Sentry sends: a body with a form, or a query.

use serde_json::{Map, Value};

use super::answers::Refusal;
use crate::ids::InstallationId;

/// Longer queries are nobody's select.
const MAX_QUERY_BYTES: usize = 8 * 1024;
/// What somebody types into a select, in characters.
const MAX_TYPED: usize = 300;
const MAX_ISSUE: usize = 64;

/// A form that was sent.
pub(super) struct Posted {
    members: Map<String, Value>,
    pub(super) installation: InstallationId,
}

/// A form's values as they came: a name may come with anything.
pub(super) type Sent = Vec<(String, Value)>;

impl Posted {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
            return Err(Refusal::bad("The body is not a JSON object."));
        };
        let installation = match members.get("installationId") {
            Some(Value::String(text)) => text.parse().map_err(|_| bad_installation())?,
            Some(_) => return Err(bad_installation()),
            None => return Err(Refusal::bad("`installationId` is missing.")),
        };
        Ok(Self { members, installation })
    }

    /// An alert rule's fields: a list of names and values.
    pub(super) fn listed(&self) -> Result<Sent, Refusal> {
        let malformed = || Refusal::bad("`fields` is not a list of names and values.");
        let Some(Value::Array(fields)) = self.members.get("fields") else { return Err(malformed()) };
        let pair = |field: &Value| {
            let name = field.get("name")?.as_str()?.to_owned();
            Some((name, field.get("value").cloned().unwrap_or_default()))
        };
        fields.iter().map(|field| pair(field).ok_or_else(malformed)).collect()
    }

    /// An issue link's fields: an object.
    pub(super) fn named(&self) -> Result<Sent, Refusal> {
        let Some(Value::Object(fields)) = self.members.get("fields") else {
            return Err(Refusal::bad("`fields` is not an object of names and values."));
        };
        Ok(fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The issue's id; a number in real requests, a text in the documentation.
    pub(super) fn issue(&self) -> Result<String, Refusal> {
        let text = match self.members.get("issueId") {
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            Some(Value::String(text)) => text.clone(),
            Some(_) => String::new(),
            None => return Err(Refusal::bad("`issueId` is missing.")),
        };
        let is_id = (1..=MAX_ISSUE).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if is_id { Ok(text) } else { Err(Refusal::bad("`issueId` is not the id of an issue.")) }
    }

    /// The issue's page in Sentry, if it is one.
    pub(super) fn web_url(&self) -> Option<&str> {
        let url = self.members.get("webUrl")?.as_str()?;
        let is_address = url.starts_with("https://") || url.starts_with("http://");
        (is_address && url.len() <= 2048 && url.bytes().all(|b| b.is_ascii_graphic())).then_some(url)
    }
}

/// What a select asks with.
pub(super) struct Parameters {
    pub(super) installation: InstallationId,
    /// What was typed; empty, if nothing was.
    pub(super) query: String,
    /// Values of the fields that the list hangs on.
    dependent: Map<String, Value>,
}

impl Parameters {
    pub(super) fn read(query: &str) -> Result<Self, Refusal> {
        let parameters = Query::read(query)?;
        let installation = parameters.one("installationId")?;
        let installation = installation.ok_or_else(|| Refusal::bad("`installationId` is missing."))?;
        let installation = installation.parse().map_err(|_| bad_installation())?;
        let query = parameters.one("query")?.unwrap_or_default().trim().to_owned();
        if query.chars().count() > MAX_TYPED {
            return Err(Refusal::bad(format!("`query` is longer than {MAX_TYPED} characters.")));
        }
        let dependent = match parameters.one("dependentData")? {
            None | Some("") => Map::new(),
            Some(text) => {
                serde_json::from_str(text).map_err(|_| Refusal::bad("`dependentData` is not a JSON object."))?
            }
        };
        Ok(Self { installation, query, dependent })
    }

    /// The installation of a query whose rest is another's.
    pub(super) fn installation_alone(query: &str) -> Option<InstallationId> {
        Query::read(query).ok()?.one("installationId").ok()??.parse().ok()
    }

    pub(super) fn dependent(&self, name: &str) -> Result<&str, Refusal> {
        match self.dependent.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(Value::String(_) | Value::Null) | None => {
                Err(Refusal::bad(format!("`dependentData` lacks `{name}`: pick that one first.")))
            }
            Some(_) => Err(Refusal::bad(format!("`{name}` of `dependentData` is not a text."))),
        }
    }
}

struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: &str) -> Result<Self, Refusal> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(Refusal::bad("The query is too long."));
        }
        let pairs = serde_urlencoded::from_str(query).map_err(|_| Refusal::bad("The query is malformed."))?;
        Ok(Self(pairs))
    }

    fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::bad(format!("`{name}` is there more than once."))),
            (value, None) => Ok(value),
        }
    }
}

fn bad_installation() -> Refusal {
    Refusal::bad("`installationId` is not the id of an installation.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";

    #[test]
    fn a_query_without_what_is_needed_says_what_that_is() {
        let id = format!("installationId={ID}");
        let cases = [
            ("nothing", String::new(), Some("`installationId` is missing")),
            ("no UUID", "installationId=../x".to_owned(), Some("`installationId` is not")),
            ("two", format!("{id}&{id}"), Some("`installationId` is there more than once")),
            ("a list of data", format!("{id}&dependentData=[]"), Some("`dependentData` is not")),
            ("much typed", format!("{id}&query={}", "ü".repeat(301)), Some("`query` is longer")),
            ("too long", format!("{id}&x={}", "y".repeat(9000)), Some("query is too long")),
            ("empty data", format!("{id}&dependentData=&query="), None),
            (
                "as Sentry sends it",
                format!("{id}&projectSlug=b&query=a+b&dependentData=%7B%22project%22%3A%22a%22%7D"),
                None,
            ),
        ];
        for (name, query, expected) in cases {
            match (Parameters::read(&query), expected) {
                (Ok(read), None) => assert_eq!(read.installation.to_string(), ID, "{name}"),
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{name}: {error}"),
                (read, _) => panic!("{name}: {:?}", read.map(|read| read.query)),
            }
        }
    }

    #[test]
    fn an_issue_is_a_number_or_a_text_and_its_page_an_address() {
        let read = |rest: &str| Posted::read(format!(r#"{{"installationId":"{ID}"{rest}}}"#).as_bytes()).unwrap();
        for (rest, expected) in [
            (r#","issueId":2"#, Some("2")),
            (r#","issueId":"2""#, Some("2")),
            (r#","issueId":"""#, None),
            (r#","issueId":"a#b""#, None),
            (r#","issueId":2.5"#, None),
            (r#","issueId":null"#, None),
            ("", None),
        ] {
            let issue = read(rest).issue();
            assert!(issue.as_ref().err().is_none_or(|e| e.to_string().contains("`issueId`")), "{rest}");
            assert_eq!(issue.ok().as_deref(), expected, "{rest}");
        }
        assert_eq!(read(r#","webUrl":"https://s.example/issues/2/""#).web_url(), Some("https://s.example/issues/2/"));
        assert_eq!(read(r#","webUrl":"javascript:alert(1)""#).web_url(), None);
        assert_eq!(read("").web_url(), None);
    }
}

//! The routes file's text, with stand-ins' addresses and made-up secrets in the place of its own.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use simulator::Jira;
use toml::{Spanned, Value};

/// A destination or tracker, as the file has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_tracker: bool,
    pub(super) account: Account,
    /// Of a tracker: those that it lists, and those that destinations name for it.
    pub(super) projects: Vec<String>,
    /// Those that all tickets of a tracker get.
    pub(super) labels: Vec<String>,
    pub(super) issue_type: Option<String>,
}

/// Whoever has the same is the same account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Names of its secrets, by key.
    pub(super) secrets: BTreeMap<String, String>,
    /// Without `#`.
    pub(super) channel: String,
    pub(super) email: Option<String>,
}

/// As much of a routes file as is filled in here; it has been compiled before.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    destination: Vec<Block>,
    #[serde(default)]
    tracker: Vec<Block>,
}

type Keys = BTreeMap<String, Spanned<Value>>;
type Block = Spanned<Keys>;

/// Places of the text, and what stands there instead.
type Edits = Vec<(Range<usize>, String)>;

/// The text with an address and made-up secrets for each destination and tracker. `address` is asked for each in the
/// file's order, destinations first; `None`: nobody calls it.
pub(super) fn filled_in(text: &str, mut address: impl FnMut(Entry) -> Option<String>) -> anyhow::Result<String> {
    let file: File = toml::from_str(text)?;
    let mut edits = Vec::new();
    for (block, is_tracker) in file.destination.iter().map(|b| (b, false)).chain(file.tracker.iter().map(|b| (b, true)))
    {
        let keys = block.get_ref();
        let mut entry = Entry {
            name: word(keys, "name").to_owned(),
            kind: word(keys, "type").to_owned(),
            is_tracker,
            account: account(keys, &mut edits),
            ..Entry::default()
        };
        if is_tracker {
            entry.projects = projects(keys, &entry.name, &file.destination);
            entry.labels = list(keys, "labels");
            entry.issue_type = Some(word(keys, "issue_type").trim().to_owned()).filter(|name| !name.is_empty());
        }
        if let Some(address) = address(entry) {
            call_at(&address, text, block, &mut edits);
        }
    }
    Ok(edited(text, edits))
}

fn word<'a>(keys: &'a Keys, key: &str) -> &'a str {
    keys.get(key).and_then(|value| value.get_ref().as_str()).unwrap_or_default()
}

fn account(keys: &Keys, edits: &mut Edits) -> Account {
    let kind = word(keys, "type");
    let mut account = Account::default();
    for (key, value) in keys {
        let Some(secret) = value.get_ref().as_str().and_then(|text| text.strip_prefix("secret:")) else {
            continue;
        };
        account.secrets.insert(key.clone(), secret.to_owned());
        edits.push((value.span(), made_up(kind, key)));
    }
    let channel = word(keys, "channel");
    let channel = if channel.starts_with("secret:") { "alerts" } else { channel };
    channel.trim_start_matches('#').clone_into(&mut account.channel);
    if let Some(email) = keys.get("email").filter(|_| kind == "jira") {
        account.email = Some(word(keys, "email").to_owned());
        edits.push((email.span(), format!("\"{}\"", Jira::cloud().email())));
    }
    account
}

fn projects(keys: &Keys, tracker: &str, destinations: &[Block]) -> Vec<String> {
    let listed = ["repositories", "projects"].into_iter().flat_map(|key| list(keys, key));
    let of_it = destinations.iter().map(Spanned::get_ref).filter(|keys| word(keys, "tracker") == tracker);
    let named = of_it.map(|keys| word(keys, "project")).filter(|project| !project.is_empty());
    listed.chain(named.map(str::to_owned)).collect()
}

fn list(keys: &Keys, key: &str) -> Vec<String> {
    let list = keys.get(key).and_then(|value| value.get_ref().as_array());
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn call_at(address: &str, text: &str, block: &Block, edits: &mut Edits) {
    let keys = block.get_ref();
    match (keys.get("base_url"), keys.get("type")) {
        (Some(given), _) => edits.push((given.span(), format!("\"{address}\""))),
        (None, Some(of_type)) => {
            let is_inline = text[block.span()].starts_with('{');
            let parted = if is_inline { "," } else { "\n" };
            let kind = word(keys, "type");
            edits.push((of_type.span(), format!("\"{kind}\"{parted} base_url = \"{address}\"")));
        }
        (None, None) => {}
    }
}

/// What stands in the file instead of a secret of its own: one of [`super::StandIns::secrets`], or where any text may
/// stand, a text.
fn made_up(kind: &str, key: &str) -> String {
    match (kind, key) {
        ("slack", "channel") => "\"#alerts\"".to_owned(),
        ("pushover", "user" | "token")
        | ("slack", "url" | "bot_token")
        | ("discord" | "mattermost" | "teams", "url")
        | ("pagerduty", "routing_key")
        | ("webhook", "url" | "secret")
        | ("github" | "gitlab" | "jira" | "linear", "token") => format!("\"secret:{kind}-{key}\""),
        _ => "\"made-up\"".to_owned(),
    }
}

fn edited(text: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut text = text.to_owned();
    for (place, instead) in edits {
        text.replace_range(place, &instead);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracker_has_what_it_lists_and_what_destinations_name_for_it() {
        let text = r#"
[[tracker]]
name = "hub"
type = "github"
token = "secret:t"
repositories = ["me/shop"]
labels = ["sentry"]

[[tracker]]
name = "board"
type = "jira"
url = "https://me.atlassian.net"
token = "secret:t"
issue_type = "Incident"

[[destination]]
name = "tickets"
type = "jira-issue"
tracker = "board"
project = "OPS"
"#;
        let mut entries = Vec::new();
        let filled = filled_in(text, |entry| {
            let address = (!entry.kind.ends_with("-issue")).then(|| format!("http://{}.test", entry.name));
            entries.push(entry);
            address
        });
        let [tickets, hub, board] = &entries[..] else { panic!("{entries:?}") };
        assert!(!tickets.is_tracker && tickets.projects.is_empty(), "{tickets:?}");
        assert_eq!((hub.projects.join(" "), hub.labels.join(" ")), ("me/shop".into(), "sentry".into()));
        assert_eq!((board.projects.join(" "), board.issue_type.as_deref()), ("OPS".into(), Some("Incident")));
        assert!(hub.is_tracker && board.is_tracker);
        let filled = filled.expect("a file");
        assert!(filled.contains("base_url = \"http://hub.test\"") && filled.contains("secret:jira-token"), "{filled}");
        assert_eq!(filled.matches("base_url").count(), 2, "{filled}");
    }
}

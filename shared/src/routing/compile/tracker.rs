//! `[[tracker]]`.

use std::collections::BTreeMap;

use super::super::{SecretUse, Tracker};
use super::{Block, Compiler, Entry};
use crate::trackers::{self, ProjectForm, TrackerKind};

/// What every tracker takes, besides the keys of its type and the list of its projects.
pub(crate) const COMMON: [&str; 5] = ["name", "type", "base_url", "organizations", "labels"];

impl Compiler<'_> {
    pub(super) fn tracker(&mut self, block: &Block<'_>, secrets: &mut Vec<SecretUse>) -> Option<Tracker> {
        let name = self.name(block, "tracker", "people in Sentry see it before each project");
        let base_url = block.get("base_url").and_then(|entry| self.base_url_with_path(entry));
        let organizations = block.get("organizations").map(|entry| self.list_of_names(entry));
        let labels = block.get("labels").map(|entry| self.list_of_names(entry)).unwrap_or_default();
        let kinds = trackers::KINDS;
        let kind = self.known_type(block, "tracker", &kinds.iter().map(|kind| kind.name)).and_then(trackers::kind)?;
        let projects = block.get(kind.projects_key).map(|entry| self.projects(entry, kind)).unwrap_or_default();
        let mut values = BTreeMap::new();
        let is_own = |entry: &&Entry<'_>| !COMMON.contains(&&*entry.key) && entry.key != kind.projects_key;
        for entry in block.entries.iter().filter(is_own) {
            let Some(key) = kind.keys.iter().find(|key| key.name == entry.key) else {
                self.unknown_key_of_tracker(entry, kind);
                continue;
            };
            if let Some(value) = self.value_noting_secrets(entry, key, secrets) {
                values.insert(entry.key.clone(), value);
            }
        }
        self.has_what_it_needs(block, "tracker", kind.name, kind.keys, &[kind.needs]);
        Some(Tracker { name: name?, kind: kind.name.to_owned(), values, base_url, projects, labels, organizations })
    }

    fn unknown_key_of_tracker(&mut self, entry: &Entry<'_>, kind: &TrackerKind) {
        // What one kind calls repositories, another calls projects.
        if trackers::KINDS.iter().any(|other| other.projects_key == entry.key) {
            let help = format!("`{}` calls them `{}`", kind.name, kind.projects_key);
            self.mistake_with_help(entry.at.clone(), format!("unknown key `{}`", entry.key), help);
            return;
        }
        let keys = kind.keys.iter().map(|key| key.name).chain([kind.projects_key]).chain(COMMON);
        self.unknown_key(entry, &format!("`{}`", kind.name), keys);
    }

    /// [`Self::list_of_texts`], none of them empty.
    pub(super) fn list_of_names(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let texts = self.list_of_texts(entry);
        if texts.iter().any(|text| text.trim().is_empty()) {
            self.mistake(entry.value_at(), format!("a text of `{}` is empty", entry.key));
        }
        texts
    }

    fn projects(&mut self, entry: &Entry<'_>, kind: &TrackerKind) -> Vec<String> {
        let projects = self.list_of_names(entry);
        if projects.is_empty() && entry.item.as_array().is_some_and(toml_edit::Array::is_empty) {
            let help = format!("without `{}`, all that the token sees are offered", entry.key);
            self.mistake_with_help(entry.value_at(), format!("`{}` is an empty list", entry.key), help);
        }
        let members = entry.item.as_array().into_iter().flatten();
        for (project, member) in projects.iter().zip(members) {
            if let Some(ProjectForm { form, example, .. }) = kind.misnamed(project) {
                let help = format!("for example `{} = [\"{example}\"]`", entry.key);
                self.mistake_with_help(member.span(), format!("`{project}` is not `{form}`"), help);
            }
        }
        projects
    }
}

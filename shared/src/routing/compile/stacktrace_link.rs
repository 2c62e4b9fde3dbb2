//! `[[stacktrace_link]]`.

use toml_edit::Item;

use super::super::pattern::ProjectPattern;
use super::pattern::Takes;
use super::{Block, Compiler, Entry};
use crate::stacktrace::StacktraceLink;

const KEYS: [&str; 4] = ["project", "path_prefix", "url", "organizations"];

impl Compiler<'_> {
    pub(super) fn stacktrace_link(&mut self, block: &Block<'_>) -> Option<StacktraceLink> {
        for entry in block.entries.iter().filter(|entry| !KEYS.contains(&&*entry.key)) {
            self.unknown_key(entry, "`[[stacktrace_link]]`", KEYS);
        }
        let project = if let Some(entry) = block.get("project") {
            self.project_pattern(entry)
        } else {
            let help = "for example `project = \"backend\"`; `{ exists = true }` is every project";
            self.mistake_with_help(block.at.clone(), "a stack-trace link has no `project`", help);
            None
        };
        let prefix = block.get("path_prefix").map(|entry| self.text(entry));
        let organizations = block.get("organizations").map(|entry| self.list_of_names(entry));
        let Some(entry) = block.get("url") else {
            let help = "for example `url = \"https://github.com/acme/backend/blob/main/{path}#L{line}\"`";
            self.mistake_with_help(block.at.clone(), "a stack-trace link has no `url`", help);
            return None;
        };
        let url = self.text(entry)?;
        // The template is looked at whatever else is wrong, so that all mistakes are told at once.
        let any = || ProjectPattern::slug("");
        let link = StacktraceLink::parse(project.clone().unwrap_or_else(any), prefix.flatten(), url);
        let mut link = link.map_err(|error| self.mistake(entry.value_at(), error)).ok()?;
        link.organizations = organizations;
        project.map(|_| link)
    }

    fn project_pattern(&mut self, entry: &Entry<'_>) -> Option<ProjectPattern> {
        let Item::Value(value) = entry.item else {
            let help = "an operator stands in braces: `project = { prefix = \"x\" }`";
            self.mistake_with_help(entry.at.clone(), "`project` is a pattern", help);
            return None;
        };
        let takes = Takes { key: "project", json: false, stars: false };
        let pattern = self.pattern(value, takes, &mut Vec::new());
        if pattern.matches_absence() {
            let message = "a stack frame always has a project: `{ exists = false }` never matches";
            self.mistake(entry.value_at(), message);
        }
        Some(ProjectPattern::new(pattern))
    }
}

//! What a destination that is a ticket asks of the file's trackers.

use std::collections::BTreeMap;

use super::super::Tracker;
use super::{Block, Compiler};
use crate::ids::DestinationName;
use crate::names;
use crate::trackers::{self, ProjectForm};

impl Compiler<'_> {
    /// `trackers` are the blocks, also of those with mistakes of their own; `right` are the others.
    pub(super) fn tickets_have_a_tracker(
        &mut self,
        destinations: &[Block<'_>],
        trackers: &[Block<'_>],
        right: &BTreeMap<DestinationName, Tracker>,
    ) {
        for block in destinations {
            let of_type = block.get("type").and_then(|entry| entry.item.as_str());
            let Some(kind) = self.kinds.iter().copied().find(|kind| Some(kind.name) == of_type) else { continue };
            let Some(needed) = kind.tracker else { continue };
            if let Some(entry) = block.get("base_url") {
                let help = "it stands in its `[[tracker]]`";
                self.mistake_with_help(entry.at.clone(), format!("`{}` takes no `base_url`", kind.name), help);
            }
            let Some((entry, name)) = block
                .get("tracker")
                .and_then(|entry| Some((entry, entry.item.as_str().filter(|name| !name.is_empty())?)))
            else {
                continue;
            };
            let named = |block: &&Block<'_>| block.get("name").and_then(|entry| entry.item.as_str()) == Some(name);
            let Some(tracker) = trackers.iter().find(named) else {
                let all = trackers.iter().filter_map(|block| block.get("name")?.item.as_str());
                let help = match names::likely(name, all) {
                    Some(likely) => format!("did you mean `{likely}`?"),
                    None => format!("add a `[[tracker]]` with `name = \"{name}\"` and `type = \"{needed}\"`"),
                };
                self.mistake_with_help(entry.value_at(), format!("there is no tracker `{name}`"), help);
                continue;
            };
            let of_type = tracker.get("type").and_then(|entry| entry.item.as_str());
            if let Some(other) = of_type.filter(|other| *other != needed && trackers::kind(other).is_some()) {
                let message = format!("`{name}` is a tracker of type `{other}`");
                let help = format!("`{}` needs one of type `{needed}`", kind.name);
                self.mistake_with_help(entry.value_at(), message, help);
                continue;
            }
            if let Some(tracker) = name.parse().ok().and_then(|name: DestinationName| right.get(&name)) {
                self.ticket_has_a_project(block, kind.name, tracker);
            }
        }
    }

    fn ticket_has_a_project(&mut self, block: &Block<'_>, kind: &str, tracker: &Tracker) {
        let name = &tracker.name;
        let listed = || names::listed(tracker.projects.iter().map(String::as_str));
        let Some(entry) = block.get("project") else {
            if tracker.projects.len() != 1 {
                let help = if tracker.projects.is_empty() {
                    format!("the tracker `{name}` lists none: add `project = \"…\"`")
                } else {
                    format!("the tracker `{name}` lists {}: add one of them as `project`", listed())
                };
                self.mistake_with_help(
                    block.at.clone(),
                    format!("a destination of type `{kind}` needs `project`"),
                    help,
                );
            }
            return;
        };
        let Some(project) = entry.item.as_str().filter(|project| !project.is_empty()) else { return };
        if !tracker.projects.is_empty() && !tracker.projects.iter().any(|listed| listed == project) {
            let message = format!("the tracker `{name}` has no project `{project}`");
            self.mistake_with_help(entry.value_at(), message, format!("it lists {}", listed()));
        } else if let Some(ProjectForm { form, example, .. }) =
            trackers::kind(&tracker.kind).and_then(|kind| kind.misnamed(project))
        {
            let help = format!("for example `project = \"{example}\"`");
            self.mistake_with_help(entry.value_at(), format!("`{project}` is not `{form}`"), help);
        }
    }
}

//! `title`, `message`, `fields` and `mention` of a route or a destination.

use std::collections::BTreeMap;

use super::super::Destination;
use super::{Block, Compiler, Entry, entries, type_name};
use crate::ids::DestinationName;
use crate::names;
use crate::templates::{Flaw, MAX_FIELDS, Template, Templates};

/// A field's name is a heading.
const MAX_FIELD_NAME_CHARS: usize = 100;

impl Compiler<'_> {
    pub(super) fn templates(&mut self, block: &Block<'_>) -> Templates {
        let mut template = |key| block.get(key).and_then(|entry| self.template(entry));
        Templates {
            title: template("title"),
            message: template("message"),
            mention: template("mention"),
            fields: block.get("fields").map(|entry| self.fields(entry).into()),
        }
    }

    fn template(&mut self, entry: &Entry<'_>) -> Option<Template> {
        let text = self.text(entry)?;
        Template::parse(text).map_err(|flaws| flaws.into_iter().for_each(|flaw| self.flaw(entry, text, flaw))).ok()
    }

    fn flaw(&mut self, entry: &Entry<'_>, template: &str, flaw: Flaw) {
        let at = self.source.within(entry.value_at(), template, &flaw.at);
        let mistake = self.source.mistake(at, format!("in a template: {}", flaw.message));
        let help = match flaw.unknown {
            Some((name, known)) => Some(match names::likely(&name, known.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("there are {}", names::listed(known)),
            }),
            None => flaw.help.map(str::to_owned),
        };
        self.mistakes.push(match help {
            Some(help) => mistake.help(help),
            None => mistake,
        });
    }

    fn fields(&mut self, entry: &Entry<'_>) -> Vec<(String, Template)> {
        let Some(table) = entry.item.as_table_like() else {
            let message = format!("`fields` is a table of name = template, not {}", type_name(entry.item));
            self.mistake_with_help(entry.value_at(), message, "for example `fields = { Project = \"{{ project }}\" }`");
            return Vec::new();
        };
        let entries = entries(table);
        if entries.len() > MAX_FIELDS {
            self.mistake(entry.value_at(), format!("`fields` has at most {MAX_FIELDS} members"));
        }
        let mut fields = Vec::new();
        for field in &entries {
            let name = field.key.trim();
            if name.is_empty() || name.chars().count() > MAX_FIELD_NAME_CHARS || name.chars().any(char::is_control) {
                let message = format!("a field's name is from 1 to {MAX_FIELD_NAME_CHARS} characters, and one line");
                self.mistake(field.at.clone(), message);
            } else if let Some(template) = self.template(field) {
                fields.push((name.to_owned(), template));
            }
        }
        fields
    }

    /// A mention that is the same for every event is known now: it must be one that each destination allows.
    pub(super) fn mentions_are_allowed(
        &mut self,
        destination_blocks: &[Block<'_>],
        route_blocks: &[Block<'_>],
        destinations: &BTreeMap<DestinationName, Destination>,
    ) {
        let of_name = |name: &str| destinations.values().find(|destination| destination.name.as_str() == name);
        for block in destination_blocks {
            let name = block.get("name").and_then(|entry| entry.item.as_str());
            self.mention_is_allowed(block, name.and_then(of_name));
        }
        for block in route_blocks {
            let names = block.get("to").and_then(|entry| entry.item.as_array());
            let names = names.into_iter().flatten().filter_map(toml_edit::Value::as_str);
            self.mention_is_allowed(block, names.filter_map(of_name));
        }
    }

    fn mention_is_allowed<'d>(&mut self, block: &Block<'_>, destinations: impl IntoIterator<Item = &'d Destination>) {
        let Some(entry) = block.get("mention") else { return };
        let Some(template) = entry.item.as_str().and_then(|text| Template::parse(text).ok()) else { return };
        let Some(mention) = template.literal() else { return };
        for destination in destinations {
            let allowed = || destination.mentions.iter().map(String::as_str);
            if allowed().any(|allowed| allowed == mention.trim()) {
                continue;
            }
            let help = match names::likely(mention, allowed()) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None if destination.mentions.is_empty() => format!("add `mentions = [\"{mention}\"]` to it"),
                None => format!("its `mentions` are {}", names::listed(allowed())),
            };
            let message = format!("the destination `{}` does not allow this mention", destination.name);
            self.mistake_with_help(entry.value_at(), message, help);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use crate::routing::Routes;

    const MISTAKEN: &str = r#"
[[destination]]
name = "log"
type = "console"
mentions = ["@here", "@backend"]
title = "{{ project }}: {{ titel }}"
mention = "@hree"

[[destination]]
name = "other"
type = "console"
message = """
{{ title }}
{{ value|uper }} and {{ range(9) }}
"""
fields = { Project = "{{ project.name }}", "" = "x", Count = 5 }

[[route]]
name = "all"
when = { event = "issue.created" }
to = ["log", "other"]
message = "a \"quoted\" {{ nothing }}"
mention = "@here"

[[route]]
name = "more"
when = { event = "issue.created" }
to = ["log"]
title = ""
fields = "{{ project }}"
mention = "{{ level }}"
"#;

    #[test]
    fn mistakes_in_templates_have_a_place_and_a_likely_name() {
        let mut told = String::new();
        for mistake in Routes::compile(MISTAKEN).unwrap_err() {
            writeln!(told, "{mistake}\n").unwrap();
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn templates_stand_at_routes_and_destinations_with_fields_in_order() {
        let file = r#"
            [[destination]]
            name = "log"
            type = "console"
            title = "{{ title }}"
            mentions = ["@here"]
            mention = "@here"
            [destination.fields]
            Z = "{{ level }}"
            A = "a"

            [[route]]
            name = "all"
            when = {}
            to = ["log"]
            fields.Level = "{{ level }}"
            fields."Short ID" = "{{ short_id }}"
        "#;
        let routes = Routes::compile(file).unwrap();
        let names = |templates: &crate::templates::Templates| -> Vec<String> {
            templates.fields.iter().flat_map(|fields| fields.iter().map(|(name, _)| name.clone())).collect()
        };
        let destination = routes.destinations().next().unwrap();
        assert_eq!(names(&destination.templates), ["Z", "A"]);
        assert_eq!(destination.templates.mention.as_ref().unwrap().literal(), Some("@here"));
        assert_eq!(destination.templates.title.as_ref().unwrap().literal(), None);
        assert_eq!(names(&routes.routes()[0].templates), ["Level", "Short ID"]);
        assert_eq!(routes.routes()[0].templates.title, None);
    }

    #[test]
    fn too_many_fields_are_a_mistake() {
        let fields: Vec<String> = (0..26).map(|number| format!("f{number} = \"x\"")).collect();
        let file =
            format!("[[destination]]\nname = \"log\"\ntype = \"console\"\nfields = {{ {} }}\n", fields.join(", "));
        let mistakes = Routes::compile(&file).unwrap_err();
        assert_eq!(mistakes[0].message, "`fields` has at most 25 members");
    }
}

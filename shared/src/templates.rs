//! Templates: what a routes file says about a message instead of its default.
//!
//! The language is a part of Jinja's: text, `{{ … }}`, `if`, `for`, comparisons, `~` and a few filters. What could make
//! text grow without bound is not in it (no variables, no macros, no arithmetic, no functions), and what is left runs
//! on fuel and into a buffer that ends: a template costs milliseconds and a few megabytes at most, whatever an event
//! holds.
//! A template that fails does not cost the message: that part is then the default's, and the delivery's record says so.

mod check;
mod context;
mod language;

use std::sync::Arc;

pub use self::check::Flaw;
use crate::alert_rule::RuleSettings;
use crate::destinations::{is_blank, one_line, visible};
use crate::message::{Field, Message};
use crate::normalized::Normalized;
use crate::routing::{Destination, Routes};

/// The keys of a route or a destination that are templates.
pub const KEYS: [&str; 4] = ["title", "message", "fields", "mention"];
/// Longer ones are refused: what a template can do grows with its length.
pub const MAX_TEMPLATE_BYTES: usize = 4096;
/// As many as the strictest destination shows (Discord: 25 fields of an embed).
pub const MAX_FIELDS: usize = 25;

/// The templates of a route or a destination. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Templates {
    pub title: Option<Template>,
    /// The text below the title.
    pub message: Option<Template>,
    /// Names and values, in order; they take the place of all default fields.
    pub fields: Option<Arc<[(String, Template)]>>,
    pub mention: Option<Template>,
}

/// A checked template. It is kept as its text: parsing it takes microseconds, and a file may have 10,000 routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Arc<str>);

impl Template {
    /// All mistakes, in order. A template without any can still fail when it is rendered (`title|items`).
    pub fn parse(source: &str) -> Result<Self, Vec<Flaw>> {
        check::flaws(source)?;
        Ok(Self(source.into()))
    }

    /// Whether it has the value of this name in what it says, or hangs on it.
    fn names(&self, name: &str) -> bool {
        check::names(&self.0, name)
    }

    /// What it says where it says the same of every event.
    pub fn literal(&self) -> Option<&str> {
        let is_plain = ["{{", "{%", "{#"].iter().all(|mark| !self.0.contains(mark));
        is_plain.then_some(self.0.as_ref())
    }
}

/// What a delivery's message is formed by: the templates of its route and of its destination.
#[derive(Debug, Clone, Default)]
pub struct Form {
    route: Option<Templates>,
    destination: Templates,
    /// What a mention may be.
    mentions: Vec<String>,
}

impl Form {
    /// A route that the file does not have (any more) gives nothing.
    pub fn of(routes: &Routes, route: &str, destination: &Destination) -> Self {
        let route = routes.routes().iter().find(|known| known.name == route);
        Self {
            route: route.map(|route| route.templates.clone()),
            destination: destination.templates.clone(),
            mentions: destination.mentions.clone(),
        }
    }

    /// Puts the templates' parts in the place of the default's: the route's, where it has that part, else the
    /// destination's. A title or a message that comes out blank is the default's; a field that does
    /// is left out, as is one whose template failed; a mention that does, or that the destination does not allow, mentions nobody.
    ///
    /// The text in the answer, for the delivery's record, says what went wrong: which part is the default's because its
    /// template failed, which mention is not allowed.
    ///
    /// What the alert rule says that asked for it wins: its note stands above the text and its priority is the first
    /// field, unless the template of the text or of a field names them; its mention is in the place of the template's.
    pub fn message(
        &self,
        event: &Normalized,
        default: Message,
        rule: Option<&RuleSettings>,
    ) -> (Message, Option<String>) {
        let part = |of: fn(&Templates) -> Option<&Template>| {
            self.route.as_ref().and_then(of).or_else(|| of(&self.destination))
        };
        let title = part(|templates| templates.title.as_ref());
        let message = part(|templates| templates.message.as_ref());
        let mention = part(|templates| templates.mention.as_ref());
        let fields = self.route.as_ref().and_then(|route| route.fields.as_deref());
        let fields = fields.or(self.destination.fields.as_deref());
        let mut warnings: Vec<String> = Vec::new();
        if title.is_none() && message.is_none() && mention.is_none() && fields.is_none() {
            let mut formed = default;
            self.apply_rule(rule, Said::default(), &mut formed, &mut warnings);
            return (formed, told(&warnings));
        }
        let context = context::of(event, &default, rule);
        let mut said = Said::default();
        let mut render = |part: &str, template: &Template| {
            let rendered = language::render(&template.0, &context);
            rendered.map_err(|why| warnings.push(format!("the template of `{part}` failed: {why}"))).ok()
        };
        let mut formed = default;
        if let Some(title) = title.and_then(|title| render("title", title)).map(|title| one_line(&title, usize::MAX))
            && !is_blank(&title)
        {
            formed.title = title;
        }
        if let Some(text) =
            message.and_then(|message| render("message", message)).map(|text| visible(&text).trim().to_owned())
            && !is_blank(&text)
        {
            formed.text = text;
            said.note = message.is_some_and(|message| message.names(context::NOTE));
        }
        if let Some(fields) = fields {
            let mut field = |(name, template): &(String, Template)| {
                let value = one_line(&render(&format!("fields.{name}"), template)?, MAX_FIELD_UTF16);
                let field = (!is_blank(&value)).then(|| Field { name: name.clone(), value })?;
                said.priority |= template.names(context::PRIORITY);
                Some(field)
            };
            formed.fields = fields.iter().filter_map(&mut field).collect();
        }
        if let Some(mention) = mention.and_then(|mention| render("mention", mention)) {
            formed.mention = self.allowed(mention.trim(), &mut warnings);
        }
        self.apply_rule(rule, said, &mut formed, &mut warnings);
        (formed, told(&warnings))
    }

    fn apply_rule(&self, rule: Option<&RuleSettings>, said: Said, formed: &mut Message, warnings: &mut Vec<String>) {
        let Some(rule) = rule else { return };
        if let Some(note) = rule.note.as_deref().map(visible).filter(|note| !is_blank(note) && !said.note) {
            formed.text = format!("{}\n\n{}", note.trim(), formed.text);
        }
        if let Some(mention) = &rule.mention {
            formed.mention = self.allowed(mention.trim(), warnings);
        }
        if let Some(priority) = rule.priority {
            formed.priority = Some(priority);
            if !said.priority {
                formed.fields.insert(0, Field { name: "Priority".to_owned(), value: priority.as_str().to_owned() });
                formed.fields.truncate(MAX_FIELDS);
            }
        }
    }

    /// The mention, if the destination allows it.
    fn allowed(&self, mention: &str, warnings: &mut Vec<String>) -> Option<String> {
        let allowed = self.mentions.iter().find(|allowed| *allowed == mention).cloned();
        if allowed.is_none() && !mention.is_empty() {
            let shown = one_line(mention, 80);
            warnings.push(format!("`{shown}` is not among the destination's `mentions`: nobody is mentioned"));
        }
        allowed
    }
}

/// What of an alert rule the templates have said already, in a place of their own.
#[derive(Default, Clone, Copy)]
struct Said {
    note: bool,
    priority: bool,
}

/// Of all warnings, the record's.
fn told(warnings: &[String]) -> Option<String> {
    (!warnings.is_empty()).then(|| one_line(&warnings.join("; "), MAX_WARNING_UTF16))
}

/// Of a record that is read in a line of a table.
const MAX_WARNING_UTF16: usize = 500;
/// The strictest destination's (Discord: value of an embed's field).
const MAX_FIELD_UTF16: usize = 1024;

#[cfg(test)]
mod tests;

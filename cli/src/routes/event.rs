//! An event to try a routes file with: a sample, or a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use shared::alert_rule::{Picked, RuleSettings};
use shared::ids::Resource;
use shared::normalized::Normalized;
use shared::payload;
use shared::routing::{self, CannotSet};

use crate::samples::{self, Sample};

pub(super) struct Event {
    resource: Resource,
    pub(super) normalized: Normalized,
    /// The whole body: what `data.` paths lead into.
    pub(super) raw: Value,
    /// As Sentry sends it, before anything was set by hand.
    pub(super) body: Vec<u8>,
}

impl Event {
    /// A sample's name, or a file.
    pub(super) fn of(name: &str) -> anyhow::Result<Self> {
        Self::beside(Path::new(""), name)
    }

    /// A sample's name, or a file in the folder of `routes_file`.
    pub(super) fn beside(routes_file: &Path, name: &str) -> anyhow::Result<Self> {
        let path = file_beside(routes_file, name);
        if samples::is_one(name) || !path.is_file() {
            let sample = Sample::of(name)?;
            return Self::parse(&sample.resource, sample.body());
        }
        Self::read(&path).with_context(|| format!("{} is no event", path.display()))
    }

    /// Whether there is a sample or a file of this name.
    pub(super) fn is_there(routes_file: &Path, name: &str) -> bool {
        samples::is_one(name) || file_beside(routes_file, name).is_file()
    }

    /// `{"resource": …, "body": {…}}`, or a bare body, whose resource is the file's name up to the first dot.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path)?;
        let json: Value = serde_json::from_slice(&text)?;
        if let (Some(resource), Some(body)) = (json.get("resource").and_then(Value::as_str), json.get("body")) {
            return Self::parse(resource, body.to_string().into_bytes());
        }
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        Self::parse(name.split('.').next().unwrap_or_default(), text)
    }

    fn parse(resource: &str, body: Vec<u8>) -> anyhow::Result<Self> {
        // Also the bundle's own events, which no webhook brings.
        let resource = Resource::from_queue(resource).with_context(|| format!("its resource is `{resource}`"))?;
        let payload = payload::Event::parse(&resource, &body)?;
        Ok(Self { resource, normalized: Normalized::of(&payload), raw: payload.raw, body })
    }

    /// What alert rules say of where it goes, with whatever was set by hand.
    pub(super) fn picked(&self) -> anyhow::Result<Vec<Picked>> {
        Ok(RuleSettings::of(&payload::Event::parse(&self.resource, self.raw.to_string().as_bytes())?))
    }

    pub(super) fn set(&mut self, key: &str, value: Value) -> anyhow::Result<()> {
        Ok(routing::set(&mut self.normalized, &mut self.raw, key, value)?)
    }

    pub(super) fn set_all(&mut self, values: &[(String, Value)]) -> anyhow::Result<()> {
        values.iter().try_for_each(|(key, value)| self.set(key, value.clone()))
    }

    /// `KEY=VALUE`: VALUE is JSON where it parses, else text. Where only text can stand, `1.10` is that text and not
    /// the number 1.1.
    pub(super) fn set_from(&mut self, assignment: &str) -> anyhow::Result<()> {
        let Some((key, text)) = assignment.split_once('=') else {
            bail!("--set {assignment}: it is KEY=VALUE");
        };
        let parsed = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        let set = match routing::set(&mut self.normalized, &mut self.raw, key, parsed) {
            Err(CannotSet::NotText(_)) => routing::set(&mut self.normalized, &mut self.raw, key, json!(text)),
            set => set,
        };
        set.with_context(|| format!("--set {assignment}"))
    }
}

fn file_beside(routes_file: &Path, name: &str) -> PathBuf {
    routes_file.parent().unwrap_or(Path::new("")).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_its_resource_or_is_named_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let body = r#"{"action":"created","installation":{"uuid":"a8e5d37a-696c-4c54-adb5-b3f28d64c7de"},"data":{"issue":{"id":"7"}}}"#;
        let routes = folder.path().join("routes.toml");
        for (name, text) in [
            ("issue.json", body.to_owned()),
            ("issue.of.monday.json", body.to_owned()),
            ("any.json", format!(r#"{{"resource":"issue","body":{body}}}"#)),
        ] {
            std::fs::write(folder.path().join(name), text).expect("a file");
            let event = Event::beside(&routes, name).expect(name);
            assert_eq!((&*event.normalized.event, event.normalized.issue.as_deref()), ("issue.created", Some("7")));
        }
        std::fs::write(folder.path().join("Bad.json"), body).expect("a file");
        for (name, expected) in
            [("Bad.json", "its resource is `Bad`"), ("absent.json", "there is no sample of `absent.json`")]
        {
            let error = Event::beside(&routes, name).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_value_is_json_where_it_parses_and_text_where_only_text_can_stand() {
        let mut event = Event::of("issue.created").expect("a sample");
        for assignment in [
            "release=1.10",
            "level=\"fatal\"",
            "culprit=null",
            "tag.n=5",
            "data.issue.count=5",
            "data.x=y=z",
            "count=7",
        ] {
            event.set_from(assignment).expect(assignment);
        }
        let normalized = &event.normalized;
        assert_eq!(normalized.release.as_deref(), Some("1.10"));
        assert_eq!((normalized.level.as_deref(), normalized.culprit.as_deref()), (Some("fatal"), None));
        assert_eq!((&*normalized.tags["n"], normalized.count), ("5", Some(7)));
        assert_eq!((&event.raw["data"]["issue"]["count"], &event.raw["data"]["x"]), (&json!(5), &json!("y=z")));
        assert!(
            event.set_from("level").is_err()
                && event.set_from("count=many").is_err()
                && event.set_from("colour=red").is_err()
        );
    }
}

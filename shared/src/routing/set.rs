//! An event changed by hand, for the tests of a routes file.

use serde_json::{Map, Value};

use super::key::Key;
use crate::normalized::Normalized;

/// Why a key cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotSet {
    #[error("there is no key `{0}`: it is one that routes match on (`level`, `tag.NAME`, `data.…`)")]
    NoSuchKey(String),
    #[error("`{0}` is text")]
    NotText(String),
    #[error("`{0}` is a whole number")]
    NotANumber(String),
    #[error("`{key}` leads through {through}, which is no object, and no list with such a member")]
    NoWay { key: String, through: String },
}

/// Sets a key that routes match on, as if Sentry or a look-up had said it; JSON `null` takes it away.
///
/// `project` is slug and name at once. `event` brings resource and action along. A `data.` path is set in `raw`, the
/// whole body, and objects that are missing on the way are made; nothing of the normalized event changes by that.
pub fn set(event: &mut Normalized, raw: &mut Value, key: &str, value: Value) -> Result<(), CannotSet> {
    let parsed = Key::parse(key).ok_or_else(|| CannotSet::NoSuchKey(key.to_owned()))?;
    match (parsed, value) {
        (Key::Data(_), value) => return set_path(raw, key, value),
        (Key::Tag(name), Value::String(text)) => drop(event.tags.insert(name.into(), text)),
        (Key::Tag(name), Value::Null) => drop(event.tags.remove(&*name)),
        (Key::Named(named), Value::Null) => set_named(event, named.name, None),
        (Key::Named(named), Value::Number(number)) if named.is_number => {
            let number = number.as_u64().ok_or_else(|| CannotSet::NotANumber(key.to_owned()))?;
            match named.name {
                "users" => event.users = Some(number),
                _ => event.count = Some(number),
            }
        }
        (Key::Named(named), _) if named.is_number => return Err(CannotSet::NotANumber(key.to_owned())),
        (Key::Named(named), Value::String(text)) => set_named(event, named.name, Some(text)),
        _ => return Err(CannotSet::NotText(key.to_owned())),
    }
    Ok(())
}

fn set_named(event: &mut Normalized, name: &str, text: Option<String>) {
    let mut fields = match serde_json::to_value(&*event) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    match (name, text) {
        ("project", Some(text)) => {
            fields.insert("project".to_owned(), serde_json::json!({ "slug": text, "name": text }));
            fields.remove("more_projects");
        }
        ("event", Some(text)) => {
            let (resource, action) = text.split_once('.').unwrap_or((&text, ""));
            fields.insert("resource".to_owned(), resource.into());
            fields.insert("action".to_owned(), action.into());
            fields.insert("event".to_owned(), text.into());
        }
        (name, Some(text)) => drop(fields.insert(name.to_owned(), text.into())),
        (name, None) => {
            fields.remove(name);
            if name == "project" {
                fields.remove("more_projects");
            }
        }
    }
    if let Ok(changed) = serde_json::from_value(Value::Object(fields)) {
        *event = changed;
    }
}

fn set_path(raw: &mut Value, key: &str, value: Value) -> Result<(), CannotSet> {
    let mut place = raw;
    let mut way: Vec<&str> = Vec::new();
    for step in key.split('.') {
        let no_way = || CannotSet::NoWay { key: key.to_owned(), through: format!("`{}`", way.join(".")) };
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = match place {
            Value::Object(object) => object.entry(step).or_insert(Value::Null),
            Value::Array(members) => {
                step.parse().ok().and_then(|index: usize| members.get_mut(index)).ok_or_else(no_way)?
            }
            _ => return Err(no_way()),
        };
        way.push(step);
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::normalized::Project;
    use crate::routing::LookedUp;
    use crate::routing::key::{DATA, Datum, NAMED, Number, Subject, TAG};

    #[test]
    fn every_named_key_can_be_set_and_taken_away() {
        for named in NAMED {
            let (mut event, mut raw) = (Normalized::default(), Value::Null);
            let value = if named.is_number { json!(5) } else { json!("issue.x") };
            let has = |event: &Normalized, value: &Value| {
                let mut seen = false;
                let subject = Subject { event, raw: &Value::Null, looked_up: LookedUp::Yes };
                Key::Named(named).find(subject, &mut |datum| {
                    seen |= match datum {
                        Datum::Text(own) => value.as_str() == Some(own),
                        Datum::Number(own) => value.as_i64().is_some_and(|value| own == Number::Whole(value.into())),
                        Datum::Bool(_) => false,
                    };
                    false
                });
                seen
            };
            set(&mut event, &mut raw, named.name, value.clone()).unwrap();
            assert!(has(&event, &value), "{}", named.name);
            set(&mut event, &mut raw, named.name, Value::Null).unwrap();
            assert!(!has(&event, &value), "{}", named.name);
        }
    }

    #[test]
    fn a_project_is_slug_and_name_and_an_event_brings_its_parts() {
        let (mut event, mut raw) =
            (Normalized { more_projects: vec!["b".into()], ..Normalized::default() }, Value::Null);
        set(&mut event, &mut raw, "project", json!("Backend")).unwrap();
        set(&mut event, &mut raw, "event", json!("issue.resolved")).unwrap();
        set(&mut event, &mut raw, "tag.browser.name", json!("Firefox")).unwrap();
        let both = Project { id: None, slug: Some("Backend".into()), name: Some("Backend".into()) };
        assert_eq!((event.project, event.more_projects.len()), (Some(both), 0));
        assert_eq!((&*event.event, &*event.resource, &*event.action), ("issue.resolved", "issue", "resolved"));
        assert_eq!(event.tags["browser.name"], "Firefox");
    }

    #[test]
    fn a_path_is_made_where_it_is_missing() {
        let mut event = Normalized::default();
        let mut raw = json!({ "data": { "issue": { "status": "x" }, "list": [{ "a": 1 }] } });
        for (key, value) in
            [("data.issue.status", json!("y")), ("data.new.deep", json!(5)), ("data.list.0.a", json!([2]))]
        {
            set(&mut event, &mut raw, key, value).unwrap();
        }
        let expected = json!({ "data": { "issue": { "status": "y" }, "list": [{ "a": [2] }], "new": { "deep": 5 } } });
        assert_eq!(raw, expected);
        for (key, error) in [
            ("data.issue.status.x", "`data.issue.status.x` leads through `data.issue.status`"),
            ("data.list.7", "`data.list.7` leads through `data.list`"),
            ("colour", "there is no key `colour`"),
            (DATA, "there is no key `data`"),
            (TAG, "there is no key `tag.`"),
        ] {
            let found = set(&mut event, &mut raw, key, json!("x")).unwrap_err().to_string();
            assert!(found.starts_with(error), "{found}");
        }
        assert_eq!(set(&mut event, &mut raw, "level", json!(5)), Err(CannotSet::NotText("level".into())));
    }
}

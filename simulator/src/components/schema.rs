//! The schema of an app's components, checked as Sentry checks it when the app is saved.

use std::collections::BTreeSet;

use serde_json::Value;

/// Why Sentry does not save an app with this schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema is refused: {0}")]
pub struct SchemaRefused(String);

type Checked = Result<(), SchemaRefused>;

fn refuse(place: &str, why: &str) -> Checked {
    Err(SchemaRefused(format!("{place} {why}")))
}

/// Checks `{"elements": […]}`. More keys than are known are let through, as Sentry does.
pub fn check_schema(schema: &Value) -> Checked {
    let Some(elements) = schema["elements"].as_array() else {
        return refuse("`elements`", "must be a list");
    };
    if elements.is_empty() {
        return refuse("`elements`", "must not be empty");
    }
    let mut seen = BTreeSet::new();
    for element in elements {
        let Some(kind) = element["type"].as_str() else {
            return refuse("an element", "has no `type`");
        };
        match kind {
            "issue-link" => {
                for action in ["link", "create"] {
                    let place = format!("{kind}.{action}");
                    if !element[action].is_object() {
                        return refuse(&place, "is missing");
                    }
                    form(&place, &element[action])?;
                }
            }
            "alert-rule-action" => alert_rule_action(element)?,
            "stacktrace-link" => uri(kind, &element["uri"])?,
            // Of old, and no longer drawn.
            "issue-media" => {}
            _ => return refuse(kind, "is no type of element"),
        }
        if !seen.insert(kind) {
            return refuse(kind, "is there twice: one element of each type is allowed");
        }
    }
    Ok(())
}

fn alert_rule_action(element: &Value) -> Checked {
    text("alert-rule-action", element, "title")?;
    let (place, settings) = ("alert-rule-action.settings", &element["settings"]);
    if !settings.is_object() {
        return refuse(place, "is missing");
    }
    if settings["type"] != "alert-rule-settings" {
        return refuse(place, "must be of the type `alert-rule-settings`");
    }
    if let Some(description) = settings.get("description") {
        let length = description.as_str().map_or(0, |text| text.chars().count());
        if !(1..=140).contains(&length) {
            return refuse(place, "has a `description` that is no text of 1 to 140 characters");
        }
    }
    form(place, settings)
}

/// `uri`, `required_fields`, and perhaps `optional_fields`.
fn form(place: &str, form: &Value) -> Checked {
    uri(place, &form["uri"])?;
    let mut fields = Vec::new();
    for list in ["required_fields", "optional_fields"] {
        match form.get(list) {
            None if list == "optional_fields" => {}
            None => return refuse(place, "has no `required_fields`"),
            Some(Value::Array(given)) if !given.is_empty() => fields.extend(given),
            Some(_) => return refuse(place, &format!("has `{list}` that are no list of at least one field")),
        }
    }
    let mut names = BTreeSet::new();
    for given in &fields {
        field(place, given)?;
        let name = given["name"].as_str().unwrap_or_default();
        if !names.insert(name) {
            return refuse(place, &format!("has two fields called `{name}`"));
        }
    }
    for field in &fields {
        let others = field["depends_on"].as_array().into_iter().flatten();
        if let Some(other) = others.filter_map(Value::as_str).find(|other| !names.contains(other)) {
            return refuse(place, &format!("has a field that depends on `{other}`, which is no field of it"));
        }
    }
    Ok(())
}

fn field(place: &str, field: &Value) -> Checked {
    text(place, field, "label")?;
    text(place, field, "name")?;
    let place = format!("{place}.{}", field["name"].as_str().unwrap_or_default());
    match field["type"].as_str() {
        Some("text" | "textarea") => match field.get("default") {
            Some(default) if default != "issue.title" && default != "issue.description" => {
                refuse(&place, "has a `default` that is neither `issue.title` nor `issue.description`")
            }
            _ => Ok(()),
        },
        Some("select") => select(&place, field),
        _ => refuse(&place, "must be of the type `text`, `textarea` or `select`"),
    }
}

fn select(place: &str, field: &Value) -> Checked {
    match (field.get("uri"), field.get("options")) {
        (Some(given), None) => uri(place, given)?,
        (None, Some(options)) => {
            let pair =
                |option: &Value| option.as_array().is_some_and(|p| p.len() == 2 && p.iter().all(Value::is_string));
            if !options.as_array().is_some_and(|options| !options.is_empty() && options.iter().all(pair)) {
                return refuse(place, "has `options` that are no list of at least one [\"value\", \"label\"]");
            }
        }
        _ => return refuse(place, "must have exactly one of `uri` and `options`"),
    }
    for switch in ["async", "skip_load_on_open"] {
        if field.get(switch).is_some_and(|value| !value.is_boolean()) {
            return refuse(place, &format!("has `{switch}` that is neither true nor false"));
        }
    }
    let names =
        |list: &Value| list.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string));
    if field.get("depends_on").is_some_and(|list| !names(list)) {
        return refuse(place, "has `depends_on` that is no list of at least one name");
    }
    Ok(())
}

fn text(place: &str, object: &Value, key: &str) -> Checked {
    match object[key].as_str() {
        Some(text) if !text.is_empty() => Ok(()),
        _ => refuse(place, &format!("needs the text `{key}`")),
    }
}

/// Newer servers refuse what a URL parser could take for a host.
fn uri(place: &str, uri: &Value) -> Checked {
    match uri.as_str() {
        None => refuse(place, "needs the text `uri`"),
        Some(uri) if !uri.starts_with('/') => refuse(place, "has a `uri` that does not begin with `/`"),
        Some(uri) if uri.starts_with("//") || uri.contains('@') => refuse(place, "has a `uri` with `//` or `@`"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({"elements": [
            {
                "type": "issue-link",
                "create": {
                    "uri": "/create",
                    "required_fields": [
                        {"type": "select", "name": "project", "label": "Project", "uri": "/options/projects"},
                        {"type": "text", "name": "title", "label": "Title", "default": "issue.title"},
                    ],
                    "optional_fields": [
                        {"type": "select", "name": "label", "label": "Label", "uri": "/options/labels", "async": true,
                         "depends_on": ["project"], "skip_load_on_open": true},
                        {"type": "textarea", "name": "text", "label": "Text", "default": "issue.description"},
                    ],
                },
                "link": {
                    "uri": "/link",
                    "required_fields": [{"type": "text", "name": "ticket", "label": "Ticket"}],
                },
            },
            {
                "type": "alert-rule-action",
                "title": "Notify",
                "settings": {
                    "type": "alert-rule-settings",
                    "uri": "/rule",
                    "description": "Where to.",
                    "required_fields": [
                        {"type": "select", "name": "to", "label": "To", "options": [["a", "A"], ["b", "B"]]},
                    ],
                },
            },
            {"type": "stacktrace-link", "uri": "/frame"},
        ]})
    }

    /// `good()` with the value at the pointer replaced, or taken away.
    fn but(pointer: &str, value: Option<Value>) -> Value {
        let mut schema = good();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match (schema.pointer_mut(parent).unwrap(), value) {
            (Value::Array(items), Some(value)) => items[key.parse::<usize>().unwrap()] = value,
            (Value::Array(items), None) => drop(items.remove(key.parse().unwrap())),
            (Value::Object(map), Some(value)) => drop(map.insert(key.to_owned(), value)),
            (Value::Object(map), None) => drop(map.remove(key).unwrap()),
            _ => unreachable!(),
        }
        schema
    }

    #[test]
    fn a_schema_of_all_elements_and_fields_is_taken() {
        for schema in [
            good(),
            but("/elements/0", None),
            but("/elements/0/create/optional_fields", None),
            but("/elements/1/settings/description", Some(json!("é".repeat(140)))),
            but("/elements/2", Some(json!({"type": "issue-media"}))),
            but("/elements/2/more", Some(json!(1))),
        ] {
            check_schema(&schema).unwrap();
        }
    }

    #[test]
    fn each_rule_refuses_what_breaks_it() {
        const CREATE: &str = "/elements/0/create";
        const SELECT: &str = "/elements/0/create/optional_fields/0";
        const RULE: &str = "/elements/1/settings";
        let cases = [
            ("/elements", None, "`elements` must be a list"),
            ("/elements", Some(json!({})), "`elements` must be a list"),
            ("/elements", Some(json!([])), "`elements` must not be empty"),
            ("/elements/2/type", None, "an element has no `type`"),
            ("/elements/2/type", Some(json!("issue-list")), "issue-list is no type of element"),
            ("/elements/0", Some(json!({"type": "stacktrace-link", "uri": "/x"})), "stacktrace-link is there twice"),
            ("/elements/0/link", None, "issue-link.link is missing"),
            ("/elements/0/create", None, "issue-link.create is missing"),
            ("/elements/2/uri", None, "stacktrace-link needs the text `uri`"),
            ("/elements/2/uri", Some(json!("frame")), "does not begin with `/`"),
            ("/elements/2/uri", Some(json!("https://a/b")), "does not begin with `/`"),
            ("/elements/2/uri", Some(json!("//evil.example/")), "with `//` or `@`"),
            ("/elements/2/uri", Some(json!("/a@evil.example")), "with `//` or `@`"),
            (&format!("{CREATE}/uri"), Some(json!(7)), "issue-link.create needs the text `uri`"),
            (&format!("{CREATE}/required_fields"), None, "has no `required_fields`"),
            (&format!("{CREATE}/required_fields"), Some(json!([])), "`required_fields` that are no list"),
            (&format!("{CREATE}/optional_fields"), Some(json!([])), "`optional_fields` that are no list"),
            (&format!("{CREATE}/required_fields/1/name"), None, "needs the text `name`"),
            (&format!("{CREATE}/required_fields/1/label"), Some(json!("")), "needs the text `label`"),
            (&format!("{CREATE}/required_fields/1/name"), Some(json!("label")), "two fields called `label`"),
            (&format!("{CREATE}/required_fields/1/type"), Some(json!("number")), "must be of the type `text`"),
            (&format!("{CREATE}/required_fields/1/default"), Some(json!("x")), "`default` that is neither"),
            (&format!("{SELECT}/uri"), None, "exactly one of `uri` and `options`"),
            (&format!("{SELECT}/options"), Some(json!([["a", "A"]])), "exactly one of `uri` and `options`"),
            (&format!("{SELECT}/uri"), Some(json!("labels")), "label has a `uri` that does not begin"),
            (&format!("{SELECT}/async"), Some(json!("yes")), "`async` that is neither"),
            (&format!("{SELECT}/skip_load_on_open"), Some(json!(1)), "`skip_load_on_open` that is neither"),
            (&format!("{SELECT}/depends_on"), Some(json!([])), "`depends_on` that is no list"),
            (&format!("{SELECT}/depends_on"), Some(json!("project")), "`depends_on` that is no list"),
            (&format!("{SELECT}/depends_on"), Some(json!(["repo"])), "depends on `repo`"),
            (&format!("{RULE}/required_fields/0/options"), Some(json!([])), "`options` that are no list"),
            (&format!("{RULE}/required_fields/0/options"), Some(json!([["a"]])), "`options` that are no list"),
            ("/elements/1/title", None, "alert-rule-action needs the text `title`"),
            ("/elements/1/settings", None, "alert-rule-action.settings is missing"),
            (&format!("{RULE}/type"), None, "must be of the type `alert-rule-settings`"),
            (&format!("{RULE}/uri"), None, "alert-rule-action.settings needs the text `uri`"),
            (&format!("{RULE}/description"), Some(json!("")), "1 to 140 characters"),
            (&format!("{RULE}/description"), Some(json!("é".repeat(141))), "1 to 140 characters"),
        ];
        for (pointer, value, why) in cases {
            let refused = check_schema(&but(pointer, value.clone())).expect_err(pointer).to_string();
            assert!(refused.contains(why), "{pointer} {value:?}: {refused}");
        }
    }
}

//! Sentry's rules for a schema: it refuses the form of an integration whose schema breaks one.

use serde_json::{Map, Value};

/// Sentry's limit, in characters.
const MAX_DESCRIPTION: usize = 140;
/// What the issue in front of the user can fill a field with.
const DEFAULTS: [&str; 2] = ["issue.title", "issue.description"];

type Object = Map<String, Value>;

/// Each rule that is broken, with where; empty if Sentry takes it.
pub fn broken(schema: &Value) -> Vec<String> {
    let mut check = Check::default();
    check.schema(schema);
    check.broken
}

#[derive(Default)]
struct Check {
    broken: Vec<String>,
}

impl Check {
    fn say(&mut self, at: &str, what: impl std::fmt::Display) {
        self.broken.push(format!("{at}: {what}"));
    }

    fn object<'v>(&mut self, value: Option<&'v Value>, at: &str) -> Option<&'v Object> {
        let object = value.and_then(Value::as_object);
        if object.is_none() {
            self.say(at, "an object is missing");
        }
        object
    }

    /// Text that is not empty.
    fn text<'v>(&mut self, object: &'v Object, key: &str, at: &str) -> Option<&'v str> {
        let text = object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text.is_none() {
            self.say(at, format_args!("the text `{key}` is missing"));
        }
        text
    }

    fn no_other_keys(&mut self, object: &Object, keys: &[&str], at: &str) {
        for key in object.keys().filter(|key| !keys.contains(&key.as_str())) {
            self.say(at, format_args!("the key `{key}` is unknown"));
        }
    }

    fn schema(&mut self, schema: &Value) {
        let Some(object) = self.object(Some(schema), "schema") else { return };
        self.no_other_keys(object, &["elements"], "schema");
        let elements = object.get("elements").and_then(Value::as_array).filter(|elements| !elements.is_empty());
        let Some(elements) = elements else {
            self.say("schema", "`elements` is a list with at least one element");
            return;
        };
        let mut types: Vec<&str> = Vec::new();
        for (number, element) in elements.iter().enumerate() {
            let at = format!("elements[{number}]");
            let Some(element) = self.object(Some(element), &at) else { continue };
            let Some(name) = self.text(element, "type", &at) else { continue };
            if types.contains(&name) {
                self.say(&at, format_args!("a second `{name}`: there is at most one of each type"));
            }
            types.push(name);
            self.element(element, name, &at);
        }
    }

    fn element(&mut self, element: &Object, name: &str, at: &str) {
        match name {
            "alert-rule-action" => {
                self.no_other_keys(element, &["type", "title", "settings"], at);
                self.text(element, "title", at);
                let at = format!("{at}.settings");
                let Some(settings) = self.object(element.get("settings"), &at) else { return };
                let keys = ["type", "uri", "required_fields", "optional_fields", "description"];
                self.no_other_keys(settings, &keys, &at);
                if settings.get("type").and_then(Value::as_str) != Some("alert-rule-settings") {
                    self.say(&at, "`type` is `alert-rule-settings`");
                }
                if let Some(description) = settings.get("description") {
                    let length = description.as_str().map_or(0, |text| text.chars().count());
                    if !(1..=MAX_DESCRIPTION).contains(&length) {
                        self.say(&at, format_args!("`description` has 1 to {MAX_DESCRIPTION} characters"));
                    }
                }
                self.form(settings, &at, false);
            }
            "issue-link" => {
                self.no_other_keys(element, &["type", "create", "link"], at);
                for form in ["create", "link"] {
                    let at = format!("{at}.{form}");
                    let Some(form) = self.object(element.get(form), &at) else { continue };
                    self.no_other_keys(form, &["uri", "required_fields", "optional_fields"], &at);
                    self.form(form, &at, true);
                }
            }
            "stacktrace-link" => {
                self.no_other_keys(element, &["type", "uri"], at);
                self.uri(element, at);
            }
            other => self.say(at, format_args!("`{other}` is no type of an element")),
        }
    }

    fn uri(&mut self, object: &Object, at: &str) {
        let Some(uri) = self.text(object, "uri", at) else { return };
        if !uri.starts_with('/') || uri.starts_with("//") || uri.contains('@') {
            self.say(at, "`uri` begins with one `/` and has no `@`");
        }
    }

    fn form(&mut self, form: &Object, at: &str, has_issue: bool) {
        self.uri(form, at);
        let mut fields: Vec<(String, &Object)> = Vec::new();
        for list in ["required_fields", "optional_fields"] {
            let Some(value) = form.get(list) else {
                if list == "required_fields" {
                    self.say(at, "`required_fields` is missing");
                }
                continue;
            };
            let Some(members) = value.as_array().filter(|members| !members.is_empty()) else {
                self.say(at, format_args!("`{list}` is a list with at least one field"));
                continue;
            };
            for (number, field) in members.iter().enumerate() {
                let at = format!("{at}.{list}[{number}]");
                if let Some(field) = self.object(Some(field), &at) {
                    fields.push((at, field));
                }
            }
        }
        let name_of = |field: &Object| field.get("name").and_then(Value::as_str).map(str::to_owned);
        let names: Vec<Option<String>> = fields.iter().map(|(_, field)| name_of(field)).collect();
        for (number, (at, field)) in fields.iter().enumerate() {
            self.text(field, "label", at);
            if let Some(name) = self.text(field, "name", at)
                && names[..number].contains(&Some(name.to_owned()))
            {
                self.say(at, format_args!("a second field `{name}`"));
            }
            self.field(field, at, has_issue);
            self.depends_on(field, at, &names);
        }
    }

    fn field(&mut self, field: &Object, at: &str, has_issue: bool) {
        match field.get("type").and_then(Value::as_str) {
            Some("text" | "textarea") => {
                self.no_other_keys(field, &["type", "label", "name", "default"], at);
                let Some(default) = field.get("default") else { return };
                if !has_issue {
                    self.say(at, "`default` works in an issue link only");
                } else if !default.as_str().is_some_and(|default| DEFAULTS.contains(&default)) {
                    self.say(at, "`default` is `issue.title` or `issue.description`");
                }
            }
            Some("select") => {
                let keys = ["type", "label", "name", "uri", "options", "async", "depends_on", "skip_load_on_open"];
                self.no_other_keys(field, &keys, at);
                match (field.get("uri"), field.get("options")) {
                    (Some(_), None) => self.uri(field, at),
                    (None, Some(options)) => self.options(options, at),
                    _ => self.say(at, "a select has one of `uri` and `options`"),
                }
                for key in ["async", "skip_load_on_open"] {
                    if field.get(key).is_some_and(|value| !value.is_boolean()) {
                        self.say(at, format_args!("`{key}` is true or false"));
                    }
                }
            }
            _ => self.say(at, "`type` is `text`, `textarea` or `select`"),
        }
    }

    fn options(&mut self, options: &Value, at: &str) {
        let is_option =
            |option: &Value| option.as_array().is_some_and(|pair| pair.len() == 2 && pair.iter().all(Value::is_string));
        let options = options.as_array().filter(|options| !options.is_empty());
        if !options.is_some_and(|options| options.iter().all(is_option)) {
            self.say(at, "`options` is a list of `[value, label]`, at least one");
        }
    }

    fn depends_on(&mut self, field: &Object, at: &str, names: &[Option<String>]) {
        let Some(value) = field.get("depends_on") else { return };
        let Some(needed) = value.as_array().filter(|needed| !needed.is_empty()) else {
            self.say(at, "`depends_on` is a list of names, at least one");
            return;
        };
        for needed in needed {
            let name = needed.as_str().unwrap_or_default();
            let is_own = field.get("name") == Some(needed);
            if is_own || !names.iter().flatten().any(|own| own == name) {
                self.say(at, format_args!("`depends_on` names `{name}`, which is no other field of the form"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({"elements": [
            {"type": "alert-rule-action", "title": "Send", "settings": {
                "type": "alert-rule-settings", "uri": "/a", "description": "d",
                "required_fields": [{"type": "select", "name": "to", "label": "To", "uri": "/o", "async": false}],
                "optional_fields": [
                    {"type": "select", "name": "who", "label": "Who", "uri": "/w", "depends_on": ["to"]},
                    {"type": "select", "name": "how", "label": "How", "options": [["1", "one"]]}]}},
            {"type": "issue-link",
             "create": {"uri": "/c", "required_fields": [
                {"type": "text", "name": "t", "label": "T", "default": "issue.title"}]},
             "link": {"uri": "/l", "required_fields": [{"type": "textarea", "name": "t", "label": "T"}]}},
            {"type": "stacktrace-link", "uri": "/s"},
        ]})
    }

    #[test]
    fn a_schema_that_keeps_the_rules_is_taken() {
        assert_eq!(broken(&good()), Vec::<String>::new());
    }

    #[test]
    fn each_rule_is_told_with_its_place() {
        const SETTINGS: &str = "/elements/0/settings";
        const TO: &str = "/elements/0/settings/required_fields/0";
        const WHO: &str = "/elements/0/settings/optional_fields/0";
        const HOW: &str = "/elements/0/settings/optional_fields/1";
        const TITLE: &str = "/elements/1/create/required_fields/0";
        // What is put where (null: taken away), and what is told.
        for (at, key, value, expected) in [
            ("", "elements", json!([]), "schema: `elements` is a list with at least one element"),
            ("", "elements", json!(null), "schema: `elements` is a list with at least one element"),
            ("", "element", json!([]), "schema: the key `element` is unknown"),
            ("/elements/2", "type", json!("issue-media"), "elements[2]: `issue-media` is no type"),
            ("/elements/2", "type", json!(null), "elements[2]: the text `type` is missing"),
            ("/elements/2", "uri", json!(null), "elements[2]: the text `uri` is missing"),
            ("/elements/2", "uri", json!("s"), "elements[2]: `uri` begins with one `/`"),
            ("/elements/2", "uri", json!("//evil.example/"), "elements[2]: `uri` begins with one `/`"),
            ("/elements/2", "uri", json!("/a@b"), "elements[2]: `uri` begins with one `/` and has no `@`"),
            ("/elements/0", "title", json!(""), "elements[0]: the text `title` is missing"),
            ("/elements/0", "settings", json!(null), "elements[0].settings: an object is missing"),
            (SETTINGS, "type", json!("settings"), "elements[0].settings: `type` is `alert-rule-settings`"),
            (SETTINGS, "description", json!("x".repeat(141)), "`description` has 1 to 140 characters"),
            (SETTINGS, "description", json!(""), "`description` has 1 to 140 characters"),
            (SETTINGS, "required_fields", json!(null), "`required_fields` is missing"),
            (SETTINGS, "required_fields", json!([]), "`required_fields` is a list with at least one field"),
            (SETTINGS, "optional_fields", json!([]), "`optional_fields` is a list with at least one field"),
            ("/elements/1", "link", json!(null), "elements[1].link: an object is missing"),
            ("/elements/1", "create", json!(null), "elements[1].create: an object is missing"),
            (TO, "label", json!(null), "required_fields[0]: the text `label` is missing"),
            (TO, "type", json!("number"), "`type` is `text`, `textarea` or `select`"),
            (TO, "uri", json!(null), "a select has one of `uri` and `options`"),
            (TO, "options", json!([["1", "one"]]), "a select has one of `uri` and `options`"),
            (TO, "async", json!("no"), "`async` is true or false"),
            (TO, "default", json!("issue.title"), "the key `default` is unknown"),
            (WHO, "depends_on", json!([]), "`depends_on` is a list of names"),
            (WHO, "depends_on", json!(["nobody"]), "`depends_on` names `nobody`"),
            (WHO, "depends_on", json!(["who"]), "`depends_on` names `who`"),
            (HOW, "name", json!("who"), "optional_fields[1]: a second field `who`"),
            (HOW, "options", json!([]), "`options` is a list of `[value, label]`"),
            (HOW, "options", json!([["1"]]), "`options` is a list of `[value, label]`"),
            (TITLE, "default", json!("issue.url"), "`default` is `issue.title` or `issue.description`"),
        ] {
            let mut schema = good();
            let object = schema.pointer_mut(at).unwrap().as_object_mut().unwrap();
            if value.is_null() {
                object.remove(key);
            } else {
                object.insert(key.to_owned(), value.clone());
            }
            let told = broken(&schema);
            assert!(told.iter().any(|told| told.contains(expected)), "{at} {key} {value}: {told:?}");
        }
    }

    #[test]
    fn there_is_one_of_each_type_and_a_default_only_where_there_is_an_issue() {
        let mut schema = good();
        let elements = schema["elements"].as_array_mut().unwrap();
        elements.push(elements[2].clone());
        assert_eq!(broken(&schema), ["elements[3]: a second `stacktrace-link`: there is at most one of each type"]);
        let mut schema = good();
        schema["elements"][0]["settings"]["optional_fields"][1] =
            json!({"type": "text", "name": "n", "label": "N", "default": "issue.title"});
        let told = "elements[0].settings.optional_fields[1]: `default` works in an issue link only";
        assert_eq!(broken(&schema), [told]);
        assert_eq!(broken(&json!([])), ["schema: an object is missing"]);
    }
}

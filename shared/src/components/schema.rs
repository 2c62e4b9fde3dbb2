//! What Sentry is told of the components: the schema in the integration's form, made from the routes file, so that it
//! never offers what is not there.

pub mod rules;

use serde_json::{Value, json};

use super::fields::{ALERT_RULE, CREATE, Field, Input, LINK};
use crate::routing::Routes;

/// Paths of the components, below the host of the webhook URL.
pub const ALERT_RULE_ACTION_PATH: &str = "/components/alert-rule-action";
pub const CREATE_PATH: &str = "/components/issue-link/create";
pub const LINK_PATH: &str = "/components/issue-link/link";
pub const STACKTRACE_LINK_PATH: &str = "/components/stacktrace-link";
/// A list's name follows.
pub const OPTIONS_PATH: &str = "/components/options/";

/// One kind of component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    AlertRuleAction,
    IssueLink,
    StacktraceLink,
}

impl Component {
    pub const ALL: [Self; 3] = [Self::AlertRuleAction, Self::IssueLink, Self::StacktraceLink];

    /// Its `type` in the schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlertRuleAction => "alert-rule-action",
            Self::IssueLink => "issue-link",
            Self::StacktraceLink => "stacktrace-link",
        }
    }

    /// Whether the file has what it is for. Without, it would be a form in which nothing can be picked.
    pub fn is_configured(self, routes: &Routes) -> bool {
        match self {
            Self::AlertRuleAction => routes.destinations().next().is_some(),
            Self::IssueLink => routes.trackers().next().is_some(),
            Self::StacktraceLink => !routes.stacktrace_links().is_empty(),
        }
    }

    fn element(self) -> Value {
        match self {
            Self::AlertRuleAction => {
                let mut settings = form(ALERT_RULE_ACTION_PATH, ALERT_RULE);
                settings["type"] = "alert-rule-settings".into();
                settings["description"] = DESCRIPTION.into();
                json!({ "type": self.name(), "title": "Send a notification", "settings": settings })
            }
            Self::IssueLink => {
                json!({ "type": self.name(), "create": form(CREATE_PATH, CREATE), "link": form(LINK_PATH, LINK) })
            }
            Self::StacktraceLink => json!({ "type": self.name(), "uri": STACKTRACE_LINK_PATH }),
        }
    }
}

const DESCRIPTION: &str =
    "It goes to the destination that you pick, besides what the routes say. The note stands above the message.";

/// The components that the file has something for.
pub fn configured(routes: &Routes) -> impl Iterator<Item = Component> {
    Component::ALL.into_iter().filter(|component| component.is_configured(routes))
}

/// The schema for Sentry's form; `None` if the file configures no component, since Sentry takes no empty one.
pub fn schema(routes: &Routes) -> Option<Value> {
    let elements: Vec<Value> = configured(routes).map(Component::element).collect();
    (!elements.is_empty()).then(|| json!({ "elements": elements }))
}

fn form(uri: &str, fields: &[Field]) -> Value {
    let listed = |required: bool| -> Vec<Value> {
        fields.iter().filter(|field| field.required == required).map(self::field).collect()
    };
    let mut form = json!({ "uri": uri, "required_fields": listed(true) });
    // An empty list is refused.
    let optional = listed(false);
    if !optional.is_empty() {
        form["optional_fields"] = optional.into();
    }
    form
}

fn field(field: &Field) -> Value {
    let mut json = json!({ "name": field.name, "label": field.label });
    match field.input {
        Input::Text { default } | Input::TextArea { default } => {
            let is_area = matches!(field.input, Input::TextArea { .. });
            json["type"] = if is_area { "textarea" } else { "text" }.into();
            if let Some(default) = default {
                json["default"] = default.into();
            }
        }
        Input::Select { options, as_one_types, depends_on } => {
            json["type"] = "select".into();
            json["uri"] = format!("{OPTIONS_PATH}{options}").into();
            json["async"] = as_one_types.into();
            if !depends_on.is_empty() {
                json["depends_on"] = depends_on.into();
            }
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESTINATION: &str = "[[destination]]\nname = \"log\"\ntype = \"console\"\n";
    const TRACKER: &str = "[[tracker]]\nname = \"t\"\ntype = \"github\"\ntoken = \"secret:t\"\n";
    const RULE: &str = "[[stacktrace_link]]\nproject = \"x\"\nurl = \"https://x.example/{path}\"\n";

    fn schema_of(text: &str) -> Option<Value> {
        let routes = Routes::compile(text).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        schema(&routes)
    }

    #[test]
    fn the_schema_has_what_the_file_configures_and_sentry_takes_it() {
        for (text, expected) in [
            ("", &[][..]),
            (DESTINATION, &["alert-rule-action"]),
            (TRACKER, &["issue-link"]),
            (RULE, &["stacktrace-link"]),
            (&[RULE, DESTINATION].concat(), &["alert-rule-action", "stacktrace-link"]),
            (&[TRACKER, RULE].concat(), &["issue-link", "stacktrace-link"]),
            (&[RULE, RULE, TRACKER, DESTINATION].concat(), &["alert-rule-action", "issue-link", "stacktrace-link"]),
        ] {
            let Some(schema) = schema_of(text) else {
                assert_eq!(expected, &[] as &[&str], "{text}");
                continue;
            };
            assert_eq!(rules::broken(&schema), Vec::<String>::new(), "{text}");
            let elements = schema["elements"].as_array().unwrap();
            let types: Vec<&str> = elements.iter().map(|element| element["type"].as_str().unwrap()).collect();
            assert_eq!(types, expected, "{text}");
        }
    }

    #[test]
    fn a_form_has_each_of_its_fields_once_with_how_it_is_filled() {
        let schema = schema_of(&[DESTINATION, TRACKER].concat()).unwrap();
        let settings = &schema["elements"][0]["settings"];
        assert_eq!(settings["uri"], "/components/alert-rule-action");
        assert_eq!(
            settings["required_fields"],
            json!([{"name": "destination", "label": "Send to", "type": "select",
                    "uri": "/components/options/destinations", "async": false}])
        );
        let names = |form: &Value, list: &str| -> Vec<String> {
            form[list].as_array().into_iter().flatten().map(|field| field["name"].as_str().unwrap().into()).collect()
        };
        let issue_link = &schema["elements"][1];
        for (form, fields) in [(settings, ALERT_RULE), (&issue_link["create"], CREATE), (&issue_link["link"], LINK)] {
            for (list, required) in [("required_fields", true), ("optional_fields", false)] {
                let expected: Vec<&str> =
                    fields.iter().filter(|field| field.required == required).map(|field| field.name).collect();
                assert_eq!(names(form, list), expected);
            }
        }
        let create = &issue_link["create"];
        assert_eq!(create["required_fields"][1]["default"], "issue.title");
        assert_eq!(create["optional_fields"][0]["type"], "textarea");
        assert_eq!(create["optional_fields"][1]["depends_on"], json!(["project"]));
        assert_eq!(issue_link["link"]["optional_fields"], Value::Null, "an empty list is refused");
    }
}

//! `template.yaml`, read as what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;
use system_tests::parts::workspace;

pub(crate) const FUNCTIONS: [&str; 6] = [
    "ComponentsFunction",
    "DeliverFunction",
    "DispatchFunction",
    "RefreshFunction",
    "SetupFunction",
    "WebhookFunction",
];
pub(crate) const EVENT_BUS: &str =
    "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}";

pub(crate) struct Template(pub(crate) Value);

impl Template {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(workspace().join("template.yaml")).expect("template.yaml");
        Self(plain(serde_yaml_ng::from_str(&text).expect("YAML")))
    }

    /// Properties of a resource, by its logical name.
    pub(crate) fn properties(&self, name: &str) -> &Value {
        let properties = &self.0["Resources"][name]["Properties"];
        assert!(properties.is_object(), "there is no resource {name}");
        properties
    }

    pub(crate) fn of_type(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let resources = self.0["Resources"].as_object().expect("resources");
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
            .collect()
    }

    /// A property of a function, else the one that holds for all.
    pub(crate) fn of_function(&self, name: &str, property: &str) -> &Value {
        let own = &self.properties(name)[property];
        if own.is_null() { &self.0["Globals"]["Function"][property] } else { own }
    }

    pub(crate) fn timeout_s(&self, function: &str) -> u64 {
        self.of_function(function, "Timeout").as_u64().expect("a time-out")
    }

    /// Every right of a function, as `action on resource`, and behind it the condition where it hangs on one.
    pub(crate) fn rights(&self, function: &str) -> BTreeSet<String> {
        let policies = self.properties(function)["Policies"].as_array().expect("policies");
        let (conditional, always): (Vec<&Value>, Vec<&Value>) =
            policies.iter().partition(|policy| policy["Fn::If"].is_array());
        let mut rights = rights_of(function, always);
        for policy in conditional {
            let choice = &policy["Fn::If"];
            assert_eq!(choice[2], json!({ "Ref": "AWS::NoValue" }), "{function}: without the condition, no right");
            let condition = choice[0].as_str().expect("a condition's name");
            let of = rights_of(function, vec![&choice[1]]);
            rights.extend(of.into_iter().map(|right| format!("{right} if {condition}")));
        }
        rights
    }
}

pub(crate) fn rights_of(function: &str, policies: Vec<&Value>) -> BTreeSet<String> {
    let statements = policies.into_iter().flat_map(|policy| {
        policy["Statement"].as_array().expect("a policy written out, not the name of somebody else's")
    });
    let mut rights = BTreeSet::new();
    for statement in statements {
        assert_eq!(statement["Effect"], "Allow", "{function}");
        assert_eq!(statement.as_object().expect("a statement").len(), 3, "{function}: {statement}");
        for action in one_or_many(&statement["Action"]) {
            for resource in one_or_many(&statement["Resource"]) {
                rights.insert(format!("{} on {}", action.as_str().expect("an action"), named(resource)));
            }
        }
    }
    rights
}

/// YAML with the short tags of `CloudFormation`, as the JSON that they stand for: `!Ref X` is `{"Ref": "X"}`.
fn plain(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let name = if matches!(name, "Ref" | "Condition") { name.to_owned() } else { format!("Fn::{name}") };
            json!({ name: plain(tagged.value) })
        }
        Yaml::Sequence(items) => items.into_iter().map(plain).collect(),
        Yaml::Mapping(pairs) => {
            let pairs =
                pairs.into_iter().map(|(key, value)| (key.as_str().expect("a text key").to_owned(), plain(value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        scalar => serde_json::to_value(scalar).expect("a scalar"),
    }
}

pub(crate) fn one_or_many(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

/// A resource as a policy names it. An ARN put together from text would escape the table of rights, hence the panic.
pub(crate) fn named(resource: &Value) -> String {
    ["Ref", "Fn::GetAtt", "Fn::Sub"]
        .iter()
        .find_map(|way| resource[way].as_str())
        .unwrap_or_else(|| panic!("{resource} names no resource of this template"))
        .to_owned()
}

pub(crate) fn right(actions: &[&str], resource: &str) -> Vec<String> {
    actions.iter().map(|action| format!("{action} on {resource}")).collect()
}

//! The rest of the stack: the API, tables, secrets, alarms, outputs.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared_aws::LOG_ATTRIBUTES;

use crate::document::Template;

#[test]
fn the_api_throttles_all_but_the_webhook_which_nobody_repeats() {
    let template = Template::read();
    let mut routes = BTreeSet::new();
    for (function, properties) in template.of_type("AWS::Serverless::Function") {
        for event in properties["Events"].as_object().into_iter().flat_map(Map::values) {
            if event["Type"] == "HttpApi" {
                let of = &event["Properties"];
                assert_eq!(of["ApiId"], json!({ "Ref": "Api" }));
                let text = |name: &str| of[name].as_str().expect("text").to_owned();
                routes.insert(format!("{} {} → {function}", text("Method"), text("Path")));
            }
        }
    }
    let expected = [
        "GET /components/options/{name} → ComponentsFunction",
        "GET /components/stacktrace-link → ComponentsFunction",
        "GET /setup → SetupFunction",
        "POST /components/alert-rule-action → ComponentsFunction",
        "POST /components/issue-link/create → ComponentsFunction",
        "POST /components/issue-link/link → ComponentsFunction",
        "POST /webhook → WebhookFunction",
    ];
    assert_eq!(routes, expected.map(str::to_owned).into());

    // Another stage would put a prefix before the paths; an access log would hold grant codes.
    let api = template.properties("Api").as_object().expect("properties");
    assert_eq!(api.keys().collect::<Vec<_>>(), ["RouteSettings"]);
    let throttled = api["RouteSettings"].as_object().expect("settings");
    let unthrottled = |route: &str| route.starts_with("POST /webhook ");
    let routes = routes.iter().filter(|route| !unthrottled(route));
    let routes: BTreeSet<&str> = routes.filter_map(|route| Some(route.split_once(" → ")?.0)).collect();
    assert_eq!(throttled.keys().map(String::as_str).collect::<BTreeSet<_>>(), routes);
    for (route, limits) in throttled {
        let burst = limits["ThrottlingBurstLimit"].as_u64().expect("a limit");
        assert!(burst >= 16, "{route}: somebody who clicks 16 times is still served: {burst}");
    }
}

#[test]
fn tables_have_the_keys_and_indexes_that_the_adapters_ask_for() {
    let template = Template::read();
    let key = |hash: &str, range: Option<&str>| {
        let range = range.map(|name| json!({ "AttributeName": name, "KeyType": "RANGE" }));
        Value::Array([json!({ "AttributeName": hash, "KeyType": "HASH" })].into_iter().chain(range).collect())
    };
    let index = |name: &str, hash: &str, range: &str, projection: Value| json!({ "IndexName": name, "KeySchema": key(hash, Some(range)), "Projection": projection });
    let keys_only = || json!({ "ProjectionType": "KEYS_ONLY" });
    let expected = [
        (
            "InstallationsTable",
            json!({ "installation": "S", "due_partition": "S", "due_at": "N" }),
            key("installation", None),
            json!([index("due", "due_partition", "due_at", keys_only())]),
            true,
        ),
        (
            "DeliveriesTable",
            json!({ "key": "S", "log_partition": "S", "time": "N", "stuck_for": "S", "accepted_at": "N" }),
            key("key", None),
            json!([
                index(
                    "log",
                    "log_partition",
                    "time",
                    json!({ "ProjectionType": "INCLUDE", "NonKeyAttributes": LOG_ATTRIBUTES })
                ),
                index("stuck", "stuck_for", "accepted_at", keys_only()),
            ]),
            true,
        ),
        ("SettingsTable", json!({ "key": "S" }), key("key", None), Value::Null, false),
    ];
    assert_eq!(template.of_type("AWS::DynamoDB::Table").len(), expected.len());
    for (name, attributes, key, indexes, expires) in expected {
        let table = template.properties(name);
        let defined = table["AttributeDefinitions"].as_array().expect("attributes").iter();
        let defined =
            defined.map(|of| (of["AttributeName"].as_str().expect("a name").to_owned(), of["AttributeType"].clone()));
        assert_eq!(Value::Object(defined.collect()), attributes, "{name}");
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST", "{name}");
        assert_eq!(table["KeySchema"], key, "{name}");
        assert_eq!(table["GlobalSecondaryIndexes"], indexes, "{name}");
        let forgets = json!({ "AttributeName": "expires", "Enabled": true });
        assert_eq!(table["TimeToLiveSpecification"], if expires { forgets } else { Value::Null }, "{name}");
    }
}

#[test]
fn installations_and_the_key_of_their_tokens_survive_a_mistake() {
    let template = Template::read();
    let table = template.properties("InstallationsTable");
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"], json!({ "PointInTimeRecoveryEnabled": true }));
    for name in ["InstallationsTable", "TokenKeySecret"] {
        assert_eq!(template.0["Resources"][name]["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(template.0["Resources"][name]["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn secrets_are_made_empty_and_hang_on_no_parameter_that_could_overwrite_them() {
    let template = Template::read();
    assert_eq!(template.of_type("AWS::SecretsManager::Secret").len(), 3);
    for name in ["AppSecret", "DestinationsSecret"] {
        assert_eq!(template.properties(name)["SecretString"], "{}", "{name}");
    }
    let key = &template.properties("TokenKeySecret")["GenerateSecretString"];
    assert_eq!(key, &json!({ "PasswordLength": 64, "ExcludePunctuation": true }));
}

#[test]
fn alarms_watch_what_is_given_up_and_what_waits_too_long() {
    let template = Template::read();
    let of_queue =
        |name: &str| json!([{ "Name": "QueueName", "Value": { "Fn::GetAtt": format!("{name}.QueueName") } }]);
    let depth = "ApproximateNumberOfMessagesVisible";
    let expected = [
        ("FailedDeliveriesAlarm", "Switchboard", "DeliveriesFailed", Value::Null, 1),
        ("EventsDeadLettersAlarm", "AWS/SQS", depth, of_queue("EventsDeadLetters"), 1),
        ("DeliveriesDeadLettersAlarm", "AWS/SQS", depth, of_queue("DeliveriesDeadLetters"), 1),
        ("OldestEventAlarm", "AWS/SQS", "ApproximateAgeOfOldestMessage", of_queue("EventsQueue"), 1200),
    ];
    assert_eq!(template.of_type("AWS::CloudWatch::Alarm").len(), expected.len());
    for (name, namespace, metric, dimensions, threshold) in expected {
        let alarm = template.properties(name);
        assert_eq!(alarm["Namespace"], namespace, "{name}");
        assert_eq!(alarm["MetricName"], metric, "{name}");
        assert_eq!(alarm["Dimensions"], dimensions, "{name}");
        assert_eq!(alarm["Threshold"], threshold, "{name}");
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
        let told = json!({ "Fn::If": ["HasAlarmEmail", [{ "Ref": "Alarms" }], { "Ref": "AWS::NoValue" }] });
        assert_eq!(alarm["AlarmActions"], told, "{name}");
    }
    assert_eq!(template.0["Parameters"]["AlarmEmail"]["Default"], "");
}

#[test]
fn outputs_are_what_a_person_pastes_next() {
    let template = Template::read();
    let output = |name: &str| {
        let value = &template.0["Outputs"][name]["Value"];
        value["Fn::Sub"].as_str().or_else(|| value["Ref"].as_str()).unwrap_or_else(|| panic!("no output {name}"))
    };
    let host = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}";
    assert_eq!(output("RedirectUrl"), format!("{host}/setup"));
    assert_eq!(output("WebhookUrl"), format!("{host}/webhook"));
    for (name, secret) in [("FillAppSecret", "${AppSecret}"), ("FillDestinationsSecret", "${DestinationsSecret}")] {
        let command = output(name);
        let start = format!("aws secretsmanager put-secret-value --region ${{AWS::Region}} --secret-id {secret} ");
        let rest = command.strip_prefix(&start).unwrap_or_else(|| panic!("{command}"));
        let value = rest.strip_prefix("--secret-string '").and_then(|rest| rest.strip_suffix('\'')).expect("a value");
        let value: Value = serde_json::from_str(value).expect("JSON that the functions can read");
        assert!(value.as_object().is_some_and(|fields| fields.values().all(Value::is_string)), "{value}");
    }
    let push = "AWS_REGION=${AWS::Region} SETTINGS_TABLE=${SettingsTable} switchboard routes push routes.toml";
    assert_eq!(output("PushRoutes"), push);
    assert_eq!(output("AppSecretId"), "AppSecret");
    assert_eq!(output("DestinationsSecretId"), "DestinationsSecret");
}

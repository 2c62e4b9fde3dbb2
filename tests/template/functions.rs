//! What each function may do, is told, and has of time and memory.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Map, Value, json};
use system_tests::deploy::function_names;
use system_tests::parts::workspace;

use crate::document::{EVENT_BUS, FUNCTIONS, Template, right};

#[test]
fn each_function_may_do_exactly_what_it_does() {
    let template = Template::read();
    let secret = |name| right(&["secretsmanager:GetSecretValue"], name);
    let read_and_write = |name| right(&["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], name);
    let read = |name| right(&["dynamodb:GetItem"], name);
    let send = |name| right(&["sqs:SendMessage"], name);
    let consume = |name| {
        let actions =
            ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"];
        right(&actions, name)
    };
    let (installations, deliveries, settings) = ("InstallationsTable.Arn", "DeliveriesTable.Arn", "SettingsTable.Arn");

    let expected = [
        ("SetupFunction", vec![secret("AppSecret"), secret("TokenKeySecret"), read_and_write(installations)]),
        // Whoever breaks in here can read no table and no token.
        ("WebhookFunction", vec![secret("AppSecret"), send("EventsQueue.Arn")]),
        // No key of the tokens: it calls trackers, never Sentry.
        (
            "ComponentsFunction",
            vec![
                secret("AppSecret"),
                secret("DestinationsSecret"),
                read(installations),
                read(settings),
                right(&["dynamodb:GetItem", "dynamodb:PutItem"], deliveries),
            ],
        ),
        (
            "DispatchFunction",
            vec![
                secret("AppSecret"),
                secret("TokenKeySecret"),
                read_and_write(installations),
                read_and_write(deliveries),
                read(settings),
                send("DeliveriesQueue.Arn"),
                consume("EventsQueue.Arn"),
            ],
        ),
        (
            "DeliverFunction",
            vec![
                secret("DestinationsSecret"),
                read_and_write(deliveries),
                // A thread that is gone is forgotten.
                right(&["dynamodb:DeleteItem"], deliveries),
                right(&["dynamodb:Query"], "${DeliveriesTable.Arn}/index/stuck"),
                read(settings),
                send("EventsQueue.Arn"),
                right(&["events:PutEvents"], &format!("{EVENT_BUS} if HasEventBus")),
                consume("DeliveriesQueue.Arn"),
            ],
        ),
        (
            "RefreshFunction",
            vec![
                secret("AppSecret"),
                secret("TokenKeySecret"),
                read_and_write(installations),
                right(&["dynamodb:Query"], "${InstallationsTable.Arn}/index/due"),
            ],
        ),
    ];
    assert_eq!(expected.len(), template.of_type("AWS::Serverless::Function").len());
    for (function, rights) in expected {
        assert_eq!(template.rights(function), rights.into_iter().flatten().collect(), "{function}");
        assert!(template.properties(function)["Role"].is_null(), "{function} has a role besides its policies");
    }
}

#[test]
fn no_right_comes_in_by_another_way() {
    let template = Template::read();
    for kind in ["AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::Serverless::Connector"] {
        assert_eq!(template.of_type(kind), BTreeMap::new(), "{kind}");
    }
    for (function, properties) in template.of_type("AWS::Serverless::Function") {
        let events = properties["Events"].as_object().cloned().unwrap_or_default();
        for (event, of) in events {
            // For an SQS event, SAM attaches AWS's own policy, which may consume every queue of the account.
            assert!(["HttpApi", "ScheduleV2"].contains(&of["Type"].as_str().expect("a type")), "{function} {event}");
        }
        assert!(properties["Connectors"].is_null(), "{function}");
    }
}

#[test]
fn each_function_is_built_from_the_package_of_its_name() {
    let template = Template::read();
    let text = fs::read_to_string(workspace().join("template.yaml")).expect("template.yaml");
    assert_eq!(function_names(&text).len(), FUNCTIONS.len());
    for function in FUNCTIONS {
        let name = function.trim_end_matches("Function").to_lowercase();
        let code = template.properties(function)["CodeUri"].as_str().expect("CodeUri");
        assert_eq!(code, format!("functions/{name}"));
        let manifest = fs::read_to_string(workspace().join(code).join("Cargo.toml")).expect("its Cargo.toml");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert_eq!(
            template.0["Resources"][function]["Metadata"],
            json!({ "BuildMethod": "rust-cargolambda" }),
            "{name}"
        );
    }
    let all = &template.0["Globals"]["Function"];
    assert_eq!(all["Runtime"], "provided.al2023");
    assert_eq!(all["Handler"], "bootstrap");
    assert_eq!(all["Architectures"], json!([{ "Ref": "Architecture" }]));
    assert_eq!(template.0["Parameters"]["Architecture"]["Default"], "arm64");
}

#[test]
fn time_outs_and_memory_fit_what_a_function_waits_for() {
    let template = Template::read();
    let expected = [
        ("SetupFunction", 30, 1024),
        ("WebhookFunction", 30, 1024),
        ("ComponentsFunction", 15, 1024),
        ("DispatchFunction", 60, 512),
        ("DeliverFunction", 30, 512),
        ("RefreshFunction", 240, 512),
    ];
    for (function, timeout_s, memory_mb) in expected {
        assert_eq!(template.timeout_s(function), timeout_s, "{function}");
        assert_eq!(template.of_function(function, "MemorySize"), memory_mb, "{function}");
    }
}

#[test]
fn each_function_is_told_what_it_may_use_and_no_more() {
    let template = Template::read();
    let values = [
        ("APP_SECRET_ID", "AppSecret"),
        ("TOKEN_KEY_SECRET_ID", "TokenKeySecret"),
        ("DESTINATIONS_SECRET_ID", "DestinationsSecret"),
        ("INSTALLATIONS_TABLE", "InstallationsTable"),
        ("DELIVERIES_TABLE", "DeliveriesTable"),
        ("SETTINGS_TABLE", "SettingsTable"),
        ("EVENTS_QUEUE_URL", "EventsQueue"),
        ("DELIVERIES_QUEUE_URL", "DeliveriesQueue"),
    ];
    for function in FUNCTIONS {
        let rights = template.rights(function);
        let usable = values.iter().filter(|(_, resource)| {
            rights.iter().any(|right| {
                let (_, on) = right.split_once(" on ").expect("a right");
                on.trim_start_matches("${").split('.').next() == Some(resource)
            })
        });
        let expected: Map<_, _> =
            usable.map(|(name, resource)| ((*name).to_owned(), json!({ "Ref": resource }))).collect();
        assert_eq!(template.properties(function)["Environment"]["Variables"], Value::Object(expected), "{function}");
    }
    assert_eq!(
        template.0["Globals"]["Function"]["Environment"]["Variables"],
        json!({ "LOG_LEVEL": { "Ref": "LogLevel" }, "SENTRY_BASE_URL": { "Ref": "SentryBaseUrl" } })
    );
    assert_eq!(template.0["Parameters"]["SentryBaseUrl"]["Default"], "https://sentry.io");
    assert_eq!(template.0["Parameters"]["LogLevel"]["Default"], "info");
}

#[test]
fn without_a_name_no_event_bus_may_be_put_onto() {
    let template = Template::read();
    assert_eq!(template.0["Parameters"]["EventBusName"]["Default"], "");
    let named = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "EventBusName" }, ""] }] });
    assert_eq!(template.0["Conditions"]["HasEventBus"], named);
}

#[test]
fn each_function_logs_into_a_group_that_forgets() {
    let template = Template::read();
    assert_eq!(template.of_type("AWS::Logs::LogGroup").len(), FUNCTIONS.len());
    for function in FUNCTIONS {
        let name = function.trim_end_matches("Function");
        assert_eq!(
            template.properties(function)["LoggingConfig"],
            json!({ "LogGroup": { "Ref": format!("{name}Logs") } })
        );
        let group = template.properties(&format!("{name}Logs"));
        assert_eq!(group["RetentionInDays"], json!({ "Ref": "LogRetentionDays" }));
        let path = format!("/switchboard/${{AWS::StackName}}/{}", name.to_lowercase());
        assert_eq!(group["LogGroupName"], json!({ "Fn::Sub": path }));
    }
}

#[test]
fn sam_never_deploys_a_stale_build() {
    let config = fs::read_to_string(workspace().join("samconfig.toml")).expect("samconfig.toml");
    let set: Vec<_> = config.lines().filter(|line| line.trim_start().starts_with("cached")).collect();
    assert_eq!(set, Vec::<&str>::new(), "sam hashes a function's own folder only and would miss a change in shared/");
}

//! What `template.yaml` promises, read from the file itself: rights, time-outs, queues, mappings, tables, secrets.
//!
//! No local stand-in enforces any of this, so a slip here would first be seen on AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;
use shared_aws::LOG_ATTRIBUTES;
use system_tests::deploy::function_names;
use system_tests::parts::workspace;

const FUNCTIONS: [&str; 6] = [
    "ComponentsFunction",
    "DeliverFunction",
    "DispatchFunction",
    "RefreshFunction",
    "SetupFunction",
    "WebhookFunction",
];
const EVENT_BUS: &str = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}";
const FOURTEEN_DAYS_S: u64 = 14 * 24 * 60 * 60;

struct Template(Value);

impl Template {
    fn read() -> Self {
        let text = fs::read_to_string(workspace().join("template.yaml")).expect("template.yaml");
        Self(plain(serde_yaml_ng::from_str(&text).expect("YAML")))
    }

    /// Properties of a resource, by its logical name.
    fn properties(&self, name: &str) -> &Value {
        let properties = &self.0["Resources"][name]["Properties"];
        assert!(properties.is_object(), "there is no resource {name}");
        properties
    }

    fn of_type(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let resources = self.0["Resources"].as_object().expect("resources");
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
            .collect()
    }

    /// A property of a function, else the one that holds for all.
    fn of_function(&self, name: &str, property: &str) -> &Value {
        let own = &self.properties(name)[property];
        if own.is_null() { &self.0["Globals"]["Function"][property] } else { own }
    }

    fn timeout_s(&self, function: &str) -> u64 {
        self.of_function(function, "Timeout").as_u64().expect("a time-out")
    }

    /// Every right of a function, as `action on resource`, and behind it the condition where it hangs on one.
    fn rights(&self, function: &str) -> BTreeSet<String> {
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

fn rights_of(function: &str, policies: Vec<&Value>) -> BTreeSet<String> {
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

fn one_or_many(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

/// A resource as a policy names it. An ARN put together from text would escape the table of rights, hence the panic.
fn named(resource: &Value) -> String {
    ["Ref", "Fn::GetAtt", "Fn::Sub"]
        .iter()
        .find_map(|way| resource[way].as_str())
        .unwrap_or_else(|| panic!("{resource} names no resource of this template"))
        .to_owned()
}

fn right(actions: &[&str], resource: &str) -> Vec<String> {
    actions.iter().map(|action| format!("{action} on {resource}")).collect()
}

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
fn queues_are_pairs_of_fifo_queues_in_high_throughput_mode() {
    let template = Template::read();
    let pairs = [("EventsQueue", "EventsDeadLetters"), ("DeliveriesQueue", "DeliveriesDeadLetters")];
    let queues = template.of_type("AWS::SQS::Queue");
    assert_eq!(queues.len(), 4);
    for (name, queue) in queues {
        assert_eq!(queue["FifoQueue"], true, "{name}");
        // Only both together make high throughput; AWS refuses the second alone, and no stand-in does.
        assert_eq!(queue["DeduplicationScope"], "messageGroup", "{name}");
        assert_eq!(queue["FifoThroughputLimit"], "perMessageGroupId", "{name}");
        assert_eq!(queue["MessageRetentionPeriod"], FOURTEEN_DAYS_S, "{name}");
        assert!(queue["ContentBasedDeduplication"].is_null(), "{name}: ids are ours");
    }
    for (queue, dead_letters) in pairs {
        let redrive =
            json!({ "deadLetterTargetArn": { "Fn::GetAtt": format!("{dead_letters}.Arn") }, "maxReceiveCount": 100 });
        assert_eq!(template.properties(queue)["RedrivePolicy"], redrive);
        assert!(template.properties(dead_letters)["RedrivePolicy"].is_null());
    }
}

#[test]
fn a_message_stays_hidden_long_enough_for_the_function_that_has_it() {
    let template = Template::read();
    // Six time-outs is AWS's advice, for throttled tries of a batch; `dispatch` gives back what it had no time for.
    for (queue, function, times) in [("DeliveriesQueue", "DeliverFunction", 6), ("EventsQueue", "DispatchFunction", 3)]
    {
        let hidden_s = template.properties(queue)["VisibilityTimeout"].as_u64().expect("a visibility time-out");
        assert_eq!(hidden_s, 180, "{queue}");
        assert!(hidden_s >= times * template.timeout_s(function), "{queue}");
    }
}

#[test]
fn mappings_report_single_failures_and_leave_concurrency_to_the_webhook() {
    let template = Template::read();
    let expected = [
        ("DispatchMapping", "DispatchFunction", "EventsQueue.Arn", 10, "DispatchConcurrency"),
        ("DeliverMapping", "DeliverFunction", "DeliveriesQueue.Arn", 1, "DeliverConcurrency"),
    ];
    assert_eq!(template.of_type("AWS::Lambda::EventSourceMapping").len(), expected.len());
    for (mapping, function, queue, batch, concurrency) in expected {
        assert_eq!(
            template.properties(mapping),
            &json!({
                "FunctionName": { "Ref": function },
                "EventSourceArn": { "Fn::GetAtt": queue },
                "BatchSize": batch,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ScalingConfig": { "MaximumConcurrency": { "Ref": concurrency } },
            })
        );
        let parameter = &template.0["Parameters"][concurrency];
        assert_eq!(
            (&parameter["Default"], &parameter["MinValue"], &parameter["MaxValue"]),
            (&json!(2), &json!(2), &json!(1000))
        );
    }
}

#[test]
fn refresh_is_done_before_its_next_tick_begins() {
    let template = Template::read();
    let refresh = template.properties("RefreshFunction");
    let tick = &refresh["Events"]["Tick"];
    assert_eq!(tick["Type"], "ScheduleV2");
    assert_eq!(tick["Properties"]["ScheduleExpression"], "rate(5 minutes)");
    assert!(template.timeout_s("RefreshFunction") < 5 * 60);
    assert_eq!(refresh["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
}

#[test]
fn deliver_looks_after_what_is_paused_every_minute_and_is_done_before_the_next() {
    let template = Template::read();
    let deliver = template.properties("DeliverFunction");
    let events = deliver["Events"].as_object().expect("events");
    assert_eq!(events.keys().collect::<Vec<_>>(), ["Tick"], "its queue comes by the mapping");
    assert_eq!(events["Tick"]["Type"], "ScheduleV2");
    let tick = &events["Tick"]["Properties"];
    assert_eq!(tick["ScheduleExpression"], "rate(1 minute)");
    let input: Value = serde_json::from_str(tick["Input"].as_str().expect("an input")).expect("JSON");
    assert!(input.get("Records").is_none(), "that is what tells a batch from a tick");
    assert!(template.timeout_s("DeliverFunction") < 40, "shorter than the lease on a destination");
    assert_eq!(deliver["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
}

#[test]
fn without_a_name_no_event_bus_may_be_put_onto() {
    let template = Template::read();
    assert_eq!(template.0["Parameters"]["EventBusName"]["Default"], "");
    let named = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "EventBusName" }, ""] }] });
    assert_eq!(template.0["Conditions"]["HasEventBus"], named);
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

#[test]
fn sam_never_deploys_a_stale_build() {
    let config = fs::read_to_string(workspace().join("samconfig.toml")).expect("samconfig.toml");
    let set: Vec<_> = config.lines().filter(|line| line.trim_start().starts_with("cached")).collect();
    assert_eq!(set, Vec::<&str>::new(), "sam hashes a function's own folder only and would miss a change in shared/");
}

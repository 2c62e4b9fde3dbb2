//! The deployed bundle: set up as its README says, and looked into.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::ports::{Installation, Installations, Written};
use shared_aws::DynamoInstallations;
use system_tests::deploy::Stack;
use system_tests::http;
use system_tests::ministack::MiniStack;
use system_tests::parts::Parts;

use crate::clients;
use crate::outside::{self, Outside};

const LIMIT: Duration = Duration::from_mins(1);
const NAMES: [&str; 6] = ["webhook", "setup", "components", "dispatch", "deliver", "refresh"];

pub(crate) struct Bundle<'a> {
    stack: Stack<'a>,
    outside: &'a Outside,
    installations: DynamoInstallations,
    /// Holds the routes file.
    folder: PathBuf,
}

impl<'a> Bundle<'a> {
    /// Deploys it, fills its secrets, pushes its routes, and points both sides at each other.
    pub(crate) fn deploy(parts: &'a Parts, aws: &'a MiniStack, outside: &'a Outside) -> Self {
        let stack =
            Stack::deploy(parts, aws, "story", &[("SentryBaseUrl", outside.sentry_url.as_str())]).expect("deploy");
        let config = clients::config(&aws.endpoint());
        let installations = DynamoInstallations::new(&config, stack.output("InstallationsTableName").expect("a table"));
        let bundle = Self { stack, outside, installations, folder: aws.folder().to_owned() };
        // The stand-in for Pushover is on loopback, which no destination may be on AWS.
        bundle.stack.allow_private_destinations().expect("set a variable");

        let sentry = &outside.sentry;
        let app = json!({ "client_id": sentry.client_id(), "client_secret": sentry.client_secret().expose_secret() });
        bundle.stack.fill_app_secret(&app).expect("fill the app secret");
        let destinations = json!({ "pushover-user": outside::USER, "pushover-token": outside::TOKEN });
        bundle.stack.fill_destinations_secret(&destinations).expect("fill the destinations' secret");
        fs::write(bundle.folder.join("routes.toml"), routes(&outside.pushover_url)).expect("a folder");
        bundle.operator("PushRoutes", None);
        assert_eq!(bundle.operator("PushRoutes", Some("routes diff routes.toml")), "", "they are in force");

        sentry.set_webhook_url(bundle.stack.webhook_url());
        sentry.set_redirect_url(bundle.stack.redirect_url());
        // Debug binaries start slowly: not within Sentry's one second.
        let unsigned = http::request("POST", &bundle.stack.webhook_url(), &[], b"{}").expect("an answer");
        assert_eq!(unsigned.status, 401, "{}", unsigned.text);
        bundle
    }

    /// Runs the command that an output of the stack prints, or another with its variables; what it prints.
    pub(crate) fn operator(&self, output: &str, arguments: Option<&str>) -> String {
        self.stack.switchboard(output, arguments, &self.folder).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The first word of the line about a failed delivery of that title, once it is listed: its id.
    pub(crate) fn wait_until_failed(&self, title: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            let listed = self.operator("FailedDeliveries", None);
            if let Some(line) = listed.lines().find(|line| line.contains(title)) {
                return line.split_whitespace().next().expect("an id").to_owned();
            }
            assert!(Instant::now() < until, "{listed}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    pub(crate) fn row(&self, installation: &str) -> Option<Installation> {
        let id = installation.parse().expect("a uuid");
        self.outside.run(self.installations.read(id, Timestamp::now())).expect("the table answers")
    }

    pub(crate) fn write(&self, row: &Installation) {
        let written = self.outside.run(self.installations.write(row, Timestamp::now())).expect("the table answers");
        assert_eq!(written, Written::Done);
    }

    /// Runs a function as its schedule does.
    pub(crate) fn invoke(&self, function: &str) {
        let answer = self.stack.invoke(function, &json!({})).expect("invoke");
        assert_eq!(answer, Value::Null, "{function}");
    }

    /// How many deliveries `dispatch` made of an event, by its log, once it has routed one of that name and title.
    pub(crate) fn wait_until_dispatched(&self, event: &str, title: Option<&str>) -> u64 {
        let lines = self.wait_for_lines(1, |line| {
            line["event.name"] == event && title.is_none_or(|title| line["message"] == title)
        });
        lines[0]["deliveries"].as_u64().expect("a number")
    }

    /// Waits until `dispatch` has routed this many events of that name.
    pub(crate) fn wait_until_dispatched_times(&self, event: &str, times: usize) {
        self.wait_for_lines(times, |line| line["event.name"] == event);
    }

    fn wait_for_lines(&self, count: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let until = Instant::now() + LIMIT;
        loop {
            let log = self.stack.log("dispatch").unwrap_or_default();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let found: Vec<Value> = lines.filter(|line| line["deliveries"].is_u64() && wanted(line)).collect();
            if found.len() >= count {
                return found;
            }
            assert!(Instant::now() < until, "the log of dispatch:\n{log}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What all functions have printed so far.
    pub(crate) fn log(&self) -> String {
        NAMES.map(|name| self.stack.log(name).expect("a log group")).join("\n")
    }
}

fn routes(pushover: &str) -> String {
    format!(
        r#"
[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
base_url = "{pushover}"

[[route]]
name = "backend"
when = {{ event = ["issue.created", "event_alert.triggered"], project = "Backend" }}
to = ["phones"]
"#
    )
}

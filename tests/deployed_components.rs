//! Sentry's UI components, deployed: HTTP API → `components`, with the real binary in a stack made from
//! `template.yaml`, and the suite that `serve` passes too.

mod clients;

use std::sync::Arc;

use jiff::Timestamp;
use shared::ports::{Installations, Settings, Written};
use shared_aws::{DynamoInstallations, DynamoSettings};
use shared_conformance::{At, ComponentsSetting, components};
use simulator::{GitHub, Version};
use system_tests::deploy::Stack;
use system_tests::ministack::MiniStack;
use system_tests::parts::Parts;
use tokio::net::TcpListener;

#[tokio::test]
async fn every_promise_is_kept_on_lambda() {
    let github = GitHub::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let tracker = format!("http://{}", listener.local_addr().expect("bound"));
    let router = github.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let setting = ComponentsSetting::new(Version::Today, github, &tracker).await;

    let parts = Parts::installed().expect("parts");
    let aws = MiniStack::start(&parts).expect("MiniStack");
    let stack = Stack::deploy(&parts, &aws, "components", &[]).expect("deploy");
    stack.allow_private_destinations().expect("set a variable");
    stack.fill_app_secret(&setting.app_secret()).expect("fill the app secret");
    stack.fill_destinations_secret(&setting.destination_secrets()).expect("fill the destinations' secret");
    let config = clients::config(&aws.endpoint());
    let now = Timestamp::now();
    let settings = DynamoSettings::new(&config, stack.output("SettingsTableName").expect("a table"));
    assert_eq!(settings.put_routes(&setting.routes(), 0, now).await.expect("the table answers"), Written::Done);
    let installations = DynamoInstallations::new(&config, stack.output("InstallationsTableName").expect("a table"));
    for row in setting.installations() {
        assert_eq!(installations.write(&row, now).await.expect("the table answers"), Written::Done);
    }

    components(&setting, Arc::new(At(stack.url("")))).await;

    let log = stack.log("components").expect("log");
    assert!(log.contains("board does not answer in time"), "the log says what went wrong: {log}");
    assert!(log.contains(r#""ComponentsFailed":1"#), "a token that the tracker does not know is counted: {log}");
    for secret in [&setting.app_secret()["client_secret"], &setting.destination_secrets()["github"]] {
        assert!(!log.contains(secret.as_str().expect("a text")), "a secret is in the log");
    }
}

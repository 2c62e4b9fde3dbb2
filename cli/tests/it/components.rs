//! Sentry's UI components of `serve`: the suite that the function passes too.

use std::sync::Arc;

use shared::ports::{Installations as _, SystemClock, Written};
use shared_conformance::{At, ComponentsSetting, components};
use shared_embedded::Store;
use simulator::{GitHub, Version};

use crate::running::{Serve, command, free_port, write};

#[tokio::test]
async fn every_promise_is_kept_by_serve() {
    let github = GitHub::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tracker = format!("http://{}", listener.local_addr().unwrap());
    let router = github.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let setting = ComponentsSetting::new(Version::V23_7_1, github, &tracker).await;

    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let store = Store::open(&data_dir, SystemClock).unwrap();
    for row in setting.installations() {
        let written = store.installations().write(&row, jiff::Timestamp::now()).await;
        assert_eq!(written.unwrap(), Written::Done);
    }
    drop(store);

    let (app, secrets) = (setting.app_secret(), setting.destination_secrets());
    let secrets = secrets.as_object().unwrap().iter().map(|(name, value)| format!("{name} = {value}\n"));
    let secrets = secrets.collect::<Vec<_>>().concat();
    let port = free_port();
    let mut serve = command(&data_dir, port);
    serve
        .arg("--allow-private-destinations")
        .arg("--routes")
        .arg(write(folder.path(), "routes.toml", &setting.routes()))
        .arg("--secrets")
        .arg(write(folder.path(), "secrets.toml", &secrets))
        .env("SENTRY_CLIENT_ID", app["client_id"].as_str().unwrap())
        .env("SENTRY_CLIENT_SECRET", app["client_secret"].as_str().unwrap());
    let serve = Serve::start(serve, port).await;
    components(&setting, Arc::new(At(format!("http://{}", serve.address)))).await;
}

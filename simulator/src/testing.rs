//! What this crate's own tests share: a clock to turn, an app that answers what it is told, calls without a socket.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::deliver::Answering;
use crate::{Config, Deliver, SendFailure, Simulator, Version};

/// Milliseconds since 1970, turned by hand and by every wait.
#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicI64>);

impl Time {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

/// Answers webhooks with the statuses it was given, then with 202; keeps what came.
#[derive(Clone, Default)]
pub(crate) struct App {
    answers: Arc<Mutex<VecDeque<Result<u16, SendFailure>>>>,
    pub(crate) received: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl App {
    pub(crate) fn will_answer(&self, answers: impl IntoIterator<Item = Result<u16, SendFailure>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    pub(crate) fn body(&self, index: usize) -> Value {
        serde_json::from_slice(self.received.lock().unwrap()[index].body()).unwrap()
    }

    pub(crate) fn header(&self, index: usize, name: &str) -> String {
        self.received.lock().unwrap()[index].headers()[name].to_str().unwrap().to_owned()
    }
}

impl Deliver for App {
    fn send(&self, request: Request<Bytes>, _: Duration) -> Answering {
        self.received.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(202));
        Box::pin(async move { answer.map(|status| Response::builder().status(status).body(Bytes::new()).unwrap()) })
    }
}

/// A simulator in virtual time, and the app it talks to.
pub(crate) fn simulated(config: Config) -> (Simulator, App, Time) {
    let app = App::default();
    let start: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
    let time = Time(Arc::new(AtomicI64::new(start.as_millisecond())));
    let (reads, turns) = (time.clone(), time.clone());
    let simulator = Simulator::new(Config {
        webhook_url: Some("http://app.test/webhook".to_owned()),
        redirect_url: Some("http://app.test/setup".to_owned()),
        clock: Arc::new(move || Timestamp::from_millisecond(reads.0.load(Ordering::SeqCst)).unwrap()),
        sleep: Arc::new(move |wait| {
            turns.pass(wait);
            Box::pin(tokio::task::yield_now())
        }),
        deliver: Arc::new(app.clone()),
        ..config
    });
    (simulator, app, time)
}

pub(crate) fn of(version: Version) -> (Simulator, App, Time) {
    simulated(Config { version, ..Config::default() })
}

pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

pub(crate) async fn send(simulator: &Simulator, request: Request<Body>) -> Answered {
    let response = simulator.router().oneshot(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answered { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

/// `method` `path` with a bearer token and a JSON body, where there is one.
pub(crate) async fn call(
    simulator: &Simulator,
    method: &str,
    path: &str,
    bearer: &str,
    body: Option<Value>,
) -> Answered {
    let mut request = Request::builder().method(method).uri(path);
    if !bearer.is_empty() {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let body = body.map(|body| body.to_string());
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    send(simulator, request.body(Body::from(body.unwrap_or_default())).unwrap()).await
}

pub(crate) fn token_path(installation: &str) -> String {
    format!("/api/0/sentry-app-installations/{installation}/authorizations/")
}

/// A request body with this app's credentials.
pub(crate) fn grant(simulator: &Simulator, rest: &Value) -> Value {
    let mut body = json!({
        "client_id": simulator.client_id(), "client_secret": simulator.client_secret().expose_secret(),
    });
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    body
}

pub(crate) async fn exchange(simulator: &Simulator, installation: &str, code: &str) -> Answered {
    let body = grant(simulator, &json!({"grant_type": "authorization_code", "code": code}));
    call(simulator, "POST", &token_path(installation), "", Some(body)).await
}

pub(crate) async fn refresh(simulator: &Simulator, installation: &str, token: &str) -> Answered {
    let body = grant(simulator, &json!({"grant_type": "refresh_token", "refresh_token": token}));
    call(simulator, "POST", &token_path(installation), "", Some(body)).await
}

pub(crate) async fn manual_refresh(simulator: &Simulator, installation: &str) -> Answered {
    let now = simulator.now().as_second();
    let jwt = crate::signing::jwt(simulator.client_secret(), simulator.client_id(), now, 60);
    let body = json!({"grant_type": "urn:sentry:params:oauth:grant-type:jwt-bearer"});
    call(simulator, "POST", &token_path(installation), &jwt, Some(body)).await
}

/// Installs, exchanges and verifies; the installation and its first pair.
pub(crate) async fn installed(simulator: &Simulator) -> (String, crate::TokenPair) {
    let installed = simulator.install().await;
    let uuid = installed.installation;
    assert_eq!(exchange(simulator, &uuid, &installed.code.unwrap()).await.status, 201);
    let pair = simulator.token_of(&uuid).unwrap();
    let path = format!("/api/0/sentry-app-installations/{uuid}/");
    let body = Some(json!({"status": "installed"}));
    assert_eq!(call(simulator, "PUT", &path, &pair.access, body).await.status, 200);
    (uuid, pair)
}

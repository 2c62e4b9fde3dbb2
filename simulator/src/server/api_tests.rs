#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::testing::{call, exchange, installed, of, send, simulated};
use crate::{AppKind, Config, Endpoint, Fault, Install, NewIssue, Version};

fn path(uuid: &str) -> String {
    format!("/api/0/sentry-app-installations/{uuid}/")
}

#[tokio::test]
async fn verify_install_ends_the_waiting_and_nothing_else_does() {
    let (simulator, _, _) = of(Version::V23_7_1);
    let fresh = simulator.install().await;
    let uuid = fresh.installation.as_str();
    exchange(&simulator, uuid, &fresh.code.unwrap()).await;
    let access = simulator.token_of(uuid).unwrap().access;
    let invalid = json!({"status": ["Invalid value 'nope' for status. Valid values: 'installed'"]});
    let no_token = json!({"detail": "Authentication credentials were not provided."});
    let cases = [
        ("no token", "", json!({"status": "installed"}), 401, Some(no_token), "pending"),
        ("wrong token", "x", json!({"status": "installed"}), 401, Some(json!({"detail": "Invalid token"})), "pending"),
        ("empty object", &access, json!({}), 200, None, "pending"),
        ("other status", &access, json!({"status": "nope"}), 400, Some(invalid), "pending"),
        ("null", &access, json!({"status": null}), 400, None, "pending"),
        ("good", &access, json!({"status": "installed"}), 200, None, "installed"),
        ("again", &access, json!({"status": "installed"}), 200, None, "installed"),
    ];
    for (name, bearer, body, status, expected, stands) in cases {
        let answer = call(&simulator, "PUT", &path(uuid), bearer, Some(body)).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        if let Some(expected) = expected {
            assert_eq!(answer.json(), expected, "{name}");
        }
        if status == 200 {
            assert_eq!(answer.json()["status"], stands, "{name}");
        }
        assert_eq!(simulator.status_of(uuid), Some(stands), "{name}");
    }
    let answer = call(&simulator, "GET", &path(uuid), &access, None).await.json();
    let expected = json!({
        "app": {"uuid": simulator.config().app_uuid, "slug": "switchboard"}, "organization": {"slug": "example-org"},
        "uuid": uuid, "status": "installed",
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn the_newer_server_names_app_and_organization_by_number_too() {
    let (simulator, _, _) = of(Version::Today);
    let (uuid, pair) = installed(&simulator).await;
    let answer = call(&simulator, "GET", &path(&uuid), &pair.access, None).await.json();
    assert!(answer["app"]["sentryAppId"].is_u64() && answer["organization"]["id"].is_u64(), "{answer}");
}

#[tokio::test]
async fn a_token_opens_its_own_installation_only() {
    let (simulator, _, _) = of(Version::Today);
    let (uuid, pair) = installed(&simulator).await;
    let elsewhere = Install { organization: Some("elsewhere".to_owned()), ..Install::default() };
    let other = simulator.install_with(elsewhere).await.installation;
    assert_ne!(uuid, other);
    assert_eq!(call(&simulator, "GET", &path(&other), &pair.access, None).await.status, 403);
    assert_eq!(call(&simulator, "GET", &path("nope"), &pair.access, None).await.status, 404);
    assert_eq!(call(&simulator, "POST", &path(&uuid), &pair.access, None).await.status, 405);
}

#[tokio::test]
async fn an_issue_is_read_by_both_paths_and_guarded() {
    let (simulator, _, _) = of(Version::V23_7_1);
    let (_, pair) = installed(&simulator).await;
    let id = simulator.create_issue(NewIssue::new("Backend", "ValueError: naïve")).await.unwrap().issue;
    let foreign = NewIssue { organization: Some("elsewhere".to_owned()), ..NewIssue::new("backend", "x") };
    let foreign = simulator.create_issue(foreign).await.unwrap().issue;
    let access = pair.access.as_str();
    let cases = [
        (format!("/api/0/organizations/example-org/issues/{id}/"), access, 200),
        (format!("/api/0/issues/{id}/"), access, 200),
        (format!("/api/0/issues/{id}/"), "", 401),
        (format!("/api/0/issues/{id}/"), "x", 401),
        (format!("/api/0/issues/{id}"), access, 404),
        (format!("/api/0/organizations/elsewhere/issues/{id}/"), access, 403),
        (format!("/api/0/issues/{foreign}/"), access, 403),
        ("/api/0/issues/999/".to_owned(), access, 404),
        ("/api/0/issues/abc/".to_owned(), access, 404),
    ];
    for (path, bearer, status) in cases {
        let answer = call(&simulator, "GET", &path, bearer, None).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        if status == 200 {
            let issue = answer.json();
            assert_eq!(issue["id"], id.to_string());
            assert_eq!(
                issue["project"],
                json!({"id": "3", "name": "Backend", "slug": "backend", "platform": "python"})
            );
            assert_eq!(issue["metadata"]["value"], "naïve");
            assert!(issue["permalink"].is_string());
        }
    }
}

#[tokio::test]
async fn scopes_are_asked_for_reading_and_not_for_verifying() {
    let config = Config { scopes: Vec::new(), kind: AppKind::Internal, ..Config::default() };
    let (simulator, _, _) = simulated(config);
    let token = secrecy::ExposeSecret::expose_secret(simulator.api_token().unwrap()).to_owned();
    let uuid = simulator.internal_installation().unwrap();
    assert_eq!(call(&simulator, "GET", &path(uuid), &token, None).await.status, 403);
    assert_eq!(call(&simulator, "GET", "/api/0/issues/1/", &token, None).await.status, 403);
    let answer = call(&simulator, "PUT", &path(uuid), &token, Some(json!({"status": "installed"}))).await;
    assert_eq!((answer.status, &answer.json()["organization"]["slug"]), (200, &json!("example-org")));
}

#[tokio::test]
async fn faults_are_used_up_in_order_and_by_kind() {
    let (simulator, _, _) = of(Version::Today);
    let (uuid, pair) = installed(&simulator).await;
    let faults = simulator.faults();
    faults.push_times(Endpoint::Verify, 2, Fault::status(503));
    faults.push(Endpoint::Verify, Fault::rate_limited(Duration::from_secs(30)));
    faults.push(Endpoint::Verify, Fault::retry_after(429, Duration::from_secs(7)));
    faults.push(Endpoint::Verify, Fault::html(200).after(Duration::from_secs(15)));
    faults.push(Endpoint::Issue, Fault::status(401));
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let before = simulator.now();
        let answer = call(&simulator, "GET", &path(&uuid), &pair.access, None).await;
        if let Some(reset) = answer.headers.get("x-sentry-rate-limit-reset") {
            assert_eq!(reset.to_str().unwrap(), (before.as_second() + 30).to_string());
        }
        if let Some(wait) = answer.headers.get("retry-after") {
            assert_eq!(wait, "7");
        }
        if statuses.len() == 4 {
            assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
            assert_eq!(simulator.log().last().unwrap().duration, Duration::from_secs(15));
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [503, 503, 429, 429, 200, 200]);
    assert_eq!((faults.waiting(Endpoint::Verify), faults.waiting(Endpoint::Issue)), (0, 1));
    faults.clear();
    assert_eq!(call(&simulator, "GET", "/api/0/issues/1/", &pair.access, None).await.status, 404);
}

#[tokio::test]
async fn a_cut_connection_gives_no_answer_but_the_deed_is_done() {
    let (simulator, _, _) = of(Version::Today);
    let fresh = simulator.install().await;
    let uuid = fresh.installation.as_str();
    exchange(&simulator, uuid, &fresh.code.unwrap()).await;
    let access = simulator.token_of(uuid).unwrap().access;
    let verify = |base: &str| {
        http::Request::put(format!("{base}{}", path(uuid)))
            .header("authorization", format!("Bearer {access}"))
            .header("content-type", "application/json")
            .body(bytes::Bytes::from_static(b"{\"status\":\"installed\"}"))
            .unwrap()
    };
    simulator.faults().push_times(Endpoint::Verify, 2, Fault::cut());

    let response = simulator.router().oneshot(verify("").map(Body::from)).await.unwrap();
    assert!(response.into_body().collect().await.is_err(), "without a socket the body fails");
    assert_eq!(simulator.status_of(uuid), Some("installed"));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = simulator.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let cut = crate::Deliver::send(&crate::OverHttp, verify(&base), Duration::from_secs(5)).await;
    assert!(matches!(cut, Err(crate::SendFailure::Broken(_))), "{cut:?}");
    assert_eq!(simulator.log().last().unwrap().failure.as_deref(), Some("connection cut"));
    let fine = crate::Deliver::send(&crate::OverHttp, verify(&base), Duration::from_secs(5)).await.unwrap();
    assert_eq!(fine.status(), 200);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (simulator, _, _) = of(Version::Today);
    for (path, kind) in [("/", "text/html; charset=utf-8"), ("/api/0/nothing/", "application/json")] {
        let answer = send(&simulator, http::Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (404, kind), "{path}");
    }
    let long = http::Request::post(path("u")).body(Body::from(vec![b'a'; super::BODY_LIMIT_BYTES + 1])).unwrap();
    assert_eq!(send(&simulator, long).await.status, 413);
}

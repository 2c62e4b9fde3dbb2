#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::body::Body;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::testing::{call, exchange, grant, installed, manual_refresh, of, refresh, send, simulated, token_path};
use crate::{Config, Endpoint, Fault, Version};

const BOTH: [Version; 2] = [Version::V23_7_1, Version::Today];

/// The older server's status, or the newer one's.
fn by(version: Version, older: u16, newer: u16) -> u16 {
    if version == Version::V23_7_1 { older } else { newer }
}

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn keys(text: &str) -> Vec<String> {
    let crate::ordered::Json::Object(members) = crate::ordered::Json::parse(text.as_bytes()) else { panic!("{text}") };
    members.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn the_older_server_answers_as_it_was_recorded() {
    let (exchanged, refreshed) = (
        recorded(include_str!("../../../shared/samples/token/exchange_ok.json")),
        recorded(include_str!("../../../shared/samples/token/refresh_ok.json")),
    );
    let (wrong, unknown) = (
        recorded(include_str!("../../../shared/samples/token/wrong_code.json")),
        recorded(include_str!("../../../shared/samples/token/unknown_installation.json")),
    );
    let (simulator, _, _) = of(Version::V23_7_1);
    let fresh = simulator.install().await;
    let uuid = &fresh.installation;
    // Each recorded body, with the simulator's own credentials and secrets in the places of the recorded ones.
    let ask = async |sample: &Value, uuid: &str, field: &str, value: &str| {
        let mut body = sample["request"]["body"].clone();
        for (name, own) in
            [("client_id", simulator.client_id()), ("client_secret", simulator.client_secret().expose_secret())]
        {
            body[name] = own.into();
        }
        if !field.is_empty() {
            body[field] = value.into();
        }
        call(&simulator, "POST", &token_path(uuid), "", Some(body)).await
    };

    for (sample, uuid) in [(&wrong, uuid.as_str()), (&unknown, "ea78e9cb-fd82-45d4-a215-46c762f159e6")] {
        let answer = ask(sample, uuid, "", "").await;
        assert_eq!(answer.status, sample["response"]["status"], "{}", sample["name"]);
        assert_eq!(answer.text, sample["response"]["body"].as_str().unwrap(), "{}", sample["name"]);
    }
    let code = fresh.code.unwrap();
    let answer = ask(&exchanged, uuid, "code", &code).await;
    let first = simulator.token_of(uuid).unwrap();
    simulator.expire_token(uuid);
    let again = ask(&refreshed, uuid, "refresh_token", &first.refresh).await;
    for (answer, sample) in [(&answer, &exchanged), (&again, &refreshed)] {
        assert_eq!(answer.status, sample["response"]["status"], "{}", sample["name"]);
        let (text, body) = (sample["response"]["body"].as_str().unwrap(), answer.json());
        assert_eq!(keys(&answer.text), keys(text), "{}", sample["name"]);
        let sample: Value = serde_json::from_str(text).unwrap();
        for field in ["scopes", "application", "state"] {
            assert_eq!(body[field], sample[field]);
        }
        for field in ["id", "expiresAt", "dateCreated", "token", "refreshToken"] {
            assert!(body[field].is_string(), "{field}");
        }
        for field in ["expiresAt", "dateCreated", "token", "refreshToken"] {
            assert_eq!(body[field].as_str().unwrap().len(), sample[field].as_str().unwrap().len(), "{field}");
        }
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    let body = answer.json();
    let life = body["expiresAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
        - body["dateCreated"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(life, jiff::SignedDuration::from_hours(8));
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_words_of_each_version() {
    for version in BOTH {
        let (simulator, _, _) = of(version);
        let fresh = simulator.install().await;
        let (uuid, code) = (fresh.installation.as_str(), fresh.code.unwrap());
        let other_app = simulator.install_other_app();
        let (other_id, other_secret) = simulator.other_app_credentials();
        let exchange = |code: Value| grant(&simulator, &json!({"grant_type": "authorization_code", "code": code}));
        let refresh = |token: Value| grant(&simulator, &json!({"grant_type": "refresh_token", "refresh_token": token}));
        let with = |mut body: Value, field: &str, value: Value| {
            body[field] = value;
            body
        };
        let good = exchange(code.clone().into());
        let pair = "Invalid Client ID / Secret pair";
        let cases = [
            ("wrong secret", uuid, with(good.clone(), "client_secret", "x".into()), 401, pair),
            ("wrong id", uuid, with(good.clone(), "client_id", "x".into()), 401, pair),
            ("no credentials", uuid, json!({"grant_type": "authorization_code", "code": code}), 401, pair),
            ("wrong secret, unknown installation", "nope", with(good.clone(), "client_secret", "x".into()), 401, pair),
            ("empty object", uuid, json!({}), 401, "Invalid request"),
            ("a list", uuid, json!([1]), 500, "Internal Error"),
            (
                "another app's credentials",
                uuid,
                with(
                    with(good.clone(), "client_id", other_id.into()),
                    "client_secret",
                    other_secret.expose_secret().into(),
                ),
                403,
                "You do not have permission to perform this action.",
            ),
            (
                "another app's installation",
                &other_app.installation,
                exchange(other_app.code.clone().into()),
                403,
                "You do not have permission to perform this action.",
            ),
            ("unknown installation", "ea78e9cb-fd82-45d4-a215-46c762f159e6", good.clone(), 404, "Not found."),
            ("malformed installation", "..%2f", good.clone(), 404, "Not found."),
            ("unknown grant", uuid, with(good.clone(), "grant_type", "password".into()), 403, "Invalid grant_type"),
            ("no grant", uuid, with(good.clone(), "grant_type", Value::Null), 403, "Invalid grant_type"),
            ("wrong code", uuid, exchange("0".repeat(32).into()), by(version, 403, 401), ""),
            ("another app's code", uuid, exchange(other_app.code.clone().into()), by(version, 403, 401), ""),
            ("code null", uuid, exchange(Value::Null), by(version, 500, 400), ""),
            ("code a number", uuid, exchange(7.into()), by(version, 500, 400), ""),
            ("wrong refresh token", uuid, refresh("0".repeat(64).into()), by(version, 403, 401), ""),
            ("refresh token null", uuid, refresh(Value::Null), by(version, 500, 400), ""),
        ];
        for (name, uuid, body, status, text) in cases {
            let answer = call(&simulator, "POST", &token_path(uuid), "", Some(body)).await;
            assert_eq!(answer.status, status, "{version:?} {name}: {}", answer.text);
            let body = answer.json();
            if !text.is_empty() {
                let said = if body["detail"].is_null() { &body["error"] } else { &body["detail"] };
                assert_eq!(said, text, "{version:?} {name}");
            }
            if version == Version::Today {
                assert!(body["error"].is_null(), "{name}: the key `error` is gone");
            }
            if status == 401 && [pair, "Invalid request"].contains(&text) {
                assert_eq!(answer.headers["www-authenticate"], "xBasic realm=\"api\"", "{name}");
            }
        }
        // None of it did any harm.
        assert_eq!(simulator.exchanges(), 0);
        assert_eq!(call(&simulator, "POST", &token_path(uuid), "", Some(good)).await.status, 201);
    }
}

#[tokio::test]
async fn only_json_that_says_so_is_read() {
    for version in BOTH {
        let (simulator, _, _) = of(version);
        let fresh = simulator.install().await;
        let path = token_path(&fresh.installation);
        let json = grant(&simulator, &json!({"grant_type": "authorization_code", "code": fresh.code})).to_string();
        let form = "grant_type=authorization_code&client_id=a&client_secret=b".to_owned();
        let cases = [
            ("form", "application/x-www-form-urlencoded", form, 401),
            ("no content type", "", json.clone(), 401),
            ("text", "text/plain", json.clone(), 401),
            ("broken", "application/json", json[1..].to_owned(), 401),
            ("nothing", "application/json", String::new(), 401),
            ("with a charset", "application/json; charset=utf-8", json, 201),
        ];
        for (name, kind, body, status) in cases {
            let mut request = http::Request::post(&path);
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            let answer = send(&simulator, request.body(Body::from(body)).unwrap()).await;
            assert_eq!(answer.status, status, "{version:?} {name}");
            if status == 401 {
                assert_eq!(answer.json()["detail"], "Invalid request", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_missing_slash_is_not_found_and_says_so() {
    let (simulator, _, _) = of(Version::V23_7_1);
    let path = token_path("u");
    let answer = call(&simulator, "POST", path.trim_end_matches('/'), "", Some(json!({}))).await;
    let info = format!("Route not found, did you forget a trailing slash? try: {path}");
    assert_eq!((answer.status, answer.json()), (404, json!({"info": info})));
}

#[tokio::test]
async fn a_code_works_once_and_for_ten_minutes() {
    for version in BOTH {
        let (simulator, _, time) = of(version);
        let fresh = simulator.install().await;
        let (uuid, code) = (fresh.installation, fresh.code.unwrap());
        time.pass(Duration::from_secs(599));
        assert_eq!(exchange(&simulator, &uuid, &code).await.status, 201);
        let again = exchange(&simulator, &uuid, &code).await;
        let wrong = exchange(&simulator, &uuid, &"0".repeat(32)).await;
        assert_eq!((again.status, again.text), (by(version, 403, 401), wrong.text));

        let (simulator, _, time) = of(version);
        let fresh = simulator.install().await;
        time.pass(Duration::from_mins(10));
        let late = exchange(&simulator, &fresh.installation, &fresh.code.unwrap()).await;
        assert_eq!(late.status, by(version, 403, 401));
        assert!(late.text.contains("Grant has already expired"), "{}", late.text);
        assert_eq!(simulator.exchanges(), 0);
    }
}

#[tokio::test]
async fn two_exchanges_at_once_both_succeed_on_the_older_server_and_one_fails_on_the_newer() {
    for (version, expected) in [(Version::V23_7_1, [201, 201]), (Version::Today, [201, 500])] {
        let (simulator, _, _) = of(version);
        let fresh = simulator.install().await;
        let (uuid, code) = (fresh.installation, fresh.code.unwrap());
        let (one, two) = tokio::join!(exchange(&simulator, &uuid, &code), exchange(&simulator, &uuid, &code));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, expected, "{version:?}");
        if version == Version::V23_7_1 {
            for answer in [&one, &two] {
                let token = answer.json()["refreshToken"].as_str().unwrap().to_owned();
                assert_eq!(
                    refresh(&simulator, &uuid, &token).await.status,
                    201,
                    "each pair can be refreshed by itself"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_refresh_ends_the_old_pair_at_once() {
    for version in BOTH {
        let (simulator, _, _) = of(version);
        let (uuid, old) = installed(&simulator).await;
        let answer = refresh(&simulator, &uuid, &old.refresh).await;
        assert_eq!(answer.status, 201);
        let new = simulator.token_of(&uuid).unwrap();
        assert_eq!(answer.json()["token"], new.access);
        assert_ne!(new.access, old.access);
        assert_eq!(refresh(&simulator, &uuid, &old.refresh).await.status, by(version, 403, 401));
        assert_eq!(refresh(&simulator, &uuid, &new.access).await.status, by(version, 403, 401), "swapped");
        let path = format!("/api/0/sentry-app-installations/{uuid}/");
        let stale = call(&simulator, "GET", &path, &old.access, None).await;
        assert_eq!((stale.status, stale.json()), (401, json!({"detail": "Invalid token"})));
        assert_eq!(call(&simulator, "GET", &path, &new.access, None).await.status, 200);
        assert_eq!(simulator.refreshes(), 1);
    }
}

#[tokio::test]
async fn a_refresh_token_outlives_its_access_token() {
    let (simulator, _, time) = of(Version::Today);
    let (uuid, old) = installed(&simulator).await;
    let path = format!("/api/0/sentry-app-installations/{uuid}/");
    time.pass(Duration::from_hours(8));
    let late = call(&simulator, "GET", &path, &old.access, None).await;
    assert_eq!((late.status, late.json()), (401, json!({"detail": "Token expired"})));
    time.pass(Duration::from_hours(1000));
    assert_eq!(refresh(&simulator, &uuid, &old.refresh).await.status, 201);
}

#[tokio::test]
async fn a_manual_refresh_has_its_own_refusals() {
    let (simulator, _, time) = of(Version::Today);
    let fresh = simulator.install().await;
    let uuid = fresh.installation.as_str();
    assert_eq!(manual_refresh(&simulator, uuid).await.status, 401, "before any exchange");
    assert_eq!(exchange(&simulator, uuid, &fresh.code.unwrap()).await.status, 201);
    let old = simulator.token_of(uuid).unwrap();

    let other = simulator.install_other_app().installation;
    assert_eq!(manual_refresh(&simulator, &other).await.status, 401, "another app's installation");
    assert_eq!(manual_refresh(&simulator, "ea78e9cb-fd82-45d4-a215-46c762f159e6").await.status, 401);
    let body = json!({"grant_type": "urn:sentry:params:oauth:grant-type:jwt-bearer"});
    for bearer in ["", "a.b.c", old.access.as_str()] {
        let answer = call(&simulator, "POST", &token_path(uuid), bearer, Some(body.clone())).await;
        assert_eq!(answer.status, 401, "{bearer}");
    }
    assert_eq!(simulator.token_of(uuid).unwrap(), old, "nothing of this changed anything");

    let (one, two) = tokio::join!(manual_refresh(&simulator, uuid), manual_refresh(&simulator, uuid));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "one at a time");
    assert_eq!(manual_refresh(&simulator, uuid).await.status, 409, "just done");
    time.pass(Duration::from_secs(10));
    assert_eq!(manual_refresh(&simulator, uuid).await.status, 201);
    assert_eq!((simulator.refreshes(), simulator.manual_refreshes()), (2, 2));
    assert_eq!(refresh(&simulator, uuid, &old.refresh).await.status, 401, "the old pair is gone");
}

#[tokio::test]
async fn the_older_server_does_not_know_the_manual_refresh() {
    let (simulator, _, _) = of(Version::V23_7_1);
    let (uuid, pair) = installed(&simulator).await;
    let answer = manual_refresh(&simulator, &uuid).await;
    assert_eq!((answer.status, answer.json()), (401, json!({"detail": "Invalid Client ID / Secret pair"})));
    assert_eq!(simulator.token_of(&uuid), Some(pair));
}

#[tokio::test]
async fn after_an_uninstall_tokens_are_not_found_and_the_api_forbids() {
    for version in BOTH {
        let (simulator, _, _) = of(version);
        let (uuid, pair) = installed(&simulator).await;
        simulator.uninstall(&uuid).await.unwrap();
        let answer = refresh(&simulator, &uuid, &pair.refresh).await;
        assert_eq!((answer.status, answer.json()), (404, json!({"detail": "Not found."})));
        let answer = call(&simulator, "GET", "/api/0/issues/1/", &pair.access, None).await;
        assert_eq!(answer.status, 403);
        if version == Version::Today {
            assert_eq!(manual_refresh(&simulator, &uuid).await.status, 401);
        }
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_the_refresh_token_dead() {
    for fault in [Fault::lost_answer(), Fault::failed_after_commit(500)] {
        let (simulator, _, _) = of(Version::Today);
        let (uuid, old) = installed(&simulator).await;
        simulator.faults().push(Endpoint::Token, fault);
        assert!(refresh(&simulator, &uuid, &old.refresh).await.status >= 500);
        assert_eq!(refresh(&simulator, &uuid, &old.refresh).await.status, 401);
        assert_eq!(manual_refresh(&simulator, &uuid).await.status, 201, "only this helps");
    }
}

#[tokio::test]
async fn a_request_is_carried_out_although_its_sender_hung_up() {
    let config = Config { sleep: std::sync::Arc::new(|wait| Box::pin(tokio::time::sleep(wait))), ..Config::default() };
    let simulator = crate::Simulator::new(config);
    let fresh = simulator.install().await;
    simulator.faults().push(Endpoint::Token, Fault::slow(Duration::from_millis(50)));
    let code = fresh.code.unwrap();
    let given_up =
        tokio::time::timeout(Duration::from_millis(5), exchange(&simulator, &fresh.installation, &code)).await;
    assert!(given_up.is_err());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(simulator.exchanges(), 1);
}

#[tokio::test]
async fn the_record_holds_no_secret() {
    let (simulator, _, _) = simulated(Config::default());
    let (uuid, pair) = installed(&simulator).await;
    refresh(&simulator, &uuid, &pair.refresh).await;
    let text = format!("{:?} {simulator:?} {:?}", simulator.log(), simulator.token_of(&uuid));
    for secret in [simulator.client_secret().expose_secret(), &pair.access, &pair.refresh] {
        assert!(!text.contains(secret), "{text}");
    }
    let subjects: Vec<_> = simulator.log().into_iter().map(|exchange| exchange.subject).collect();
    assert_eq!(subjects, ["installation.created", "token authorization_code", "verify", "token refresh_token"]);
}

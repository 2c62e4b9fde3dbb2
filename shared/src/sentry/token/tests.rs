use super::*;
use crate::sentry::scripted::{self, Script, TIMEOUT, answer, installation};

const PAIR: &str = r#"{"token":"the-access-token","refreshToken":"the-refresh-token","expiresAt":null}"#;

fn app() -> AppCredentials {
    AppCredentials { client_id: "the-client-id".into(), client_secret: "the-client-secret".into() }
}

async fn exchange(script: &Script) -> Result<Granted, TokenError> {
    script.client(&scripted::base()).exchange(installation(), "the-code", &app(), TIMEOUT).await
}

async fn manual(script: &Script) -> Result<Granted, TokenError> {
    script.client(&scripted::base()).manual_refresh(installation(), &app(), [7; 16], TIMEOUT).await
}

/// An exchange recorded from Sentry 23.7.1: the request we must make, and its answer.
struct Recorded {
    path: String,
    body: serde_json::Value,
    script: Script,
}

fn recorded(text: &str) -> Recorded {
    let sample: serde_json::Value = serde_json::from_str(text).expect("a sample");
    let response = &sample["response"];
    let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
    Recorded {
        path: sample["request"]["path"].as_str().expect("a path").to_owned(),
        body: sample["request"]["body"].clone(),
        script: Script::new([Ok(answer(
            status,
            &[("content-type", "application/json")],
            response["body"].as_str().expect("a body"),
        ))]),
    }
}

impl Recorded {
    fn app(&self) -> AppCredentials {
        let text = |key: &str| self.body[key].as_str().expect("text").to_owned();
        AppCredentials { client_id: text("client_id"), client_secret: text("client_secret").into() }
    }

    async fn run(&self) -> Result<Granted, TokenError> {
        let id = self.path.split('/').nth(4).and_then(|id| id.parse().ok()).expect("an installation");
        let base = scripted::base();
        let client = self.script.client(&base);
        let result = match (self.body["code"].as_str(), self.body["refresh_token"].as_str()) {
            (Some(code), _) => client.exchange(id, code, &self.app(), TIMEOUT).await,
            (_, Some(token)) => client.refresh(id, &token.into(), &self.app(), TIMEOUT).await,
            _ => panic!("neither code nor token"),
        };
        let seen = self.script.only();
        assert_eq!((seen.method.as_str(), seen.url), ("POST", format!("https://sentry.test{}", self.path)));
        assert_eq!(seen.authorization, None, "credentials are in the body");
        assert_eq!(seen.content_type.as_deref(), Some("application/json"));
        assert_eq!((seen.policy.guarded, seen.policy.timeout), (false, TIMEOUT));
        let mut expected = self.body.clone();
        expected.as_object_mut().expect("an object").remove("state");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&seen.body).expect("JSON"), expected);
        result
    }
}

#[tokio::test]
async fn the_recorded_grants_are_asked_for_and_read_as_they_were() {
    for (text, access, refresh, expires) in [
        (
            include_str!("../../../samples/token/exchange_ok.json"),
            "cc2ffbc9c5904de88e03728f8cce939d7b91c9477dd4489d90d3057abe451471",
            "b49a7e20ba9e4acebdddda82a2de7341c5c18a1ac72b4786b036a33153410db1",
            "2026-11-24T04:56:42.886858Z",
        ),
        (
            include_str!("../../../samples/token/refresh_ok.json"),
            "0679456d8279439fa38d8170a6827b02f6e2198f667c41279b633642aad1e4b2",
            "d134d4ce79c548fc9fc1001819ec62115f9fb238b0e24d49a043dcd80e776e60",
            "2026-11-24T04:56:44.352155Z",
        ),
    ] {
        let granted = recorded(text).run().await.expect("granted");
        assert_eq!(granted.tokens.access.expose_secret(), access);
        assert_eq!(granted.tokens.refresh.as_ref().map(ExposeSecret::expose_secret), Some(refresh));
        assert_eq!(granted.expires_at.map(|at| at.to_string()).as_deref(), Some(expires));
        assert!(!format!("{granted:?}").contains(access));
    }
}

#[tokio::test]
async fn the_recorded_refusals_are_told_apart() {
    let wrong_code = recorded(include_str!("../../../samples/token/wrong_code.json")).run().await;
    assert!(matches!(wrong_code, Err(TokenError::Refused { status: 403 })), "{wrong_code:?}");
    let unknown = recorded(include_str!("../../../samples/token/unknown_installation.json")).run().await;
    assert!(matches!(unknown, Err(TokenError::Gone)), "{unknown:?}");
}

#[tokio::test]
async fn a_manual_refresh_carries_its_jwt_and_no_secret_in_the_body() {
    let script = Script::answers([(201, PAIR)]);
    manual(&script).await.expect("granted");
    let seen = script.only();
    assert_eq!(seen.body, r#"{"grant_type":"urn:sentry:params:oauth:grant-type:jwt-bearer"}"#);
    assert_eq!(seen.content_type.as_deref(), Some("application/json"));
    let expected = jwt::for_app(&app(), scripted::after_now(0), [7; 16]);
    assert_eq!(seen.authorization, Some(format!("Bearer {}", expected.expose_secret())));
    assert!(seen.url.ends_with("/authorizations/"));
}

#[tokio::test]
async fn any_success_with_a_token_counts_and_times_are_read_in_every_form() {
    for (expires_at, expected) in [
        (r#""2026-11-24T04:56:42.886858Z""#, Some("2026-11-24T04:56:42.886858Z")),
        (r#""2026-11-24T04:56:42.886Z""#, Some("2026-11-24T04:56:42.886Z")),
        (r#""2026-11-24T04:56:42Z""#, Some("2026-11-24T04:56:42Z")),
        (r#""2026-11-24T04:56:42+00:00""#, Some("2026-11-24T04:56:42Z")),
        (r#""2026-11-24T04:56:42.886858""#, Some("2026-11-24T04:56:42.886858Z")),
        ("null", None),
    ] {
        for status in [200, 201] {
            let body = format!(r#"{{"token":"t","refreshToken":"r","new":[1],"expiresAt":{expires_at}}}"#);
            let granted = exchange(&Script::answers([(status, body.as_str())])).await.expect("granted");
            assert_eq!(granted.expires_at.map(|at| at.to_string()).as_deref(), expected, "{expires_at}");
        }
    }
    let without = exchange(&Script::answers([(201, r#"{"token":"t"}"#)])).await.expect("granted");
    assert!(without.expires_at.is_none() && without.tokens.refresh.is_none());
    for odd in [r#""tomorrow""#, "28800"] {
        let body = format!(r#"{{"token":"t","refreshToken":null,"expiresAt":{odd}}}"#);
        let granted = exchange(&Script::answers([(201, body.as_str())])).await.expect("the pair is not lost");
        assert_eq!(granted.expires_at, Some(scripted::after_now(3600)), "{odd}");
    }
}

#[tokio::test]
async fn each_error_answer_has_its_meaning_and_its_next_step() {
    const WRONG_PAIR: &str = r#"{"detail":"Invalid Client ID / Secret pair"}"#;
    let slash = r#"{"info":"Route not found, did you forget a trailing slash? try: /x/"}"#;
    let not_found = r#"{"detail":"Not found."}"#;
    let error = r#"{"detail":"Internal Error","errorId":"0"}"#;
    for (status, body, expected, next) in [
        (401, WRONG_PAIR, "BadCredentials", Next::Final),
        (401, r#"{"detail":"Invalid request"}"#, "Refused { status: 401 }", Next::Final),
        (401, r#"{"detail":"Could not find grant for given code"}"#, "Refused { status: 401 }", Next::Final),
        (401, "", "Refused { status: 401 }", Next::Final),
        (400, r#"{"code":["This field may not be null."]}"#, "Refused { status: 400 }", Next::Final),
        (403, r#"{"error":"Unauthorized"}"#, "Refused { status: 403 }", Next::Final),
        (403, r#"{"error":"Grant has already expired."}"#, "Refused { status: 403 }", Next::Final),
        (403, r#"{"error":"Invalid grant_type"}"#, "Refused { status: 403 }", Next::Final),
        (403, "<html>Access denied</html>", "WrongAddress { status: 403 }", Next::Final),
        (404, not_found, "Gone", Next::Final),
        (404, slash, "WrongAddress { status: 404 }", Next::Final),
        (404, "", "WrongAddress { status: 404 }", Next::Final),
        (404, "<!DOCTYPE html><h1>Not found</h1>", "WrongAddress { status: 404 }", Next::Final),
        (404, r#"{"detail":""}"#, "WrongAddress { status: 404 }", Next::Final),
        (405, r#"{"detail":"Method not allowed"}"#, "WrongAddress { status: 405 }", Next::Final),
        (302, "", "WrongAddress { status: 302 }", Next::Final),
        (308, "", "WrongAddress { status: 308 }", Next::Final),
        (200, "<html>Welcome</html>", "WrongAddress { status: 200 }", Next::Final),
        (409, r#"{"detail":"busy"}"#, "Busy", Next::Wait(scripted::after_now(10))),
        (429, "", "RateLimited", Next::Wait(scripted::after_now(30))),
        (500, error, "Unavailable { maybe_committed: true, why: Status(500) }", Next::Retry),
        (502, "<html>Bad gateway</html>", "Unavailable { maybe_committed: true, why: Status(502) }", Next::Retry),
        (408, "", "Unavailable { maybe_committed: true, why: Status(408) }", Next::Retry),
        (201, r#"{"token":"#, "Unavailable { maybe_committed: true, why: Unreadable }", Next::Retry),
        (201, r#"{"token":""}"#, "Unavailable { maybe_committed: true, why: Unreadable }", Next::Retry),
        (201, r#"{"token":"a\nb"}"#, "Unavailable { maybe_committed: true, why: Unreadable }", Next::Retry),
    ] {
        let error = exchange(&Script::answers([(status, body)])).await.expect_err(body);
        assert!(format!("{error:?}").starts_with(expected), "{status} {body}: {error:?}");
        assert_eq!(error.next(), next, "{status} {body}");
    }
    // An older Sentry, which does not know this grant, says so with the same words.
    let older = manual(&Script::answers([(401, WRONG_PAIR)])).await;
    assert!(matches!(older, Err(TokenError::Refused { status: 401 })), "{older:?}");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_its_headers_say() {
    let reset = scripted::after_now(7).as_second().to_string();
    let script = Script::new([Ok(answer(429, &[("x-sentry-rate-limit-reset", &reset)], ""))]);
    let error = exchange(&script).await.expect_err("429");
    assert_eq!(error.next(), Next::Wait(scripted::after_now(7)));
}

#[tokio::test]
async fn only_what_was_sent_may_have_been_committed() {
    for (error, maybe_committed) in [
        (CallError::Unreachable("refused".into()), false),
        (CallError::Malformed("no header".into()), false),
        (CallError::TimedOut(TIMEOUT), true),
        (CallError::BrokenOff("reset".into()), true),
    ] {
        let what = error.to_string();
        let error = exchange(&Script::new([Err(error)])).await.expect_err("no answer");
        assert_eq!((error.maybe_committed(), error.next()), (maybe_committed, Next::Retry), "{what}");
    }
}

#[tokio::test]
async fn no_error_shows_what_was_sent() {
    for status in [400, 401, 403, 404, 500] {
        let echo = r#"{"detail":"the-code the-client-secret"}"#;
        let error = exchange(&Script::answers([(status, echo)])).await.expect_err("an error");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("the-code") && !shown.contains("the-client-secret"), "{shown}");
    }
    assert!(!format!("{:?}", app()).contains("the-client-secret"));
}

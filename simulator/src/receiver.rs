//! A receiver of webhooks as anybody may run one: checks their signatures as Standard Webhooks say
//! (<https://www.standardwebhooks.com>), refuses what is not right and keeps what is.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use sha2::Sha256;

use crate::config::{Clock, Sleep};
use crate::faults::Fault;
use crate::server::Call;
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task};

/// Sentry's own bodies are smaller.
const BODY_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// "Allowable tolerance of the current timestamp."
const TOLERANCE_S: u64 = 5 * 60;

/// A webhook whose signature fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub received_at: Timestamp,
    pub path: String,
    /// `webhook-id`: a repeat has the same.
    pub id: String,
    /// `webhook-timestamp`, seconds since 1970.
    pub timestamp: i64,
    pub headers: HeaderMap,
    /// The exact bytes.
    pub body: Bytes,
}

struct Inbox {
    key: Vec<u8>,
    hooks: Vec<Hook>,
    /// Why what was refused was refused.
    refused: Vec<&'static str>,
}

/// A receiver with one secret, which answers 204. Clones are handles to the same one.
#[derive(Clone)]
pub struct Receiver(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    inbox: Mutex<Inbox>,
}

impl Receiver {
    /// `secret` is `whsec_` and base64; panics where it is not.
    pub fn new(secret: &str, clock: Clock, sleep: Sleep) -> Self {
        Self::of(secret, StandIn::new(clock, sleep))
    }

    /// On the computer's own time.
    pub fn in_real_time(secret: &str) -> Self {
        Self::of(secret, StandIn::in_real_time())
    }

    fn of(secret: &str, stand_in: StandIn) -> Self {
        Self(Arc::new(Inner { stand_in, inbox: Mutex::new(Inbox::new(secret)) }))
    }

    /// `POST` to any path.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// What came with a good signature, repeats too, oldest first.
    pub fn hooks(&self) -> Vec<Hook> {
        locked(&self.0.inbox).hooks.clone()
    }

    /// Why each refused one was refused.
    pub fn refused(&self) -> Vec<&'static str> {
        locked(&self.0.inbox).refused.clone()
    }

    /// The next `times` requests not yet spoken for fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }
}

async fn serve(State(receiver): State<Receiver>, request: Request) -> Response {
    let Some(call) = Call::read_up_to(BODY_LIMIT_BYTES, request).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    in_own_task(async move {
        let Inner { stand_in, inbox } = &*receiver.0;
        stand_in.answered(|| take(&mut locked(inbox), &call, stand_in.now())).await
    })
    .await
}

impl Inbox {
    fn new(secret: &str) -> Self {
        let key = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        Self { key: key.expect("a secret is whsec_ and base64"), hooks: Vec::new(), refused: Vec::new() }
    }
}

fn take(inbox: &mut Inbox, call: &Call, now: Timestamp) -> Response {
    match checked(&inbox.key, call, now) {
        Ok(hook) => {
            inbox.hooks.push(hook);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(why) => {
            inbox.refused.push(why);
            (StatusCode::BAD_REQUEST, why).into_response()
        }
    }
}

fn checked(key: &[u8], call: &Call, now: Timestamp) -> Result<Hook, &'static str> {
    if call.method != http::Method::POST {
        return Err("only POST is taken");
    }
    if call.content_type().split(';').next() != Some("application/json") {
        return Err("it is no JSON");
    }
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    let id = header("webhook-id").filter(|id| !id.is_empty() && !id.contains('.')).ok_or("webhook-id is missing")?;
    let timestamp: i64 =
        header("webhook-timestamp").and_then(|t| t.parse().ok()).ok_or("webhook-timestamp is missing")?;
    if now.as_second().abs_diff(timestamp) > TOLERANCE_S {
        return Err("webhook-timestamp is too old or too new");
    }
    let signatures = header("webhook-signature").ok_or("webhook-signature is missing")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&call.body);
    let fits = |signature: &str| {
        let bytes = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
    };
    if !signatures.split(' ').any(fits) {
        return Err("no signature fits");
    }
    Ok(Hook {
        received_at: now,
        path: call.path.clone(),
        id: id.to_owned(),
        timestamp,
        headers: call.headers.clone(),
        body: call.body.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    /// The specification's example: secret, id, time, body and signature.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SECONDS: i64 = 1_614_265_330;
    const BODY: &str = r#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[tokio::test]
    async fn a_signature_is_checked_as_the_specification_says() {
        let seconds = SECONDS.to_string();
        let late = (SECONDS - 301).to_string();
        let two = format!("v1,AAAA {SIGNATURE}");
        let headers = |id, timestamp, signature| {
            [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
        };
        let cases = [
            ("the example", headers(ID, &*seconds, SIGNATURE), BODY, None),
            ("one of two signatures", headers(ID, &seconds, &two), BODY, None),
            ("another body", headers(ID, &seconds, SIGNATURE), "{}", Some("no signature fits")),
            ("another id", headers("msg", &seconds, SIGNATURE), BODY, Some("no signature fits")),
            ("no version", headers(ID, &seconds, &SIGNATURE[3..]), BODY, Some("no signature fits")),
            ("late", headers(ID, &late, SIGNATURE), BODY, Some("webhook-timestamp is too old or too new")),
            ("no id", headers("", &seconds, SIGNATURE), BODY, Some("webhook-id is missing")),
            ("no time", headers(ID, "", SIGNATURE), BODY, Some("webhook-timestamp is missing")),
        ];
        for (name, headers, body, refused) in cases {
            let clock: Clock = Arc::new(|| Timestamp::from_second(SECONDS).unwrap());
            let receiver = Receiver::new(SECRET, clock, crate::Config::default().sleep);
            let request = http::Request::post("/in").header("content-type", "application/json");
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let response = receiver.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
            assert_eq!(response.status().as_u16(), if refused.is_some() { 400 } else { 204 }, "{name}");
            assert_eq!(receiver.refused(), Vec::from_iter(refused), "{name}");
            let bodies: Vec<_> = receiver.hooks().into_iter().map(|hook| hook.body).collect();
            assert_eq!(bodies, if refused.is_some() { vec![] } else { vec![Bytes::from(body)] }, "{name}");
        }
    }
}

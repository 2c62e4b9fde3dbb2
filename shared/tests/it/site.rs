//! A far side for destinations of type `webhook`, whose answers a test decides.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse as _;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use shared::ports::Clock as _;

use crate::ports::VirtualClock;

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Timestamp,
    /// The delivery.
    pub(crate) id: String,
    pub(crate) event: String,
    /// The event's own; its name, where it has none.
    pub(crate) title: String,
    /// The exact bytes.
    pub(crate) body: Bytes,
    pub(crate) status: u16,
}

type Answer = Box<dyn Fn(&Call) -> (u16, String) + Send>;

#[derive(Clone)]
pub(crate) struct Site(Arc<Inner>);

struct Inner {
    clock: VirtualClock,
    answer: Mutex<Answer>,
    calls: Mutex<Vec<Call>>,
}

impl Site {
    /// Takes everything.
    pub(crate) fn new(clock: VirtualClock) -> Self {
        Self(Arc::new(Inner { clock, answer: Mutex::new(Box::new(|_| (200, String::new()))), calls: Mutex::default() }))
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    pub(crate) fn answers(&self, status: u16) {
        self.answers_by(move |_| status);
    }

    pub(crate) fn answers_by(&self, status: impl Fn(&Call) -> u16 + Send + 'static) {
        self.says(move |call| (status(call), String::new()));
    }

    pub(crate) fn says(&self, answer: impl Fn(&Call) -> (u16, String) + Send + 'static) {
        *self.0.answer.lock().unwrap() = Box::new(answer);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.calls.lock().unwrap().clone()
    }

    /// What it took, in order.
    pub(crate) fn taken(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.status < 300).collect()
    }
}

async fn answer(State(site): State<Site>, headers: HeaderMap, body: Bytes) -> axum::response::Response {
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut call = Call {
        at: site.0.clock.now(),
        id: headers["webhook-id"].to_str().unwrap().to_owned(),
        event: text(&json["data"]["event"]),
        title: text(json["data"].get("title").unwrap_or(&json["data"]["event"])),
        body,
        status: 0,
    };
    let (status, said) = site.0.answer.lock().unwrap()(&call);
    call.status = status;
    site.0.calls.lock().unwrap().push(call);
    (StatusCode::from_u16(status).unwrap(), said).into_response()
}

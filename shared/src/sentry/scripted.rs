//! A far side that answers by script and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use jiff::Timestamp;

use super::{BaseUrl, Client};
use crate::ids::InstallationId;
use crate::ports::{CallError, Clock, Outgoing, Policy};

pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
const NOW: i64 = 1_795_000_000;

/// The scripts' time stands still.
pub(super) struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        after_now(0)
    }

    async fn sleep(&self, _: Duration) {}
}

pub(super) fn after_now(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).expect("in range")
}

pub(super) fn base() -> BaseUrl {
    BaseUrl::parse("https://sentry.test/").expect("a base URL")
}

/// That of the recorded exchanges.
pub(super) fn installation() -> InstallationId {
    "2b58dfa9-7c06-4455-843d-b9d1c9b71959".parse().expect("a UUID")
}

#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) authorization: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) body: String,
    pub(super) policy: Policy,
}

type Result = std::result::Result<Response<Bytes>, CallError>;

pub(super) struct Script {
    answers: Mutex<VecDeque<Result>>,
    seen: Mutex<Vec<Seen>>,
}

pub(super) fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = status.try_into().expect("a status");
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    response
}

impl Script {
    pub(super) fn new(answers: impl IntoIterator<Item = Result>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), seen: Mutex::default() }
    }

    pub(super) fn answers<'a>(answers: impl IntoIterator<Item = (u16, &'a str)>) -> Self {
        Self::new(answers.into_iter().map(|(status, body)| Ok(answer(status, &[], body))))
    }

    pub(super) fn client<'a>(&'a self, base: &'a BaseUrl) -> Client<'a, Self, Still> {
        Client::new(self, &Still, base)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panicked in it").clone()
    }

    pub(super) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "exactly one request");
        seen[0].clone()
    }
}

impl Outgoing for Script {
    async fn call(&self, request: Request<Bytes>, policy: Policy) -> Result {
        let text = |headers: &HeaderMap, name| {
            headers.get(name).map(|v: &http::HeaderValue| v.to_str().expect("text").to_owned())
        };
        let seen = Seen {
            method: request.method().to_string(),
            url: request.uri().to_string(),
            authorization: text(request.headers(), header::AUTHORIZATION),
            content_type: text(request.headers(), header::CONTENT_TYPE),
            body: String::from_utf8(request.body().to_vec()).expect("UTF-8"),
            policy,
        };
        self.seen.lock().expect("no test panicked in it").push(seen);
        self.answers.lock().expect("no test panicked in it").pop_front().expect("a request too many")
    }
}

//! Answers: JSON bodies with the texts of the real server, and what faults put in their place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Frame;
use jiff::Timestamp;
use serde::Serialize;

use crate::faults::{Disturbed, Wait};
use crate::ordered::Json;
use crate::signing::random_hex;

/// What an endpoint answers.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    content_type: &'static str,
    challenge: bool,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("an answer of this crate can be written");
        Self { status: valid(status), body, content_type: "application/json", challenge: false }
    }

    pub(crate) fn detail(status: u16, text: &str) -> Self {
        Self::json(status, &Json::from([("detail", text.into())]))
    }

    /// 23.7.1's key for refusals of the token endpoint.
    pub(crate) fn error(status: u16, text: &str) -> Self {
        Self::json(status, &Json::from([("error", text.into())]))
    }

    /// 400 of a serializer: each field with what is wrong with it.
    pub(crate) fn invalid(field: &str, text: &str) -> Self {
        Self::json(400, &Json::from([(field, Json::Array(vec![text.into()]))]))
    }

    /// 401 with Sentry's challenge, an `xBasic` that no browser asks its user about.
    pub(crate) fn unauthenticated(text: &str) -> Self {
        Self { challenge: true, ..Self::detail(401, text) }
    }

    pub(crate) fn forbidden() -> Self {
        Self::detail(403, "You do not have permission to perform this action.")
    }

    /// 404 of an installation.
    pub(crate) fn unknown_installation() -> Self {
        Self::detail(404, "Not found.")
    }

    pub(crate) fn not_allowed(method: &http::Method) -> Self {
        Self::detail(405, &format!("Method \"{method}\" not allowed."))
    }

    pub(crate) fn internal_error() -> Self {
        Self::json(500, &Json::from([("detail", "Internal Error".into()), ("errorId", random_hex::<16>().into())]))
    }

    pub(crate) fn missing_slash(path: &str) -> Self {
        let info = format!("Route not found, did you forget a trailing slash? try: {path}/");
        Self::json(404, &Json::from([("info", info.into())]))
    }

    /// 404 of a path that leads nowhere: JSON under `/api/0/`, a page elsewhere.
    pub(crate) fn not_found(path: &str) -> Self {
        if path.starts_with("/api/0/") {
            Self::json(404, &Json::from([("info", "Route not found".into())]))
        } else {
            Self::page(StatusCode::NOT_FOUND)
        }
    }

    /// HTML, as proxies and pages answer.
    fn page(status: StatusCode) -> Self {
        let page = format!("<!doctype html><html><head><title>{status}</title></head><body>{status}</body></html>");
        Self { status, body: page.into_bytes(), content_type: "text/html; charset=utf-8", challenge: false }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(header::CONTENT_TYPE, self.content_type)], self.body).into_response();
        if self.challenge {
            let challenge = HeaderValue::from_static("xBasic realm=\"api\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// What a fault answers. `reset_header` is what the endpoint calls the end of its rate limit's window.
pub(crate) fn disturbed(fault: &Disturbed, now: Timestamp, reset_header: &'static str) -> Response {
    match *fault {
        Disturbed::No => StatusCode::OK.into_response(),
        Disturbed::Cut => {
            let broken = io::Error::new(io::ErrorKind::ConnectionReset, "connection cut");
            Body::new(BrokenBody(Some(broken))).into_response()
        }
        Disturbed::Replaced { status } | Disturbed::Refused { status, html: true, .. } => {
            Answer::page(valid(status)).into_response()
        }
        Disturbed::Refused { status, wait, html: false } => {
            let text = match status {
                401 => "Invalid token",
                403 => "You do not have permission to perform this action.",
                404 => "Not found.",
                429 => "You are attempting to use this endpoint too frequently.",
                _ => "Internal Error",
            };
            let mut response = Answer::detail(status, text).into_response();
            if let Some(wait) = wait {
                let (name, seconds) = match wait {
                    Wait::Reset(wait) => (reset_header, now.as_second().saturating_add_unsigned(wait.as_secs())),
                    Wait::RetryAfter(wait) => ("retry-after", i64::try_from(wait.as_secs()).unwrap_or(i64::MAX)),
                };
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
                response.headers_mut().insert(name, HeaderValue::from(seconds));
            }
            response
        }
    }
}

fn valid(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A body that fails at once.
struct BrokenBody(Option<io::Error>);

impl hyper::body::Body for BrokenBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

//! The requests that destinations are called with.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::error::DeliveryError;

/// `POST` of a form.
pub(super) fn form(address: &str, form: &impl Serialize) -> Result<http::Request<Bytes>, DeliveryError> {
    let body = serde_urlencoded::to_string(form).expect("texts and numbers have a form");
    with_body(http::Request::post(address), "application/x-www-form-urlencoded", body.into())
}

/// `request` with a JSON body.
pub(super) fn json(
    request: http::request::Builder,
    body: &impl Serialize,
) -> Result<http::Request<Bytes>, DeliveryError> {
    let body = serde_json::to_vec(body).expect("texts and numbers have a JSON form");
    with_body(request, "application/json; charset=utf-8", body.into())
}

pub(super) fn with_body(
    request: http::request::Builder,
    content_type: &'static str,
    body: Bytes,
) -> Result<http::Request<Bytes>, DeliveryError> {
    let request = request.header(CONTENT_TYPE, content_type).body(body);
    // Whatever went into it came out of the routes file and its secrets: a key with a line break, say.
    request.map_err(|_| DeliveryError::BadValue { key: "address or key", problem: "makes no request" })
}

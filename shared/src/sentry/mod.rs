//! Sentry's own API, as far as an integration calls it: the token endpoint, the installation, the issue.
//!
//! | module | call |
//! |---|---|
//! | [`token`] | `POST /api/0/sentry-app-installations/{uuid}/authorizations/`: exchange, refresh, manual refresh |
//! | [`installation`] | `GET` and `PUT /api/0/sentry-app-installations/{uuid}/` |
//! | [`issue`] | `GET /api/0/organizations/{org}/issues/{id}/`, or without the organization |
//! | [`external_issue`] | `POST …/external-issues/` of the installation, `GET` of those of an issue |
//!
//! Each call is made once: repeating is the caller's, who knows its deadline and what is stored. The errors say by
//! `next()` what a repeat is good for. Answers are read tolerantly, for Sentry's versions differ: few fields are
//! needed, unknown ones ignored, texts of errors not compared (but for one).

mod answer;
mod base_url;
mod external_issue;
mod installation;
mod issue;
mod jwt;
pub mod limits;
mod token;

#[cfg(test)]
mod scripted;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

pub use answer::{ApiError, ApiNext, NoAnswer};
pub use base_url::{BadBaseUrl, BaseUrl};
pub use external_issue::Link;
pub use installation::Verified;
pub use issue::{Issue, PathForm};
pub use token::{AppCredentials, Granted, Next, TokenError};

use crate::ports::{CallError, Clock, Outgoing, Policy};
use answer::Answer;

/// Sentry's API at one base URL. It borrows everything and costs nothing: make one where it is needed.
///
/// Every call's `timeout` is that of one request; give 8 s or more, for slow good answers exist (up to 20 s at the
/// token endpoint).
#[derive(Debug)]
pub struct Client<'a, O, C> {
    outgoing: &'a O,
    clock: &'a C,
    base: &'a BaseUrl,
}

impl<O, C> Clone for Client<'_, O, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O, C> Copy for Client<'_, O, C> {}

impl<'a, O: Outgoing, C: Clock> Client<'a, O, C> {
    pub fn new(outgoing: &'a O, clock: &'a C, base: &'a BaseUrl) -> Self {
        Self { outgoing, clock, base }
    }

    /// One request, unguarded: the configured Sentry is the operator's own choice and may be a private address.
    async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&SecretString>,
        json: Option<Vec<u8>>,
        timeout: Duration,
        max_body_bytes: usize,
    ) -> Result<Answer, CallError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = bearer {
            let value = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
            let mut value = HeaderValue::from_str(&value).map_err(|e| CallError::Malformed(e.into()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if json.is_some() {
            // Without it the token endpoint says 401 "Invalid request", which looks like wrong credentials.
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request =
            request.body(Bytes::from(json.unwrap_or_default())).map_err(|e| CallError::Malformed(e.into()))?;
        let policy = Policy { guarded: false, timeout, max_body_bytes };
        let response = self.outgoing.call(request, policy).await?;
        Ok(Answer::new(response, self.clock.now()))
    }
}

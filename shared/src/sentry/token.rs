//! `POST /api/0/sentry-app-installations/{uuid}/authorizations/`, the token endpoint.
//!
//! The path ends in a slash, the body is JSON and says so, and the credentials are in it: anything else is answered
//! with errors that look like wrong credentials. Success is a 201. A refresh kills the old pair at once, and an answer
//! that is lost on the way leaves the stored refresh token dead ([`TokenError::Unavailable`], `maybe_committed`); only
//! a manual refresh wins the installation back then.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, NoAnswer};
use super::{Client, jwt, limits};
use crate::ids::InstallationId;
use crate::ports::{CallError, Clock, Outgoing};
use crate::sealing::TokenPair;
use crate::secrets::App;

/// Answers are some 400 bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Sentry's own advice after a 409: another manual refresh is under way, or just done.
const BUSY: Duration = Duration::from_secs(10);
/// Life of an access token whose `expiresAt` cannot be read: short, so that it is renewed too early and not too late.
const ASSUMED_LIFE: Duration = Duration::from_hours(1);

/// What proves that we are the app.
#[derive(Debug, Clone)]
pub struct AppCredentials {
    pub client_id: String,
    pub client_secret: SecretString,
}

impl From<&App> for AppCredentials {
    fn from(app: &App) -> Self {
        Self { client_id: app.client_id.clone(), client_secret: app.client_secret.as_secret().clone() }
    }
}

/// A new pair. Whatever pair the installation had before is dead.
#[derive(Debug, Clone)]
pub struct Granted {
    pub tokens: TokenPair,
    /// When the access token dies: 8 h ahead. `None`: it does not, as those of internal integrations.
    pub expires_at: Option<Timestamp>,
}

/// Why there are no new tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// 400 (our bug), 401 or 403: the code or token is wrong, used up or expired, or the grant is unknown there. Also
    /// a passing fault of sentry.io, so nothing may be removed for it.
    #[error("Sentry refused it with status {status}")]
    Refused { status: u16 },
    /// 401 that names the pair of client id and client secret: the `app` secret does not fit this Sentry.
    #[error("Sentry does not know this client id with this client secret: check the secret `app`")]
    BadCredentials,
    /// 404 with Sentry's `detail`: uninstalled, if a second one some time later says so too.
    #[error("Sentry does not know this installation")]
    Gone,
    /// A redirect, a page, a 404 of somebody else: what answers there is not Sentry's token endpoint.
    #[error("the answer with status {status} is not that of Sentry's token endpoint: check the base URL")]
    WrongAddress { status: u16 },
    /// 409: another manual refresh is under way or just done. Wait, read the store again, then try.
    #[error("another renewal is under way")]
    Busy { until: Timestamp },
    /// 429: nothing was done.
    #[error("Sentry's rate limit is reached until {until}")]
    RateLimited { until: Timestamp },
    /// 5xx, time-out, no connection, an answer that cannot be read.
    #[error("Sentry gave no usable answer")]
    Unavailable {
        /// Sentry may have used up the code or token and made a new pair that never arrived.
        maybe_committed: bool,
        #[source]
        why: NoAnswer,
    },
}

/// What to do after a [`TokenError`] with the very same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Repeat, with back-off.
    Retry,
    /// Repeat then, with jitter.
    Wait(Timestamp),
    /// Repeating it at once gets the same answer: try another grant, or come back much later.
    Final,
}

impl TokenError {
    pub fn next(&self) -> Next {
        match self {
            Self::Unavailable { .. } => Next::Retry,
            Self::Busy { until } | Self::RateLimited { until } => Next::Wait(*until),
            Self::Refused { .. } | Self::BadCredentials | Self::Gone | Self::WrongAddress { .. } => Next::Final,
        }
    }

    /// Whether Sentry may have made a pair that never arrived.
    pub fn maybe_committed(&self) -> bool {
        matches!(self, Self::Unavailable { maybe_committed: true, .. })
    }

    fn of(answer: &Answer) -> Self {
        let status = answer.status().as_u16();
        match status {
            429 => Self::RateLimited { until: answer.refused_until() },
            // A 500 of sentry.io has been seen after it had committed, and behind a 502 or 504 it may go on working.
            408 | 500.. => Self::Unavailable { maybe_committed: true, why: NoAnswer::Status(status) },
            _ if answer.is_html() => Self::WrongAddress { status },
            401 if answer.detail().as_deref() == Some("Invalid Client ID / Secret pair") => Self::BadCredentials,
            400 | 401 | 403 => Self::Refused { status },
            404 if answer.detail().is_some() => Self::Gone,
            409 => Self::Busy { until: limits::after(answer.received_at, BUSY) },
            _ => Self::WrongAddress { status },
        }
    }
}

impl From<CallError> for TokenError {
    fn from(error: CallError) -> Self {
        let maybe_committed = match &error {
            CallError::TimedOut(_) | CallError::BrokenOff(_) => true,
            CallError::AddressRefused | CallError::Unreachable(_) | CallError::Malformed(_) => false,
        };
        Self::Unavailable { maybe_committed, why: error.into() }
    }
}

#[derive(Serialize)]
struct CodeGrant<'a> {
    grant_type: &'static str,
    code: &'a str,
    client_id: &'a str,
    client_secret: &'a str,
}

#[derive(Serialize)]
struct RefreshGrant<'a> {
    grant_type: &'static str,
    refresh_token: &'a str,
    client_id: &'a str,
    client_secret: &'a str,
}

/// Not `urn:ietf:…`, as everybody else has it.
const MANUAL_GRANT: &[u8] = br#"{"grant_type":"urn:sentry:params:oauth:grant-type:jwt-bearer"}"#;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    token: String,
    refresh_token: Option<String>,
    expires_at: Option<serde_json::Value>,
}

impl<O: Outgoing, C: Clock> Client<'_, O, C> {
    /// Exchanges the grant code of an install (redirect or `installation.created`) for the first pair. The code is
    /// used up by the first success and dies after 10 min; a used code is refused as a wrong one is.
    pub async fn exchange(
        &self,
        installation: InstallationId,
        code: &str,
        app: &AppCredentials,
        timeout: Duration,
    ) -> Result<Granted, TokenError> {
        let body = json(&CodeGrant {
            grant_type: "authorization_code",
            code,
            client_id: &app.client_id,
            client_secret: app.client_secret.expose_secret(),
        });
        self.grant(installation, None, body, timeout).await
    }

    /// Renews the pair by its refresh token, which works once and also after the access token has expired.
    pub async fn refresh(
        &self,
        installation: InstallationId,
        refresh_token: &SecretString,
        app: &AppCredentials,
        timeout: Duration,
    ) -> Result<Granted, TokenError> {
        let body = json(&RefreshGrant {
            grant_type: "refresh_token",
            refresh_token: refresh_token.expose_secret(),
            client_id: &app.client_id,
            client_secret: app.client_secret.expose_secret(),
        });
        self.grant(installation, None, body, timeout).await
    }

    /// Renews the pair with nothing but the client secret: needs no stored token, so a lost answer costs nothing.
    /// Works where a code was exchanged before, on sentry.io and newer self-hosted Sentry. `chance` is 16 fresh random
    /// bytes, for the id of the JWT.
    ///
    /// Never [`TokenError::BadCredentials`]: an older Sentry, which does not know this grant, misses the credentials
    /// in the body and says the same; that is a plain [`TokenError::Refused`] here.
    pub async fn manual_refresh(
        &self,
        installation: InstallationId,
        app: &AppCredentials,
        chance: [u8; 16],
        timeout: Duration,
    ) -> Result<Granted, TokenError> {
        let jwt = jwt::for_app(app, self.clock.now(), chance);
        match self.grant(installation, Some(&jwt), MANUAL_GRANT.to_vec(), timeout).await {
            Err(TokenError::BadCredentials) => Err(TokenError::Refused { status: 401 }),
            result => result,
        }
    }

    async fn grant(
        &self,
        installation: InstallationId,
        bearer: Option<&SecretString>,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Granted, TokenError> {
        let path = format!("/api/0/sentry-app-installations/{installation}/authorizations/");
        let answer = self.call(Method::POST, &path, bearer, Some(body), timeout, MAX_BODY_BYTES).await?;
        if !answer.status().is_success() {
            return Err(TokenError::of(&answer));
        }
        let made = answer.json::<Made>().filter(|made| is_token(&made.token));
        match made {
            Some(made) => Ok(granted(made, answer.received_at)),
            None if answer.is_html() => Err(TokenError::WrongAddress { status: answer.status().as_u16() }),
            None => Err(TokenError::Unavailable { maybe_committed: true, why: NoAnswer::Unreadable }),
        }
    }
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts are JSON")
}

/// Tokens are opaque, but must stand in a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn granted(made: Made, received_at: Timestamp) -> Granted {
    let expires_at = match made.expires_at {
        None | Some(serde_json::Value::Null) => None,
        Some(value) => {
            let read = value.as_str().and_then(instant);
            Some(read.unwrap_or_else(|| limits::after(received_at, ASSUMED_LIFE)))
        }
    };
    let refresh = made.refresh_token.filter(|token| is_token(token)).map(SecretString::from);
    Granted { tokens: TokenPair { access: made.token.into(), refresh }, expires_at }
}

/// ISO 8601 with any number of digits of fraction. Without an offset it is UTC, as all of Sentry's times.
fn instant(text: &str) -> Option<Timestamp> {
    let with_offset = text.parse().ok();
    with_offset.or_else(|| TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok())
}

#[cfg(test)]
mod tests;

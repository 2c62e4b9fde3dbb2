//! Calls that leave the house: the port [`Outgoing`] on reqwest.
//!
//! No redirect is followed (it could lead behind the guard, and would carry tokens elsewhere), no proxy is taken from
//! the environment, every call has its time-out and every answer its limit. The guard of [`guard`] keeps guarded calls
//! to public addresses. No error holds an address beyond its host: a webhook's address is its secret.

mod guard;
mod tls;

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Method, redirect};

pub use guard::is_public;
pub use tls::{Roots, SetupError};

use crate::BoxError;
use crate::ports::{CallError, Outgoing, Policy};

/// Longest time for name, connection and TLS together. Shorter than any call's own time-out, so that a host that
/// drops packets is told from one that thinks: nothing was sent to the first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is not used again after this. Servers and load balancers drop idle ones after 60 s or so, and a
/// function frozen meanwhile would learn of it only by sending.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// What every call that leaves says of itself.
pub const USER_AGENT: &str = concat!("sentry-switchboard/", env!("CARGO_PKG_VERSION"));

/// [`Outgoing`] on reqwest. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Reqwest {
    open: Client,
    /// Its own pool, so that a guarded call never rides on a connection opened without the guard.
    guarded: Client,
    allow_private: bool,
}

impl Reqwest {
    /// `allow_private` opens the guard (`ALLOW_PRIVATE_DESTINATIONS=1`): guarded calls are then as the others.
    pub fn new(roots: &Roots, allow_private: bool) -> Result<Self, SetupError> {
        let tls = tls::config(roots)?;
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(redirect::Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .user_agent(USER_AGENT)
        };
        let failed = |error: reqwest::Error| SetupError::Tls(error.without_url().into());
        Ok(Self {
            open: builder().build().map_err(failed)?,
            guarded: builder().dns_resolver(guard::PublicOnly).build().map_err(failed)?,
            allow_private,
        })
    }

    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        policy: Policy,
    ) -> Result<http::Response<Bytes>, CallError> {
        let bodiless = request.body().is_empty() && matches!(*request.method(), Method::GET | Method::HEAD);
        let mut request =
            reqwest::Request::try_from(request).map_err(|e| CallError::Malformed(e.without_url().into()))?;
        if bodiless {
            *request.body_mut() = None;
        }
        if !matches!(request.url().scheme(), "http" | "https") {
            return Err(CallError::Malformed("its address is neither http nor https".into()));
        }
        let client = if policy.guarded && !self.allow_private {
            guard::check_literal(request.url()).map_err(|_| CallError::AddressRefused)?;
            &self.guarded
        } else {
            &self.open
        };
        let mut answer = client.execute(request).await.map_err(call_error)?;
        let mut body = BytesMut::new();
        while body.len() < policy.max_body_bytes {
            let Some(chunk) = answer.chunk().await.map_err(|e| CallError::BrokenOff(e.without_url().into()))? else {
                break;
            };
            let room = policy.max_body_bytes - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        let mut response = http::Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl Outgoing for Reqwest {
    async fn call(&self, request: http::Request<Bytes>, policy: Policy) -> Result<http::Response<Bytes>, CallError> {
        tokio::time::timeout(policy.timeout, self.exchange(request, policy))
            .await
            .unwrap_or(Err(CallError::TimedOut(policy.timeout)))
    }
}

/// Sorts by what the far side can have seen. A request that met a dead pooled connection before its first byte was
/// out has been repeated by the connection pool already.
fn call_error(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    if is_refused(&error) {
        CallError::AddressRefused
    } else if error.is_connect() {
        CallError::Unreachable(error.into())
    } else if error.is_builder() {
        CallError::Malformed(error.into())
    } else {
        CallError::BrokenOff(BoxError::from(error))
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<guard::Refused>() {
            return true;
        }
        source = inner.source();
    }
    false
}

#[cfg(test)]
mod tests;

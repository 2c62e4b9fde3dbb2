//! Sentry's side of the wire: finds the endpoint, lets faults in, records.
//!
//! Paths are matched by hand and not by the router's patterns, because the real server's answer to a missing slash, and
//! to anything else it does not know, is part of what a client must cope with.

mod answer;
#[cfg(test)]
mod api_tests;
mod external_issue;
mod installation;
mod issue;
mod token;
#[cfg(test)]
mod token_tests;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, header};

use crate::faults::{Disturbed, Endpoint, Fault};
use crate::record::{Direction, Exchange, elapsed};
use crate::simulator::{Simulator, locked};
use crate::state::Bearer;

pub(crate) use answer::{Answer, disturbed};
pub(crate) use installation::shape;

/// A longer body is refused: no call of an app comes near it.
pub(crate) const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// A request as the endpoints see it.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// Reads the body; `None` where it is too long or breaks off.
    pub(crate) async fn read(request: Request) -> Option<Self> {
        Self::read_up_to(BODY_LIMIT_BYTES, request).await
    }

    pub(crate) async fn read_up_to(limit_bytes: usize, request: Request) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, limit_bytes).await.ok()?;
        Some(Self { method: parts.method, path: parts.uri.path().to_owned(), headers: parts.headers, body })
    }

    pub(crate) fn content_type(&self) -> &str {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What follows `Bearer` in the Authorization header.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Authorizations(&'a str),
    Installation(&'a str),
    Issue { organization: Option<&'a str>, id: &'a str },
    Links(&'a str),
    LinksOfIssue { organization: Option<&'a str>, id: &'a str },
    MissingSlash,
    Nowhere,
}

impl Target<'_> {
    const fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Authorizations(_) => Some(Endpoint::Token),
            Self::Installation(_) => Some(Endpoint::Verify),
            Self::Issue { .. } => Some(Endpoint::Issue),
            Self::Links(_) => Some(Endpoint::Links),
            Self::LinksOfIssue { .. } | Self::MissingSlash | Self::Nowhere => None,
        }
    }
}

fn target(path: &str) -> Target<'_> {
    let Some(rest) = path.strip_prefix("/api/0/") else { return Target::Nowhere };
    if !path.ends_with('/') {
        return Target::MissingSlash;
    }
    let rest = rest.strip_suffix('/').unwrap_or_default();
    match *rest.split('/').collect::<Vec<_>>() {
        ["sentry-app-installations", uuid, "authorizations"] => Target::Authorizations(uuid),
        ["sentry-app-installations", uuid, "external-issues"] => Target::Links(uuid),
        ["organizations", organization, "issues", id, "external-issues"] => {
            Target::LinksOfIssue { organization: Some(organization), id }
        }
        ["issues", id, "external-issues"] => Target::LinksOfIssue { organization: None, id },
        ["sentry-app-installations", uuid] => Target::Installation(uuid),
        ["organizations", organization, "issues", id] => Target::Issue { organization: Some(organization), id },
        ["issues", id] => Target::Issue { organization: None, id },
        _ => Target::Nowhere,
    }
}

pub(crate) fn router(simulator: Simulator) -> Router {
    Router::new().fallback(serve).with_state(simulator)
}

async fn serve(State(simulator): State<Simulator>, request: Request) -> Response {
    let Some(call) = Call::read(request).await else {
        return Answer::detail(413, "Request body too large").into_response();
    };
    // In a task of its own: a real server carries a request out even when the client has hung up.
    let carried_out = tokio::spawn(async move { answered(&simulator, &call).await });
    carried_out.await.unwrap_or_else(|_| Answer::internal_error().into_response())
}

async fn answered(simulator: &Simulator, call: &Call) -> Response {
    let at = simulator.now();
    let target = target(&call.path);
    let fault = target.endpoint().and_then(|endpoint| simulator.faults().take(endpoint));
    let (delay, answer) = fault.map_or((Duration::ZERO, Disturbed::No), |Fault { delay, answer }| (delay, answer));
    let mut subject = match &target {
        Target::Authorizations(_) => "token",
        Target::Installation(_) if call.method == Method::PUT => "verify",
        Target::Installation(_) => "installation",
        Target::Issue { .. } => "issue",
        Target::Links(_) | Target::LinksOfIssue { .. } => "links",
        Target::MissingSlash | Target::Nowhere => "unknown path",
    }
    .to_owned();
    if matches!(target, Target::Authorizations(_))
        && let Some(grant) = token::grant_type(call)
    {
        subject = format!("token {grant}");
    }

    let right = if matches!(answer, Disturbed::Refused { .. }) {
        simulator.sleep(delay).await;
        None
    } else if let Target::Authorizations(uuid) = target {
        Some(token::answer(simulator, call, uuid, delay).await)
    } else {
        simulator.sleep(delay).await;
        Some(match target {
            Target::Installation(uuid) => installation::answer(simulator, call, uuid),
            Target::Issue { organization, id } => issue::answer(simulator, call, organization, id),
            Target::Links(uuid) => external_issue::made(simulator, call, uuid),
            Target::LinksOfIssue { organization, id } => external_issue::listed(simulator, call, organization, id),
            Target::MissingSlash => Answer::missing_slash(&call.path),
            Target::Authorizations(_) | Target::Nowhere => Answer::not_found(&call.path),
        })
    };
    let response = match right {
        Some(right) if answer == Disturbed::No => right.into_response(),
        _ => disturbed(&answer, at, "X-Sentry-Rate-Limit-Reset"),
    };
    record(simulator, call, at, Direction::ToSentry, subject, &answer, &response);
    response
}

/// Puts a call and its answer into the record; a cut connection has no status.
pub(crate) fn record(
    simulator: &Simulator,
    call: &Call,
    at: jiff::Timestamp,
    direction: Direction,
    subject: String,
    fault: &Disturbed,
    response: &Response<Body>,
) {
    let cut = *fault == Disturbed::Cut;
    simulator.note(Exchange {
        at,
        direction,
        method: call.method.to_string(),
        path: call.path.clone(),
        status: (!cut).then(|| response.status().as_u16()),
        failure: cut.then(|| "connection cut".to_owned()),
        duration: elapsed(at, simulator.now()),
        subject,
        attempt: 1,
    });
}

/// The installation whose token the call carries, or the refusal.
fn authorized(simulator: &Simulator, call: &Call) -> Result<String, Answer> {
    let Some(access) = call.bearer() else {
        return Err(Answer::unauthenticated("Authentication credentials were not provided."));
    };
    match locked(&simulator.0.state).bearer(access, simulator.now()) {
        Bearer::Good(installation) => Ok(installation),
        Bearer::Unknown => Err(Answer::unauthenticated("Invalid token")),
        Bearer::Expired => Err(Answer::unauthenticated("Token expired")),
        Bearer::Uninstalled => Err(Answer::forbidden()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_the_real_server_leads_them() {
        let cases = [
            ("/api/0/sentry-app-installations/u/authorizations/", Target::Authorizations("u")),
            ("/api/0/sentry-app-installations/u/authorizations", Target::MissingSlash),
            ("/api/0/sentry-app-installations/u/", Target::Installation("u")),
            ("/api/0/organizations/o/issues/7/", Target::Issue { organization: Some("o"), id: "7" }),
            ("/api/0/issues/7/", Target::Issue { organization: None, id: "7" }),
            ("/api/0/issues/7", Target::MissingSlash),
            ("/api/0/sentry-app-installations/u/external-issues/", Target::Links("u")),
            ("/api/0/issues/7/external-issues/", Target::LinksOfIssue { organization: None, id: "7" }),
            ("/api/0/issues/7/hashes/", Target::Nowhere),
            ("/api/0/", Target::Nowhere),
            ("/", Target::Nowhere),
        ];
        for (path, expected) in cases {
            assert_eq!(target(path), expected, "{path}");
        }
    }
}

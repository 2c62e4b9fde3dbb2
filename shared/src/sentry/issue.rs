//! `GET /api/0/organizations/{org}/issues/{id}/`, or `GET /api/0/issues/{id}/`; scope `event:read`.

use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use serde_json::Value;

use super::Client;
use super::answer::ApiError;
use crate::ports::{Clock, Outgoing};

/// Issues are some 10 kB; tags and activity can make much more of them.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Which of the two paths an issue was found under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathForm {
    /// With the organization: newer, and the only one that finds issues of every data region of sentry.io.
    Organization,
    /// Without: what the oldest self-hosted servers have.
    Plain,
}

/// An issue as Sentry's API shows it (not the shape of webhooks).
#[derive(Debug, Clone)]
pub struct Issue {
    pub json: Value,
    /// Remember it: where `Plain` worked although an organization was given, give none from then on.
    pub form: PathForm,
}

impl<O: Outgoing, C: Clock> Client<'_, O, C> {
    /// Reads an issue: under its organization first, and on 404 once without. `timeout` is that of each request.
    pub async fn issue(
        &self,
        organization: Option<&str>,
        id: &str,
        token: &SecretString,
        timeout: Duration,
    ) -> Result<Issue, ApiError> {
        if !is_id(id) {
            return Err(ApiError::BadIssueId);
        }
        if let Some(organization) = organization.filter(|slug| is_slug(slug)) {
            let path = format!("/api/0/organizations/{organization}/issues/{id}/");
            match self.issue_at(&path, token, timeout).await {
                Err(ApiError::NotFound) => {}
                result => return result.map(|json| Issue { json, form: PathForm::Organization }),
            }
        }
        let json = self.issue_at(&format!("/api/0/issues/{id}/"), token, timeout).await?;
        Ok(Issue { json, form: PathForm::Plain })
    }

    async fn issue_at(&self, path: &str, token: &SecretString, timeout: Duration) -> Result<Value, ApiError> {
        let answer = self.call(Method::GET, path, Some(token), None, timeout, MAX_BODY_BYTES).await?;
        if !answer.status().is_success() {
            return Err(ApiError::of(&answer));
        }
        answer.json().filter(Value::is_object).ok_or_else(|| ApiError::of_unreadable(&answer))
    }
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text can be a slug: it then stands in a path as it is.
pub(super) fn is_slug(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::CallError;
    use crate::sentry::scripted::{self, Script, TIMEOUT};
    use crate::sentry::{ApiNext, NoAnswer};

    const ISSUE: &str = r#"{"id":"7","project":{"slug":"backend"}}"#;
    const NOT_FOUND: &str = r#"{"detail":"The requested resource does not exist"}"#;

    async fn issue(script: &Script, organization: Option<&str>, id: &str) -> Result<Issue, ApiError> {
        script.client(&scripted::base()).issue(organization, id, &"the-token".into(), TIMEOUT).await
    }

    #[tokio::test]
    async fn the_organizations_path_comes_first_and_the_old_one_once_on_404() {
        let new = "https://sentry.test/api/0/organizations/acme/issues/7/";
        let old = "https://sentry.test/api/0/issues/7/";
        for (organization, answers, form, urls) in [
            (Some("acme"), vec![(200, ISSUE)], PathForm::Organization, vec![new]),
            (Some("acme"), vec![(404, NOT_FOUND), (200, ISSUE)], PathForm::Plain, vec![new, old]),
            (Some("acme"), vec![(404, ""), (200, ISSUE)], PathForm::Plain, vec![new, old]),
            (None, vec![(200, ISSUE)], PathForm::Plain, vec![old]),
            (Some("../../evil"), vec![(200, ISSUE)], PathForm::Plain, vec![old]),
        ] {
            let script = Script::answers(answers);
            let found = issue(&script, organization, "7").await.expect("found");
            assert_eq!(found.form, form);
            assert_eq!(found.json["project"]["slug"], "backend");
            let seen = script.seen();
            assert_eq!(seen.iter().map(|seen| seen.url.as_str()).collect::<Vec<_>>(), urls);
            assert!(seen.iter().all(|seen| seen.authorization.as_deref() == Some("Bearer the-token")));
        }
    }

    #[tokio::test]
    async fn unknown_under_both_paths_is_not_found() {
        let script = Script::answers([(404, NOT_FOUND), (404, NOT_FOUND)]);
        assert!(matches!(issue(&script, Some("acme"), "7").await, Err(ApiError::NotFound)));
        assert_eq!(script.seen().len(), 2);
    }

    #[tokio::test]
    async fn an_id_that_would_change_the_path_is_never_sent() {
        for id in ["", "7/../8", "7?x=1", "BACKEND-1", "１", "123456789012345678901"] {
            let script = Script::answers([]);
            assert!(matches!(issue(&script, Some("acme"), id).await, Err(ApiError::BadIssueId)), "{id}");
            assert_eq!(script.seen().len(), 0);
        }
    }

    #[tokio::test]
    async fn each_refusal_says_what_to_do_next() {
        let is = |error: &ApiError, expected: &str| format!("{error:?}").starts_with(expected);
        for (status, body, expected, next) in [
            (401, r#"{"detail":"Token expired"}"#, "TokenExpiredOrInvalid", ApiNext::Renew),
            (401, r#"{"detail":"Invalid token"}"#, "TokenExpiredOrInvalid", ApiNext::Renew),
            (403, r#"{"detail":"You do not have permission to perform this action."}"#, "Forbidden", ApiNext::Final),
            (429, "", "RateLimited", ApiNext::Wait(scripted::after_now(30))),
            (500, r#"{"detail":"Internal Error","errorId":"x"}"#, "Unavailable(Status(500))", ApiNext::Retry),
            (502, "<html>Bad Gateway</html>", "Unavailable(Status(502))", ApiNext::Retry),
            (200, "{\"id\":", "Unavailable(Unreadable)", ApiNext::Retry),
            (200, "<!doctype html>", "Unexpected { status: 200 }", ApiNext::Final),
            (302, "", "Unexpected { status: 302 }", ApiNext::Final),
            (403, "<html>Access denied</html>", "Unexpected { status: 403 }", ApiNext::Final),
            (400, "{}", "Unexpected { status: 400 }", ApiNext::Final),
        ] {
            let error = issue(&Script::answers([(status, body)]), Some("acme"), "7").await.expect_err(body);
            assert!(is(&error, expected), "{status} {body}: {error:?}");
            assert_eq!(error.next(), next, "{status} {body}");
        }
        let script = Script::new([Err(CallError::TimedOut(TIMEOUT))]);
        let error = issue(&script, None, "7").await.expect_err("no answer");
        assert!(matches!(error, ApiError::Unavailable(NoAnswer::Call(CallError::TimedOut(_)))));
        assert_eq!(error.next(), ApiNext::Retry);
    }
}

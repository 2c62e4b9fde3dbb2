//! `POST /api/0/sentry-app-installations/{uuid}/external-issues/`: the link that an issue's page shows; and
//! `GET …/issues/{id}/external-issues/`: the links that it has. Scope `event:read`, `write` or `admin`.

use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::Client;
use super::answer::ApiError;
use super::issue::{is_id, is_slug};
use crate::ids::InstallationId;
use crate::ports::{Clock, Outgoing};

const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What Sentry shows as `{project}#{identifier}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// Sentry's issue, by id.
    pub issue: &'a str,
    pub url: &'a str,
    pub project: &'a str,
    pub identifier: &'a str,
}

/// A link that an issue has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Linked {
    #[serde(rename = "webUrl", default)]
    pub url: Option<String>,
    /// Slug of the app whose link it is.
    #[serde(rename = "serviceType", default)]
    pub app: Option<String>,
}

impl<O: Outgoing, C: Clock> Client<'_, O, C> {
    /// Links the issue. An issue has one link of an app: for a second one 23.7.1 answers 500.
    pub async fn link(
        &self,
        installation: InstallationId,
        link: &Link<'_>,
        token: &SecretString,
        timeout: Duration,
    ) -> Result<(), ApiError> {
        let issue: u64 = link.issue.parse().map_err(|_| ApiError::BadIssueId)?;
        let body =
            json!({"issueId": issue, "webUrl": link.url, "project": link.project, "identifier": link.identifier});
        let body = body.to_string().into_bytes();
        let path = format!("/api/0/sentry-app-installations/{installation}/external-issues/");
        let answer = self.call(Method::POST, &path, Some(token), Some(body), timeout, MAX_BODY_BYTES).await?;
        if answer.status().is_success() { Ok(()) } else { Err(ApiError::of(&answer)) }
    }

    /// What the issue is linked to: asked for under its organization first, and on 404 once without.
    pub async fn links(
        &self,
        organization: Option<&str>,
        issue: &str,
        token: &SecretString,
        timeout: Duration,
    ) -> Result<Vec<Linked>, ApiError> {
        if !is_id(issue) {
            return Err(ApiError::BadIssueId);
        }
        let with = organization.filter(|slug| is_slug(slug));
        let with = with.map(|slug| format!("/api/0/organizations/{slug}/issues/{issue}/external-issues/"));
        let mut found = Err(ApiError::NotFound);
        for path in with.into_iter().chain([format!("/api/0/issues/{issue}/external-issues/")]) {
            found = self.links_at(&path, token, timeout).await;
            if !matches!(found, Err(ApiError::NotFound)) {
                break;
            }
        }
        found
    }

    async fn links_at(&self, path: &str, token: &SecretString, timeout: Duration) -> Result<Vec<Linked>, ApiError> {
        let answer = self.call(Method::GET, path, Some(token), None, timeout, MAX_BODY_BYTES).await?;
        if !answer.status().is_success() {
            return Err(ApiError::of(&answer));
        }
        answer.json().ok_or_else(|| ApiError::of_unreadable(&answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentry::scripted::{self, Script, TIMEOUT};

    const LINK: Link<'_> = Link { issue: "7", url: "https://t.example/12", project: "acme/backend", identifier: "12" };

    #[tokio::test]
    async fn a_link_is_posted_with_the_issue_as_a_number() {
        let (script, base) = (Script::answers([(200, r#"{"id":"1","issueId":"7"}"#)]), scripted::base());
        script.client(&base).link(scripted::installation(), &LINK, &"the-token".into(), TIMEOUT).await.expect("linked");
        let seen = script.only();
        let url =
            "https://sentry.test/api/0/sentry-app-installations/2b58dfa9-7c06-4455-843d-b9d1c9b71959/external-issues/";
        assert_eq!((seen.method.as_str(), seen.url.as_str()), ("POST", url));
        assert_eq!(seen.authorization.as_deref(), Some("Bearer the-token"));
        let body: serde_json::Value = serde_json::from_str(&seen.body).expect("JSON");
        let expected =
            json!({"issueId": 7, "webUrl": "https://t.example/12", "project": "acme/backend", "identifier": "12"});
        assert_eq!(body, expected);
        let bad = Link { issue: "7/8", ..LINK };
        let error = script.client(&base).link(scripted::installation(), &bad, &"t".into(), TIMEOUT).await;
        assert!(matches!(error, Err(ApiError::BadIssueId)));
        for (status, body, expected) in [(403, "{}", "Forbidden"), (404, "", "NotFound"), (500, "{}", "Unavailable")] {
            let script = Script::answers([(status, body)]);
            let refused = script.client(&base).link(scripted::installation(), &LINK, &"t".into(), TIMEOUT).await;
            assert!(format!("{refused:?}").contains(expected), "{status}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn the_links_of_an_issue_are_read_by_both_paths() {
        let links = r#"[{"id":"1","webUrl":"https://t.example/12","serviceType":"switchboard"},{"id":"2"}]"#;
        let linked =
            |url: Option<&str>, app: Option<&str>| Linked { url: url.map(str::to_owned), app: app.map(str::to_owned) };
        let expected = vec![linked(Some("https://t.example/12"), Some("switchboard")), linked(None, None)];
        for (answers, calls) in [(vec![(200, links)], 1), (vec![(404, ""), (200, links)], 2)] {
            let (script, base) = (Script::answers(answers), scripted::base());
            let found = script.client(&base).links(Some("acme"), "7", &"t".into(), TIMEOUT).await.expect("links");
            assert_eq!((&found, script.seen().len()), (&expected, calls));
        }
    }
}

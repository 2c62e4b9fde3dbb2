//! `GET` and `PUT /api/0/sentry-app-installations/{uuid}/`: what Sentry knows of the installation, and the call that
//! finishes an install of an app with Verify Install.

use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use serde::Deserialize;

use super::answer::{Answer, ApiError};
use super::{Client, issue};
use crate::ids::InstallationId;
use crate::ports::{Clock, Outgoing};

/// Answers are some 200 bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The installation as Sentry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Slug of the organization, if the answer has one that can stand in a path.
    pub organization: Option<String>,
    /// Slug of the app, likewise.
    pub app: Option<String>,
    /// `pending`, `installed`, `pending_deletion`, or what a newer Sentry may say.
    pub status: String,
}

impl Verified {
    /// Whether events and alert actions reach it.
    pub fn is_installed(&self) -> bool {
        self.status == "installed"
    }
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    app: Option<Named>,
    #[serde(default)]
    organization: Option<Named>,
    status: String,
}

#[derive(Deserialize)]
struct Named {
    slug: Option<String>,
}

impl Named {
    fn slug(self) -> Option<String> {
        self.slug.filter(|slug| issue::is_slug(slug))
    }
}

impl<O: Outgoing, C: Clock> Client<'_, O, C> {
    /// Tells Sentry that the install is complete. Needs a token but no scope; harmless to repeat, and for apps without
    /// Verify Install.
    pub async fn verify(
        &self,
        installation: InstallationId,
        token: &SecretString,
        timeout: Duration,
    ) -> Result<Verified, ApiError> {
        // With `{}` for a body Sentry says 200 and changes nothing.
        let body = br#"{"status":"installed"}"#.to_vec();
        let path = path(installation);
        read(&self.call(Method::PUT, &path, Some(token), Some(body), timeout, MAX_BODY_BYTES).await?)
    }

    /// Reads the installation; scope `org:read`.
    pub async fn installation(
        &self,
        installation: InstallationId,
        token: &SecretString,
        timeout: Duration,
    ) -> Result<Verified, ApiError> {
        let path = path(installation);
        read(&self.call(Method::GET, &path, Some(token), None, timeout, MAX_BODY_BYTES).await?)
    }
}

fn path(installation: InstallationId) -> String {
    format!("/api/0/sentry-app-installations/{installation}/")
}

fn read(answer: &Answer) -> Result<Verified, ApiError> {
    if !answer.status().is_success() {
        return Err(ApiError::of(answer));
    }
    let fields: Fields = answer.json().ok_or_else(|| ApiError::of_unreadable(answer))?;
    Ok(Verified {
        organization: fields.organization.and_then(Named::slug),
        app: fields.app.and_then(Named::slug),
        status: fields.status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentry::scripted::{self, Script, TIMEOUT};

    const RECORDED: &str = r#"{"app":{"uuid":"0b9d3c0f-0000-4000-8000-000000000000","slug":"switchboard"},"organization":{"slug":"acme"},"uuid":"2b58dfa9-7c06-4455-843d-b9d1c9b71959","status":"installed"}"#;

    #[tokio::test]
    async fn verify_puts_installed_with_the_token_and_reads_names_from_the_answer() {
        let script = Script::answers([(200, RECORDED)]);
        let base = scripted::base();
        let verified = script
            .client(&base)
            .verify(scripted::installation(), &"the-token".into(), TIMEOUT)
            .await
            .expect("verified");
        assert_eq!(
            verified,
            Verified {
                organization: Some("acme".to_owned()),
                app: Some("switchboard".to_owned()),
                status: "installed".to_owned()
            }
        );
        let seen = script.only();
        assert_eq!(
            (seen.method.as_str(), seen.url.as_str()),
            ("PUT", "https://sentry.test/api/0/sentry-app-installations/2b58dfa9-7c06-4455-843d-b9d1c9b71959/")
        );
        assert_eq!(seen.authorization.as_deref(), Some("Bearer the-token"));
        assert_eq!(seen.content_type.as_deref(), Some("application/json"));
        assert_eq!(seen.body, r#"{"status":"installed"}"#);
        assert!(!seen.policy.guarded, "the configured Sentry may be a private address");
    }

    #[tokio::test]
    async fn reading_is_a_get_and_tolerates_what_is_missing_or_new() {
        for (body, expected) in [
            (
                r#"{"status":"pending","organization":{"slug":"acme","id":4},"code":"x","app":{"sentryAppId":1}}"#,
                (Some("acme"), None, "pending"),
            ),
            (r#"{"status":"pending_deletion","organization":null}"#, (None, None, "pending_deletion")),
            (r#"{"status":"installed","organization":{"slug":"../../evil"}}"#, (None, None, "installed")),
        ] {
            let script = Script::answers([(200, body)]);
            let base = scripted::base();
            let read =
                script.client(&base).installation(scripted::installation(), &"t".into(), TIMEOUT).await.expect(body);
            assert_eq!((read.organization.as_deref(), read.app.as_deref(), read.status.as_str()), expected);
            let seen = script.only();
            assert_eq!((seen.method.as_str(), seen.content_type, seen.body.as_str()), ("GET", None, ""));
        }
    }
}

//! `setup`: `GET /setup`, the app's Redirect URL. Exchanges the grant code, stores the installation, and sends the
//! browser back to Sentry.
//!
//! The redirect carries no signature: anybody can send a browser here. So nothing of the query is believed but the
//! UUID and the code, and those only because Sentry takes them; organization and app come from Sentry's own answer.

use std::sync::Arc;
use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::gateway;
use crate::ids::InstallationId;
use crate::installation::{Budget, Install, Keeper, KeeperError};
use crate::page::page;
use crate::ports::{Clock, Installation, Platform, Status};
use crate::sentry::BaseUrl;
use crate::telemetry::chain;

/// Waiting for somebody else's exchange ends here, 4 s before the gateway does.
const WAIT: Duration = Duration::from_secs(26);
/// Longer queries are nobody's redirect.
const MAX_QUERY_BYTES: usize = 8 * 1024;

pub struct Setup<P: Platform> {
    platform: Arc<P>,
    keeper: Keeper<P>,
    base_url: BaseUrl,
}

impl<P: Platform> Setup<P>
where
    P::Secrets: Clone,
    P::Clock: Clone,
{
    pub fn new(platform: Arc<P>, base_url: BaseUrl) -> Self {
        let keeper = Keeper::new(Arc::clone(&platform), base_url.clone());
        Self { platform, keeper, base_url }
    }
}

impl<P: Platform> Setup<P> {
    /// Answers the browser. `query` is the raw query string; `began` is when the gateway got the request, where that is
    /// known.
    pub async fn handle(&self, query: &str, began: Option<Timestamp>) -> Response<String> {
        let now = self.platform.clock().now();
        let began = gateway::began(began, now);
        let (id, code) = match read(query) {
            Ok(read) => read,
            Err(missing) => return page(StatusCode::BAD_REQUEST, "This is not a link from Sentry", &missing),
        };
        match self.install(id, &code, began).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(installation.id = %id, "{}", chain(&error));
                page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "This integration is not ready yet",
                    "Its operator finds the reason in the log. Reload this page later, or open the integration in Sentry again.",
                )
            }
        }
    }

    async fn install(
        &self,
        id: InstallationId,
        code: &SecretString,
        began: Timestamp,
    ) -> Result<Response<String>, KeeperError> {
        loop {
            return Ok(match self.keeper.install(id, code, Budget::browser(began)).await? {
                Install::Installed(row) | Install::Already(row) => self.installed(&row),
                Install::Removed => refused(),
                Install::CodeRefused => {
                    // The other side of the race may just have used it.
                    match self.keeper.wait_for_tokens(id, began + WAIT).await? {
                        Some(row) if row.tokens.is_some() => self.installed_by_another(row, began).await?,
                        _ => refused(),
                    }
                }
                Install::NotNow(error) => {
                    tracing::error!(installation.id = %id, "{}", chain(&error));
                    page(
                        StatusCode::BAD_GATEWAY,
                        "Sentry does not answer right now",
                        "Nothing is lost: reload this page to try again. If Sentry sends its webhook, the install finishes by itself.",
                    )
                }
                Install::Held(_) => match self.keeper.wait_for_tokens(id, began + WAIT).await? {
                    Some(row) if row.status == Status::Removed => refused(),
                    Some(row) => self.installed_by_another(row, began).await?,
                    // Whoever held the lease has given up: now it is ours, if there is time.
                    None if self.platform.clock().now() < began + WAIT => continue,
                    None => still_answering(),
                },
                Install::NoTime => still_answering(),
            });
        }
    }

    async fn installed_by_another(&self, row: Installation, began: Timestamp) -> Result<Response<String>, KeeperError> {
        Ok(self.installed(&self.keeper.wait_for_verify(row, began + WAIT).await?))
    }

    /// Back to Sentry, once its own answer has told whose installation this is; until then a page.
    fn installed(&self, row: &Installation) -> Response<String> {
        let (Some(organization), Some(app)) = (&row.organization, &row.app) else {
            return page(
                StatusCode::OK,
                "Installed",
                "The integration is installed. You can close this page and go back to Sentry.",
            );
        };
        let address = format!("{}/settings/{organization}/sentry-apps/{app}/", self.base_url);
        let mut response = page(StatusCode::FOUND, "Installed", "The integration is installed. Sentry opens again.");
        match HeaderValue::try_from(address) {
            Ok(address) => {
                response.headers_mut().insert(LOCATION, address);
            }
            Err(_) => *response.status_mut() = StatusCode::OK,
        }
        response
    }
}

fn refused() -> Response<String> {
    page(
        StatusCode::BAD_REQUEST,
        "This install link does not work any more",
        "Its code was used, is older than ten minutes, or belongs to another integration. Open the integration in Sentry and install it again.",
    )
}

fn still_answering() -> Response<String> {
    page(
        StatusCode::ACCEPTED,
        "Sentry is still answering",
        "The install is under way. Reload this page in a few seconds.",
    )
}

/// `code` and `installationId` of the query, or what is wrong with them, for people.
fn read(query: &str) -> Result<(InstallationId, SecretString), String> {
    const AGAIN: &str = "Open the integration in Sentry and install it from there.";
    if query.len() > MAX_QUERY_BYTES {
        return Err(format!("The address is too long. {AGAIN}"));
    }
    let parameters: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let one = |name: &str| {
        let mut values = parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            (Some(_), Some(_)) => Err(format!("The address has more than one `{name}`. {AGAIN}")),
            _ => Err(format!("The address lacks `{name}`. {AGAIN}")),
        }
    };
    let id = one("installationId")?;
    let id = id.parse().map_err(|_| format!("The address has an `installationId` that is not one. {AGAIN}"))?;
    let code = one("code")?;
    if code.len() > 255 || !code.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("The address has a `code` that is not one. {AGAIN}"));
    }
    Ok((id, SecretString::from(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_code_or_installation_says_what_is_missing() {
        const ID: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";
        let long = format!("installationId={ID}&code={}", "c".repeat(10_240));
        let cases = [
            ("nothing", String::new(), Some("lacks `installationId`")),
            ("no code", format!("installationId={ID}"), Some("lacks `code`")),
            ("an empty code", format!("installationId={ID}&code="), Some("lacks `code`")),
            ("no installation", "code=c".into(), Some("lacks `installationId`")),
            ("a path", "code=c&installationId=../../x".into(), Some("`installationId` that is not one")),
            ("an encoded path", "code=c&installationId=%2e%2e%2f".into(), Some("`installationId` that is not one")),
            ("two codes", format!("installationId={ID}&code=a&code=b"), Some("more than one `code`")),
            ("a line break in the code", format!("installationId={ID}&code=a%0ab"), Some("`code` that is not one")),
            ("too long", long, Some("too long")),
            ("as Sentry sends it", format!("code=c0de&installationId={ID}&orgSlug=acme"), None),
        ];
        for (name, query, expected) in cases {
            match (read(&query), expected) {
                (Ok((id, _)), None) => assert_eq!(id.to_string(), ID, "{name}"),
                (Err(text), Some(part)) => assert!(text.contains(part), "{name}: {text}"),
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }
}

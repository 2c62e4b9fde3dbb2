//! Where Sentry is.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// `https://sentry.io`, or that of a self-hosted Sentry: scheme, host, perhaps a port and a path. No slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Why a text is no base URL. Never shows it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Sentry's base URL {0}, as in `https://sentry.io`")]
pub struct BadBaseUrl(&'static str);

impl BaseUrl {
    /// Drops one slash at the end, which people paste along, and the white space around.
    pub fn parse(text: &str) -> Result<Self, BadBaseUrl> {
        let text = text.trim();
        let uri: Uri = text.parse().map_err(|_| BadBaseUrl("must be a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(BadBaseUrl("must begin with https:// or http://"));
        }
        let authority = uri.authority().ok_or(BadBaseUrl("must name a host"))?;
        if authority.as_str().contains('@') {
            return Err(BadBaseUrl("must hold no user name or password"));
        }
        if authority.host().is_empty() {
            return Err(BadBaseUrl("must name a host"));
        }
        // The parser overlooks a port that is no number.
        if authority.as_str() != authority.host() && authority.port_u16().is_none() {
            return Err(BadBaseUrl("must have a port from 0 to 65535, or none"));
        }
        // A fragment is dropped by the parser, so it is looked for in the text.
        if uri.query().is_some() || text.contains(['?', '#']) {
            return Err(BadBaseUrl("must have neither query nor fragment"));
        }
        let base = text.strip_suffix('/').unwrap_or(text);
        if base.ends_with('/') {
            return Err(BadBaseUrl("must not end with several slashes"));
        }
        if uri.path().split('/').any(|segment| segment == "api") {
            return Err(BadBaseUrl("must be that of the web site, without /api/0"));
        }
        Ok(Self(base.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = BadBaseUrl;

    fn from_str(text: &str) -> Result<Self, BadBaseUrl> {
        Self::parse(text)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_scheme_host_port_and_path_without_a_slash_at_the_end() {
        for (text, base) in [
            ("https://sentry.io", "https://sentry.io"),
            ("https://sentry.io/", "https://sentry.io"),
            (" http://10.0.0.5:9000 ", "http://10.0.0.5:9000"),
            ("http://[::1]:9000/", "http://[::1]:9000"),
            ("https://example.com/sentry/", "https://example.com/sentry"),
        ] {
            assert_eq!(BaseUrl::parse(text).expect(text).as_str(), base);
        }
    }

    #[test]
    fn a_wrong_base_url_is_refused_with_what_is_wrong_and_without_its_text() {
        for (text, reason) in [
            ("", "must be a URL"),
            ("sentry.io", "must begin with https:// or http://"),
            ("/sentry", "must begin with https:// or http://"),
            ("ftp://sentry.io", "must begin with https:// or http://"),
            ("https://user:hunter2@sentry.io", "must hold no user name or password"),
            ("https://sentry.io?org=a", "must have neither query nor fragment"),
            ("https://sentry.io/?", "must have neither query nor fragment"),
            ("https://sentry.io/#settings", "must have neither query nor fragment"),
            ("https://sentry.io//", "must not end with several slashes"),
            ("https://sentry.io/api/0/", "must be that of the web site, without /api/0"),
            ("https://sentry.io:port", "must have a port from 0 to 65535, or none"),
            ("https://sentry.io:", "must have a port from 0 to 65535, or none"),
            ("https://sentry.io:99999", "must have a port from 0 to 65535, or none"),
        ] {
            let error = BaseUrl::parse(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

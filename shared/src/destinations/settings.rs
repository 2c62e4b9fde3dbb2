//! A destination's values with its secrets filled in.

use std::collections::BTreeMap;

use http::Uri;
use secrecy::{ExposeSecret, SecretString};

use super::error::DeliveryError;
use crate::routing::{Destination, Tracker, Value};
use crate::secrets::DestinationSecrets;

/// What a kind's `render` reads. Its secrets are in the clear here and nowhere else.
pub struct Settings {
    texts: BTreeMap<String, SecretString>,
    numbers: BTreeMap<String, Value>,
    base_url: Option<String>,
}

/// A secret that a value names, and that nobody has filled in.
#[derive(Debug, thiserror::Error)]
#[error("the secret `{0}` is missing in `destinations`")]
pub struct MissingSecret(pub String);

impl Settings {
    pub fn resolve(destination: &Destination, secrets: &DestinationSecrets) -> Result<Self, MissingSecret> {
        Self::resolve_values(&destination.values, destination.base_url.as_deref(), secrets)
    }

    /// [`Self::resolve`] for a tracker.
    pub fn resolve_tracker(tracker: &Tracker, secrets: &DestinationSecrets) -> Result<Self, MissingSecret> {
        Self::resolve_values(&tracker.values, tracker.base_url.as_deref(), secrets)
    }

    fn resolve_values(
        values: &BTreeMap<String, Value>,
        base_url: Option<&str>,
        secrets: &DestinationSecrets,
    ) -> Result<Self, MissingSecret> {
        let base_url = base_url.map(str::to_owned);
        let mut settings = Self { texts: BTreeMap::new(), numbers: BTreeMap::new(), base_url };
        for (key, value) in values {
            let text = match value {
                Value::Text(text) => SecretString::from(text.as_str()),
                Value::Secret(name) => secrets.get(name).ok_or_else(|| MissingSecret(name.clone()))?.clone(),
                Value::Number(_) | Value::NumberByLevel(_) => {
                    settings.numbers.insert(key.clone(), value.clone());
                    continue;
                }
            };
            settings.texts.insert(key.clone(), text);
        }
        Ok(settings)
    }

    /// A value that the kind needs.
    pub fn required(&self, key: &'static str) -> Result<&str, DeliveryError> {
        self.text(key).ok_or(DeliveryError::Misconfigured { missing: key })
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(ExposeSecret::expose_secret)
    }

    /// The number at `key`: of its table, that of `level`.
    pub fn number(&self, key: &str, level: Option<&str>) -> Option<i64> {
        match self.numbers.get(key)? {
            Value::Number(number) => Some(*number),
            Value::NumberByLevel(numbers) => numbers.get(level?).copied(),
            Value::Text(_) | Value::Secret(_) => None,
        }
    }

    /// The greatest number that [`Self::number`] can give for any level.
    pub fn greatest(&self, key: &str) -> Option<i64> {
        match self.numbers.get(key)? {
            Value::Number(number) => Some(*number),
            Value::NumberByLevel(numbers) => numbers.values().max().copied(),
            Value::Text(_) | Value::Secret(_) => None,
        }
    }

    /// Scheme, host and port to call (of a tracker perhaps with a path), without a slash at the end: the file's
    /// `base_url`, else the kind's own.
    pub fn base_url<'a>(&'a self, default: &'a str) -> &'a str {
        self.base_url.as_deref().unwrap_or(default)
    }

    /// The address that stands whole at `key`. A `base_url` replaces its scheme, host and port; path and query stay,
    /// behind the path that the `base_url` may have.
    pub fn address(&self, key: &'static str) -> Result<Uri, DeliveryError> {
        let bad = |problem| DeliveryError::BadValue { key, problem };
        let text = self.required(key)?.trim();
        // Without a scheme most texts are no address at all: what is missing is told first.
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(bad("is no address that begins with https://"));
        }
        let uri: Uri = text.parse().map_err(|_| bad("is no address"))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(bad("is no address"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(bad("holds a user name, which an address must not"));
        }
        let Some(base_url) = &self.base_url else { return Ok(uri) };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        format!("{base_url}{path}").parse().map_err(|_| bad("is no address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base_url: Option<&str>, url: &str) -> Settings {
        let texts = BTreeMap::from([("url".to_owned(), SecretString::from(url))]);
        Settings { texts, numbers: BTreeMap::new(), base_url: base_url.map(str::to_owned) }
    }

    #[test]
    fn a_base_url_replaces_where_an_address_leads_and_nothing_else() {
        let own = "https://discord.com/api/webhooks/1/t?wait=true";
        let cases = [
            (None, own, Ok(own)),
            (Some("http://127.0.0.1:9"), own, Ok("http://127.0.0.1:9/api/webhooks/1/t?wait=true")),
            (None, " https://h.example/x\n", Ok("https://h.example/x")),
            (None, "discord.com/api", Err("its `url` is no address that begins with https://")),
            (None, "ftp://h.example/x", Err("its `url` is no address that begins with https://")),
            (None, "https://a:b@h.example/", Err("its `url` holds a user name, which an address must not")),
            (None, "not an address", Err("its `url` is no address that begins with https://")),
            (None, "https://not an address", Err("its `url` is no address")),
            (None, "https:///x", Err("its `url` is no address")),
        ];
        for (base_url, url, expected) in cases {
            let found = settings(base_url, url).address("url").map(|uri| uri.to_string()).map_err(|e| e.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{url}");
        }
    }

    #[test]
    fn a_number_may_hang_on_the_level() {
        let mut settings = settings(None, "");
        settings.numbers.insert("retry".into(), Value::Number(60));
        settings.numbers.insert("priority".into(), Value::NumberByLevel([("fatal".to_owned(), 2)].into()));
        assert_eq!(settings.number("retry", None), Some(60));
        assert_eq!(settings.number("priority", Some("fatal")), Some(2));
        assert_eq!(settings.number("priority", Some("info")), None);
        assert_eq!(settings.number("priority", None), None);
        assert_eq!(settings.number("url", Some("fatal")), None);
        assert_eq!((settings.greatest("priority"), settings.greatest("retry")), (Some(2), Some(60)));
        assert_eq!(settings.greatest("url"), None);
    }
}

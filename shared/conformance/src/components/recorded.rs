//! Requests that a real Sentry made to another app.

use base64::Engine as _;
use http::{HeaderMap, HeaderName, Method};
use serde_json::Value;

pub(super) struct Recorded {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) method: Method,
    /// Without a question mark.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Recorded {
    /// One of `shared/samples`.
    pub(super) fn read(sample: &str) -> Self {
        let path = format!("{}/../samples/{sample}.json", env!("CARGO_MANIFEST_DIR"));
        let file: Value = serde_json::from_slice(&std::fs::read(path).expect("a sample")).expect("JSON");
        let text = |name: &str| file[name].as_str().expect("a text").to_owned();
        let query = text("target").split_once('?').map_or_else(String::new, |(_, query)| query.to_owned());
        let headers = file["headers"].as_object().expect("headers").iter().map(|(name, value)| {
            let value = value.as_str().expect("a text").parse().expect("a header's value");
            (HeaderName::try_from(name).expect("a header"), value)
        });
        // Of the connection, not of the request.
        let of_connection = [http::header::HOST, http::header::CONNECTION, http::header::CONTENT_LENGTH];
        Self {
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            method: text("method").parse().expect("a method"),
            query,
            headers: headers.filter(|(name, _)| !of_connection.contains(name)).collect(),
            body: base64::prelude::BASE64_STANDARD.decode(text("body")).expect("base64"),
        }
    }

    pub(super) fn installation(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).expect("JSON");
        body["installationId"].as_str().expect("a text").to_owned()
    }
}

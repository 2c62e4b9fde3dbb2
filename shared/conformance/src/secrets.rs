//! The suite for [`Secrets`].

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde_json::Value;
use shared::ports::{Secret, Secrets, Stage};

/// What was put into the adapter.
#[derive(Debug, Clone, Default)]
pub struct ExpectedSecrets {
    pub client_id: String,
    pub client_secret: String,
    pub api_token: Option<String>,
    /// The client secret before the rotation.
    pub previous_client_secret: Option<String>,
    pub destinations: BTreeMap<String, String>,
    pub token_key: String,
}

/// Every promise of the secrets.
pub async fn secrets<S: Secrets>(port: &S, expected: &ExpectedSecrets) {
    app_is_an_object_of_texts(port, expected).await;
    the_previous_app_is_there_after_a_rotation_only(port, expected).await;
    destinations_are_a_flat_object(port, expected).await;
    the_token_key_is_plain_text(port, expected).await;
    nothing_secret_is_in_debug(port, expected).await;
}

async fn text<S: Secrets>(port: &S, secret: Secret, stage: Stage) -> Option<String> {
    let version = port.read(secret, stage).await.expect("the secret can be read");
    version.map(|version| version.text.expose_secret().to_owned())
}

fn object(text: &str) -> BTreeMap<String, String> {
    let value: Value = serde_json::from_str(text).expect("the secret is JSON");
    serde_json::from_value(value).expect("the secret is a flat object of texts")
}

async fn app_is_an_object_of_texts<S: Secrets>(port: &S, expected: &ExpectedSecrets) {
    let app = object(&text(port, Secret::App, Stage::Current).await.expect("there is an `app` secret"));
    assert_eq!(app.get("client_id"), Some(&expected.client_id), "`app` holds the client id");
    assert_eq!(app.get("client_secret"), Some(&expected.client_secret), "`app` holds the client secret");
    assert_eq!(app.get("api_token"), expected.api_token.as_ref(), "`app` holds a token of an internal app only");
}

async fn the_previous_app_is_there_after_a_rotation_only<S: Secrets>(port: &S, expected: &ExpectedSecrets) {
    let previous = text(port, Secret::App, Stage::Previous).await;
    let found = previous.map(|text| object(&text).remove("client_secret"));
    let rotated = expected.previous_client_secret.clone().map(Some);
    assert_eq!(found, rotated, "the previous `app` holds the previous client secret, and is absent without a rotation");
}

async fn destinations_are_a_flat_object<S: Secrets>(port: &S, expected: &ExpectedSecrets) {
    let current = text(port, Secret::Destinations, Stage::Current).await.expect("there is a `destinations` secret");
    assert_eq!(object(&current), expected.destinations, "`destinations` holds every name with its value");
}

async fn the_token_key_is_plain_text<S: Secrets>(port: &S, expected: &ExpectedSecrets) {
    let current = text(port, Secret::TokenKey, Stage::Current).await;
    assert_eq!(current.as_ref(), Some(&expected.token_key), "the token key is the text itself");
    let previous = text(port, Secret::TokenKey, Stage::Previous).await;
    assert_eq!(previous, None, "a token key that was never rotated has no previous version");
}

async fn nothing_secret_is_in_debug<S: Secrets>(port: &S, expected: &ExpectedSecrets) {
    let version = port.read(Secret::App, Stage::Current).await.expect("read").expect("version");
    assert!(!format!("{version:?}").contains(&expected.client_secret), "a secret's Debug text does not show it");
}

//! The secrets of `dev` and `serve`: from the environment and a file, in the same texts as on AWS.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::ports::{Secret, SecretVersion, Secrets, SecretsError, Stage};
use toml::{Spanned, Value};

/// Why the file of destinations' secrets cannot be used. Never quotes the file: what is in it is secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretsFileError {
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    #[error("{} line {line} is not TOML (a line is: name = \"value\")", path.display())]
    NotToml { path: PathBuf, line: usize },
    #[error("{} line {line}: `{name}` is not a text in quotes", path.display())]
    NotText { path: PathBuf, line: usize, name: String },
}

/// Secrets given as values, and a file that is read anew each time.
#[derive(Debug, Clone)]
pub struct EnvSecrets {
    pub client_id: String,
    pub client_secret: SecretString,
    /// While rotating: signatures under it are still good.
    pub previous_client_secret: Option<SecretString>,
    /// Of an internal integration.
    pub api_token: Option<SecretString>,
    /// A flat TOML table of texts: what routes call `secret:NAME`.
    pub destinations_file: Option<PathBuf>,
    pub token_key: SecretString,
}

impl EnvSecrets {
    fn app(&self, client_secret: &SecretString) -> SecretString {
        let mut app = json!({"client_id": self.client_id, "client_secret": client_secret.expose_secret()});
        if let Some(token) = &self.api_token {
            app["api_token"] = json!(token.expose_secret());
        }
        app.to_string().into()
    }

    /// The destinations' secrets as a flat JSON object, `{}` without a file. Also a check of the file at the start.
    pub async fn destinations(&self) -> Result<SecretString, SecretsFileError> {
        let Some(path) = self.destinations_file.clone() else { return Ok("{}".into()) };
        let text = tokio::task::spawn_blocking({
            let path = path.clone();
            move || std::fs::read_to_string(path)
        })
        .await
        .unwrap_or_else(|e| Err(std::io::Error::other(e)))
        .map_err(|e| SecretsFileError::Unreadable(path.clone(), e))?;
        flat_object(&path, &text)
    }
}

impl Secrets for EnvSecrets {
    async fn read(&self, secret: Secret, stage: Stage) -> Result<Option<SecretVersion>, SecretsError> {
        let text = match (secret, stage) {
            (Secret::App, Stage::Current) => Some(self.app(&self.client_secret)),
            (Secret::App, Stage::Previous) => self.previous_client_secret.as_ref().map(|secret| self.app(secret)),
            (Secret::TokenKey, Stage::Current) => Some(self.token_key.clone()),
            (Secret::Destinations, Stage::Current) => {
                let read = self.destinations().await;
                Some(read.map_err(|e| SecretsError::Unavailable { secret: secret.as_str(), source: e.into() })?)
            }
            (Secret::TokenKey | Secret::Destinations, Stage::Previous) => None,
        };
        Ok(text.map(|text| SecretVersion { text, since: None }))
    }
}

fn flat_object(path: &Path, text: &str) -> Result<SecretString, SecretsFileError> {
    let line = |at: usize| text.bytes().take(at).filter(|b| *b == b'\n').count() + 1;
    // toml's own message quotes the line.
    let table: BTreeMap<String, Spanned<Value>> = toml::from_str(text).map_err(|e| SecretsFileError::NotToml {
        path: path.to_owned(),
        line: e.span().map_or(1, |span| line(span.start)),
    })?;
    let mut flat = serde_json::Map::new();
    for (name, value) in table {
        let at = value.span().start;
        let Value::String(text) = value.into_inner() else {
            return Err(SecretsFileError::NotText { path: path.to_owned(), line: line(at), name });
        };
        flat.insert(name, text.into());
    }
    Ok(serde_json::Value::Object(flat).to_string().into())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn secrets(destinations_file: Option<PathBuf>) -> EnvSecrets {
        EnvSecrets {
            client_id: "id".into(),
            client_secret: "current".into(),
            previous_client_secret: None,
            api_token: None,
            destinations_file,
            token_key: "k".repeat(64).into(),
        }
    }

    #[tokio::test]
    async fn the_file_is_read_anew_each_time() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("secrets.toml");
        let secrets = secrets(Some(path.clone()));
        for (file, object) in [
            ("", "{}"),
            ("a = \"1\"\n", r#"{"a":"1"}"#),
            ("a = \"2\"\n# a remark\n\"b-c\" = 'ü\"'\n", r#"{"a":"2","b-c":"ü\""}"#),
        ] {
            std::fs::write(&path, file).expect("file");
            let read = secrets.read(Secret::Destinations, Stage::Current).await.expect("read").expect("version");
            assert_eq!(read.text.expose_secret(), object);
        }
    }

    #[tokio::test]
    async fn a_mistake_in_the_file_is_named_with_its_line_and_without_a_value() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("secrets.toml");
        for (file, says) in [
            ("a = \"hunter2\"\nb = hunter2\n", "line 2 is not TOML"),
            ("a = \"hunter2\"\na = \"hunter2\"\n", "line 2 is not TOML"),
            ("\n\na = \"hunter2\nb = 1", "line 3 is not TOML"),
            ("a = \"hunter2\"\n\nb = 42\n", "line 3: `b` is not a text"),
            ("[pushover]\ntoken = \"hunter2\"\n", "line 1: `pushover` is not a text"),
            ("a = [\"hunter2\"]", "line 1: `a` is not a text"),
        ] {
            std::fs::write(&path, file).expect("file");
            let error = secrets(Some(path.clone())).read(Secret::Destinations, Stage::Current).await.expect_err(file);
            let source = error.source().expect("a source").to_string();
            assert!(source.contains(says) && source.contains("secrets.toml"), "{file:?}: {source}");
            assert!(!format!("{error:?} {source}").contains("hunter2"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let error = secrets(Some("/nowhere/secrets.toml".into())).destinations().await.expect_err("not there");
        assert_eq!(error.to_string(), "/nowhere/secrets.toml cannot be read");
    }

    #[test]
    fn no_secret_is_in_its_debug_text() {
        let shown = format!("{:?}", EnvSecrets { api_token: Some("hunter2".into()), ..secrets(None) });
        assert!(!shown.contains("current") && !shown.contains("hunter2") && !shown.contains("kkk"), "{shown}");
    }
}

//! Secrets on Secrets Manager.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput};
use jiff::Timestamp;
use secrecy::SecretString;
use shared::BoxError;
use shared::ports::{Secret, SecretVersion, Secrets, SecretsError, Stage};

use crate::environment::{self, EnvError, Lookup, Use};
use crate::failure::Failure;

/// Knows the ids of those secrets that its function may read.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    client: Client,
    ids: Vec<(Secret, String)>,
}

impl SecretsManager {
    /// Each secret with its name or ARN.
    pub fn new(config: &SdkConfig, ids: impl IntoIterator<Item = (Secret, String)>) -> Self {
        Self { client: Client::new(config), ids: ids.into_iter().collect() }
    }

    /// `secrets` by `APP_SECRET_ID`, `TOKEN_KEY_SECRET_ID` and `DESTINATIONS_SECRET_ID`.
    pub fn from_env(config: &SdkConfig, secrets: &[Secret]) -> Result<Self, EnvError> {
        Self::found(config, secrets, &environment::process)
    }

    pub(crate) fn found(config: &SdkConfig, secrets: &[Secret], lookup: Lookup<'_>) -> Result<Self, EnvError> {
        let ids: Result<Vec<_>, _> =
            secrets.iter().map(|&secret| Ok((secret, Use::from(secret).read(lookup)?))).collect();
        Ok(Self::new(config, ids?))
    }
}

impl Secrets for SecretsManager {
    async fn read(&self, secret: Secret, stage: Stage) -> Result<Option<SecretVersion>, SecretsError> {
        let unavailable = |source: BoxError| SecretsError::Unavailable { secret: secret.as_str(), source };
        let Some((_, id)) = self.ids.iter().find(|(known, _)| *known == secret) else {
            let reason = format!("{} was not asked for at the start", Use::from(secret).variable());
            return Err(unavailable(Failure::because("GetSecretValue", reason)));
        };
        let word = match stage {
            Stage::Current => "AWSCURRENT",
            Stage::Previous => "AWSPREVIOUS",
        };
        match self.client.get_secret_value().secret_id(id).version_stage(word).send().await {
            Ok(output) => version(output).map(Some).map_err(unavailable),
            // One code for a missing secret and a missing version. Before the first rotation there is no previous
            // version, while a secret without a current one is a broken stack.
            Err(error)
                if stage == Stage::Previous
                    && error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(unavailable(Failure::of("GetSecretValue", &error))),
        }
    }
}

fn version(output: GetSecretValueOutput) -> Result<SecretVersion, BoxError> {
    let since = output.created_date.and_then(|date| Timestamp::from_second(date.secs()).ok());
    let text =
        output.secret_string.ok_or_else(|| Failure::because("GetSecretValue", "it is binary and has no text"))?;
    Ok(SecretVersion { text: SecretString::from(text), since })
}

//! Where secrets are read. What is in them, and how long a reading counts, is [`crate::secrets`]'s.

use jiff::Timestamp;
use secrecy::SecretString;

use crate::BoxError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Secret {
    /// `{"client_id","client_secret"}`, for an internal integration also `"api_token"`.
    App,
    /// A flat object: what routes call `secret:NAME`.
    Destinations,
    /// Any text of 43 or more characters, under which tokens are sealed.
    TokenKey,
}

impl Secret {
    /// The word in messages and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Destinations => "destinations",
            Self::TokenKey => "token-key",
        }
    }
}

/// Secrets Manager's `AWSCURRENT` and `AWSPREVIOUS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    Current,
    Previous,
}

#[derive(Debug, Clone)]
pub struct SecretVersion {
    pub text: SecretString,
    /// When this version was set, where the store knows it.
    pub since: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("the secret `{secret}` cannot be read")]
    Unavailable {
        secret: &'static str,
        #[source]
        source: BoxError,
    },
}

pub trait Secrets: Send + Sync + 'static {
    /// `None`: there is no such version (before the first rotation there is no previous one).
    fn read(
        &self,
        secret: Secret,
        stage: Stage,
    ) -> impl Future<Output = Result<Option<SecretVersion>, SecretsError>> + Send;
}

//! The names that functions read from their environment.

use shared::ports::Secret;

/// What a function uses, each named by one environment variable. The same list that its policy in the template grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The table of installations: `INSTALLATIONS_TABLE`.
    Installations,
    /// The table of deliveries: `DELIVERIES_TABLE`.
    Deliveries,
    /// The table of settings: `SETTINGS_TABLE`.
    Settings,
    /// `events.fifo`: `EVENTS_QUEUE_URL`.
    Events,
    /// `deliveries.fifo`: `DELIVERIES_QUEUE_URL`.
    Outbox,
    /// The secret `app`: `APP_SECRET_ID`.
    App,
    /// The secret `token-key`: `TOKEN_KEY_SECRET_ID`.
    TokenKey,
    /// The secret `destinations`: `DESTINATIONS_SECRET_ID`.
    Destinations,
}

impl Use {
    /// The environment variable that names it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Installations => "INSTALLATIONS_TABLE",
            Self::Deliveries => "DELIVERIES_TABLE",
            Self::Settings => "SETTINGS_TABLE",
            Self::Events => "EVENTS_QUEUE_URL",
            Self::Outbox => "DELIVERIES_QUEUE_URL",
            Self::App => "APP_SECRET_ID",
            Self::TokenKey => "TOKEN_KEY_SECRET_ID",
            Self::Destinations => "DESTINATIONS_SECRET_ID",
        }
    }

    /// The value of [`Self::variable`], out of `lookup`.
    pub(crate) fn read(self, lookup: Lookup<'_>) -> Result<String, EnvError> {
        let variable = self.variable();
        lookup(variable).filter(|value| !value.is_empty()).ok_or(EnvError::Missing { variable })
    }
}

impl From<Secret> for Use {
    fn from(secret: Secret) -> Self {
        match secret {
            Secret::App => Self::App,
            Secret::TokenKey => Self::TokenKey,
            Secret::Destinations => Self::Destinations,
        }
    }
}

/// Where a variable's value is found: [`process`], or a table in tests.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process.
pub(crate) fn process(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// What is missing in the environment. One line, for the log or the terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    #[error("{variable} is not set")]
    Missing { variable: &'static str },
    #[error("no AWS region is known: AWS_REGION is not set")]
    NoRegion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_a_missing_one() {
        let cases = [(None, false), (Some(""), false), (Some("installations"), true)];
        for (value, found) in cases {
            let read = Use::Installations.read(&|_| value.map(str::to_owned));
            assert_eq!(read.is_ok(), found, "{value:?}");
        }
    }

    #[test]
    fn the_error_names_the_variable_in_one_line() {
        let error = Use::Outbox.read(&|_| None).expect_err("nothing is set");
        assert_eq!(error.to_string(), "DELIVERIES_QUEUE_URL is not set");
    }
}

//! `components`: Sentry's UI components. Requests are signed in `Sentry-App-Signature`, a GET over the empty string.

pub mod fields;
pub mod schema;

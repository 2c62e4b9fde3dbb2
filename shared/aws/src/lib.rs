//! The ports on AWS: tables on `DynamoDB`, queues on SQS, secrets on Secrets Manager, event buses on `EventBridge`.
//!
//! [`Aws`] is the whole platform. A function that must start fast and may touch little takes its two ports alone, by
//! [`Sqs::events_from_env`] and [`SecretsManager::from_env`]: what it never names is not linked.

mod bus;
mod connection;
mod deliveries;
mod environment;
mod failure;
pub mod function;
pub mod gateway;
mod installations;
pub mod lambda;
mod platform;
mod row;
mod secrets;
mod settings;
mod sqs;
mod table;

pub use bus::EventBridge;
pub use connection::{http_client, sdk_config};
pub use deliveries::{DynamoDeliveries, LOG_ATTRIBUTES};
pub use environment::{EnvError, Use};
pub use installations::DynamoInstallations;
pub use platform::Aws;
pub use secrets::SecretsManager;
pub use settings::DynamoSettings;
pub use sqs::Sqs;

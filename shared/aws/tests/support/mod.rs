//! A configuration for a stand-in on loopback.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};

/// Any region and key pair will do for a stand-in at `endpoint`.
pub(crate) fn config(endpoint: &str) -> SdkConfig {
    let key = Credentials::new("local", "local", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(key))
        .endpoint_url(endpoint)
        .http_client(shared_aws::http_client())
        .build()
}

//! Clients of a running `MiniStack`.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use system_tests::ministack::{ACCESS_KEY, REGION};

/// For the services at `endpoint`.
pub(crate) fn config(endpoint: &str) -> SdkConfig {
    let key = Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(key))
        .endpoint_url(endpoint)
        .http_client(shared_aws::http_client())
        .build()
}

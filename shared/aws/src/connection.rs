//! How AWS is reached: one HTTP stack, TLS with ring, Amazon's own root certificates.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_sqs::config::{SharedHttpClient, StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::environment::EnvError;

/// Amazon Root CA 1 to 4 and Starfield Services Root CA G2, as <https://www.amazontrust.com/repository/> has them:
/// every endpoint of AWS chains to one of these. Reading the system's store instead takes most of a cold start.
const ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

const CONNECT: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_secs(5);
const OPERATION: Duration = Duration::from_secs(12);

/// Region, credentials and endpoints as every AWS SDK reads them (`AWS_REGION`, `AWS_ENDPOINT_URL`,
/// `AWS_ENDPOINT_URL_SQS`, …). Plain `http` endpoints work too: that is how stand-ins are reached. One try has 5 s, of
/// them 2 s to connect, and a call with its retries 12 s.
pub async fn sdk_config() -> Result<SdkConfig, EnvError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client())
        .timeout_config(timeouts)
        // The time-outs above end a stalled answer already, without watching every byte of it.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await;
    if config.region().is_none() { Err(EnvError::NoRegion) } else { Ok(config) }
}

/// One pool of connections for all clients that are built with it. Plain `http` works too; no proxy is taken from the
/// environment.
pub fn http_client() -> SharedHttpClient {
    let roots = TrustStore::empty().with_pem_certificate(ROOTS);
    let context = TlsContext::builder().with_trust_store(roots).build().expect("a trust store alone is a TLS context");
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_roots_are_built_in_and_no_private_key() {
        let text = std::str::from_utf8(ROOTS).expect("PEM is text");
        assert_eq!(text.matches("-----BEGIN CERTIFICATE-----").count(), 5);
        assert_eq!(text.matches("-----BEGIN").count(), 5);
    }
}

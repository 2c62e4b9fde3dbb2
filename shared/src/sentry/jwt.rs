//! The JWT of the manual refresh: HS256 (RFC 7515) with the client secret as text for its key.
//!
//! Twenty lines over HMAC and base64: a crate for JWTs brings RSA or a second TLS library along.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::token::AppCredentials;
use crate::signature::hmac_sha256;

/// How long Sentry is to take it. Its documentation says 60 s.
const LIFE: Duration = Duration::from_mins(1);

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

/// A token that proves possession of the client secret for 60 s. `chance` becomes its id, a random UUID.
pub(super) fn for_app(app: &AppCredentials, now: Timestamp, chance: [u8; 16]) -> SecretString {
    let iat = now.as_second();
    let claims = Claims {
        iss: &app.client_id,
        sub: &app.client_id,
        iat,
        exp: iat + LIFE.as_secs().cast_signed(),
        jti: uuid::Builder::from_random_bytes(chance).into_uuid().to_string(),
    };
    let payload = serde_json::to_vec(&claims).expect("texts and numbers are JSON");
    sign(app.client_secret.expose_secret().as_bytes(), br#"{"alg":"HS256","typ":"JWT"}"#, &payload).into()
}

fn sign(key: &[u8], header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mac = hmac_sha256(key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_rfc_7515_a_1_comes_out() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .expect("base64");
        let header = b"{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}";
        let payload = b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
        assert_eq!(
            sign(&key, header, payload),
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
             .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
             .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
    }

    #[test]
    fn the_claims_are_those_that_sentry_checks() {
        let app = AppCredentials { client_id: "the-client-id".into(), client_secret: "the-secret".into() };
        let now = Timestamp::from_millisecond(1_795_000_000_900).expect("in range");
        let token = for_app(&app, now, [0xff; 16]);
        let parts: Vec<Vec<u8>> = token
            .expose_secret()
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64 without padding"))
            .collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], br#"{"alg":"HS256","typ":"JWT"}"#);
        let claims: serde_json::Value = serde_json::from_slice(&parts[1]).expect("JSON");
        assert_eq!(
            claims,
            serde_json::json!({
                "iss": "the-client-id",
                "sub": "the-client-id",
                "iat": 1_795_000_000,
                "exp": 1_795_000_060,
                "jti": "ffffffff-ffff-4fff-bfff-ffffffffffff",
            })
        );
    }
}

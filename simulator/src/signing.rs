//! What the client secret does: it signs webhooks and proves the app in the manual refresh.
//!
//! Written independently of the code that the simulator is used to test, so that one mistake cannot hide on both sides.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// A clock of the far side that is this far ahead is still believed, seconds.
const LEEWAY_S: i64 = 10;

fn mac(secret: &SecretString, message: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(message);
    mac
}

/// `Sentry-Hook-Signature`: HMAC-SHA256 over the exact bytes, keyed with the secret as text, 64 lower-case hex digits.
pub(crate) fn signature(secret: &SecretString, body: &[u8]) -> String {
    hex(&mac(secret, body).finalize().into_bytes())
}

pub(crate) fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Lower-case hex of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `N` random bytes in hex: 16 for a grant code or Request-ID, 32 for a token or secret.
pub(crate) fn random_hex<const N: usize>() -> String {
    hex(&random_bytes::<N>())
}

/// A random UUID, version 4.
pub(crate) fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(random_bytes()).into_uuid().to_string()
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Why a JWT of the manual refresh is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadJwt {
    /// Not three parts of base64url JSON, or not HS256, or a claim is missing or of the wrong type.
    Malformed,
    WrongSignature,
    Expired,
    /// `iat` lies in the future.
    NotYet,
    /// `iss` or `sub` is not the client id of the installation's app.
    WrongIssuer,
}

/// Checks the assertion of a manual refresh: HS256 with the client secret, `iss` and `sub` the client id, `iat` past,
/// `exp` ahead, `jti` present. `now` is in seconds since 1970.
pub(crate) fn check_jwt(token: &str, secret: &SecretString, client_id: &str, now: i64) -> Result<(), BadJwt> {
    let (signed, signature) = token.rsplit_once('.').ok_or(BadJwt::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(BadJwt::Malformed)?;
    let header = json_part(header)?;
    if header["alg"] != "HS256" {
        return Err(BadJwt::Malformed);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| BadJwt::Malformed)?;
    mac(secret, signed.as_bytes()).verify_slice(&signature).map_err(|_| BadJwt::WrongSignature)?;

    let claims = json_part(claims)?;
    let (Some(issued), Some(expires)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
        return Err(BadJwt::Malformed);
    };
    if claims["jti"].as_str().is_none_or(str::is_empty) {
        return Err(BadJwt::Malformed);
    }
    if claims["iss"] != client_id || claims["sub"] != client_id {
        return Err(BadJwt::WrongIssuer);
    }
    if expires <= now {
        return Err(BadJwt::Expired);
    }
    if issued > now + LEEWAY_S {
        return Err(BadJwt::NotYet);
    }
    Ok(())
}

fn json_part(part: &str) -> Result<Value, BadJwt> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| BadJwt::Malformed)?;
    serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object).ok_or(BadJwt::Malformed)
}

/// The assertion a well-behaved client sends, for this crate's own tests.
#[cfg(test)]
pub(crate) fn jwt(secret: &SecretString, client_id: &str, issued: i64, life_s: i64) -> String {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(serde_json::json!({"alg": "HS256", "typ": "JWT"}));
    let claims = encode(serde_json::json!({
        "iss": client_id, "sub": client_id, "iat": issued, "exp": issued + life_s, "jti": random_uuid(),
    }));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(mac(secret, signed.as_bytes()).finalize().into_bytes());
    format!("{signed}.{signature}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 1_795_467_376;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn the_recorded_webhooks_have_the_signature_that_the_simulator_would_give_them() {
        for sample in [
            include_str!("../../shared/samples/installation.created.json"),
            include_str!("../../shared/samples/issue.created.json"),
            include_str!("../../shared/samples/event_alert.triggered.json"),
        ] {
            let sample: Value = serde_json::from_str(sample).unwrap();
            let body = base64::engine::general_purpose::STANDARD.decode(sample["body"].as_str().unwrap()).unwrap();
            let key = secret(sample["client_secret"].as_str().unwrap());
            assert_eq!(signature(&key, &body), sample["headers"]["Sentry-Hook-Signature"], "{}", sample["kind"]);
        }
    }

    #[test]
    fn rfc_7515_appendix_a_1_has_the_signature_that_the_check_expects() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(signed.as_bytes());
        let given = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        assert_eq!(given, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn an_assertion_is_believed_only_when_all_of_it_is_right() {
        let ours = secret("s3cret");
        let good = jwt(&ours, "app", NOW, 60);
        let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
        let none = {
            let claims = good.split('.').nth(1).unwrap();
            format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))
        };
        let cases = [
            ("good", good.clone(), Ok(())),
            ("expired", jwt(&ours, "app", NOW - 61, 60), Err(BadJwt::Expired)),
            ("expires now", jwt(&ours, "app", NOW - 60, 60), Err(BadJwt::Expired)),
            ("from the future", jwt(&ours, "app", NOW + 600, 60), Err(BadJwt::NotYet)),
            ("other issuer", jwt(&ours, "other", NOW, 60), Err(BadJwt::WrongIssuer)),
            ("other secret", jwt(&secret("other"), "app", NOW, 60), Err(BadJwt::WrongSignature)),
            ("no signature", unsigned, Err(BadJwt::WrongSignature)),
            ("algorithm none", none, Err(BadJwt::Malformed)),
            ("not a JWT", "abc".to_owned(), Err(BadJwt::Malformed)),
            ("empty", String::new(), Err(BadJwt::Malformed)),
        ];
        for (name, token, expected) in cases {
            assert_eq!(check_jwt(&token, &ours, "app", NOW), expected, "{name}");
        }
    }
}

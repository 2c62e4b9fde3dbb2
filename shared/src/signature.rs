//! Sentry's signature: `hex(HMAC-SHA256(key = client secret as UTF-8 text, message = the exact bytes of the body))`.
//!
//! Webhooks carry it in `Sentry-Hook-Signature`, UI components in `Sentry-App-Signature`, by the same rule; each counts
//! on its own paths only, since a body signed for one would be valid for the other. Nothing else of a request is signed.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::secrets::ClientSecret;

/// Where webhooks carry their signature.
pub const HOOK_SIGNATURE: HeaderName = HeaderName::from_static("sentry-hook-signature");
/// Where requests of UI components carry theirs.
pub const APP_SIGNATURE: HeaderName = HeaderName::from_static("sentry-app-signature");

/// A signature as a request carries it: 64 lower-case hex digits. Whether it is right is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed(String);

/// Why a request has no usable signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSignature {
    #[error("the signature header is missing")]
    Missing,
    #[error("the signature header is there more than once")]
    Repeated,
    #[error("the signature header is not 64 lower-case hex digits")]
    Malformed,
}

impl Claimed {
    pub fn from_headers(headers: &HeaderMap, name: &HeaderName) -> Result<Self, NoSignature> {
        let mut values = headers.get_all(name).iter();
        let value = values.next().ok_or(NoSignature::Missing)?;
        if values.next().is_some() {
            return Err(NoSignature::Repeated);
        }
        let text = value.to_str().map_err(|_| NoSignature::Malformed)?;
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoSignature::Malformed)
        }
    }

    /// Lower-case hex. An event's id is derived from it, once it is verified.
    pub fn as_hex(&self) -> &str {
        &self.0
    }

    /// Whether `secret` made this signature of `body`. Takes the same time wherever they differ.
    pub fn fits(&self, secret: &ClientSecret, body: &[u8]) -> bool {
        sign(secret, body).as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

/// The signature of `body`, as Sentry makes it.
pub fn sign(secret: &ClientSecret, body: &[u8]) -> String {
    crate::ids::hex(&hmac_sha256(secret.as_key(), body))
}

/// HMAC-SHA256, over which Sentry's signature and the JWT of the manual refresh are made.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn secret() -> ClientSecret {
        ClientSecret::parse("a key of our own").expect_err("a secret has no spaces");
        ClientSecret::parse("0123abcd").expect("a good secret")
    }

    #[test]
    fn a_header_is_one_value_of_64_lower_case_hex_digits() {
        let good = "0".repeat(64);
        let cases: [(&str, Vec<HeaderValue>, Result<(), NoSignature>); 7] = [
            ("as Sentry sends it", vec![good.parse().unwrap()], Ok(())),
            ("missing", vec![], Err(NoSignature::Missing)),
            ("repeated", vec![good.parse().unwrap(), good.parse().unwrap()], Err(NoSignature::Repeated)),
            ("truncated", vec![good[..63].parse().unwrap()], Err(NoSignature::Malformed)),
            ("upper-case", vec!["A".repeat(64).parse().unwrap()], Err(NoSignature::Malformed)),
            ("not hex", vec!["g".repeat(64).parse().unwrap()], Err(NoSignature::Malformed)),
            ("not text", vec![HeaderValue::from_bytes(&[0xff; 64]).unwrap()], Err(NoSignature::Malformed)),
        ];
        for (name, values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HOOK_SIGNATURE, value);
            }
            assert_eq!(Claimed::from_headers(&headers, &HOOK_SIGNATURE).map(|_| ()), expected, "{name}");
        }
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_mac_is_hmac_sha256() {
        assert_eq!(
            crate::ids::hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    proptest! {
        #[test]
        fn one_changed_bit_of_body_or_signature_is_refused(body in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let right = Claimed(sign(&secret(), &body));
            prop_assert!(right.fits(&secret(), &body));
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            prop_assert!(!right.fits(&secret(), &changed));
            let mut wrong = right.0.clone().into_bytes();
            let at = at.index(64);
            wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
            prop_assert!(!Claimed(String::from_utf8(wrong).unwrap()).fits(&secret(), &body));
        }
    }
}

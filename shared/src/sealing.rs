//! Token pairs under lock: what the store keeps gives nobody in.
//!
//! A sealed pair is, one after the other: the key's id (8 hex digits), a nonce (12 bytes), and the AES-256-GCM
//! ciphertext of both tokens as one blob, so that no access token can be put beside another pair's refresh token.
//! The key of an installation is HKDF-SHA256 of the secret `token-key` with `token v1` and the installation's UUID;
//! the UUID is the associated data too, so a row copied to another installation does not open.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use hkdf::Hkdf;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{InstallationId, hex};
use crate::ports::Sealed;

/// 256 bits as base64 without padding: what a generated key has at least.
const KEY_CHARS: usize = 43;
/// Hex digits of the SHA-256 of the key's text that tell keys apart.
const KEY_ID_CHARS: usize = 8;
const NONCE_BYTES: usize = 12;

/// An installation's tokens. `refresh` is absent where Sentry gave none.
#[derive(Debug, Clone)]
pub struct TokenPair {
    pub access: SecretString,
    pub refresh: Option<SecretString>,
}

/// The secret `token-key`, as it stands.
#[derive(Debug, Clone)]
pub struct TokenKey {
    text: SecretString,
    id: String,
}

/// The text is too short to be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token key has {chars} characters and needs at least {KEY_CHARS} random ones")]
pub struct BadTokenKey {
    chars: usize,
}

/// Why a sealed pair does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key was changed twice, or is another stack's. With the right key the pair opens again.
    #[error("sealed under another key (id {0})")]
    OtherKey(String),
    /// Cut, altered, or of another installation. It never opens again.
    #[error("damaged")]
    Damaged,
}

impl TokenKey {
    /// Takes the text byte for byte: white space around it counts.
    pub fn parse(text: &SecretString) -> Result<Self, BadTokenKey> {
        let chars = text.expose_secret().chars().count();
        if chars < KEY_CHARS {
            return Err(BadTokenKey { chars });
        }
        let mut id = hex(&Sha256::digest(text.expose_secret()));
        id.truncate(KEY_ID_CHARS);
        Ok(Self { text: text.clone(), id })
    }

    /// First 8 hex digits of the text's SHA-256: says which key sealed a pair, and nothing about the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn cipher_of(&self, installation: InstallationId) -> Aes256Gcm {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.text.expose_secret().as_bytes())
            .expand_multi_info(&[b"token v1", installation.to_string().as_bytes()], &mut *key)
            .expect("32 bytes are within what HKDF-SHA256 gives");
        Aes256Gcm::new((&*key).into())
    }
}

#[derive(Serialize, Deserialize)]
struct Blob<'a> {
    #[serde(borrow)]
    access: std::borrow::Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    refresh: Option<std::borrow::Cow<'a, str>>,
}

/// Seals a pair. `nonce` must be fresh random bytes each time: two pairs under one nonce give each other away.
pub fn seal(key: &TokenKey, installation: InstallationId, tokens: &TokenPair, nonce: [u8; NONCE_BYTES]) -> Sealed {
    let blob = Blob {
        access: tokens.access.expose_secret().into(),
        refresh: tokens.refresh.as_ref().map(|token| token.expose_secret().into()),
    };
    let plain = Zeroizing::new(serde_json::to_vec(&blob).expect("two texts are JSON"));
    let uuid = installation.to_string();
    let cipher_text = key
        .cipher_of(installation)
        .encrypt(&Nonce::from(nonce), Payload { msg: &plain, aad: uuid.as_bytes() })
        .expect("a token pair is shorter than AES-GCM's 64 GiB");
    Sealed([key.id.as_bytes(), &nonce, &cipher_text].concat())
}

/// Opens a pair with whichever of `keys` (the current one, and the one before it) sealed it.
pub fn open(keys: &[TokenKey], installation: InstallationId, sealed: &Sealed) -> Result<TokenPair, SealError> {
    let (id, rest) = sealed.0.split_at_checked(KEY_ID_CHARS).ok_or(SealError::Damaged)?;
    let (nonce, cipher_text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Damaged)?;
    let Some(key) = keys.iter().find(|key| key.id.as_bytes() == id) else {
        let readable = id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        return Err(match std::str::from_utf8(id) {
            Ok(id) if readable => SealError::OtherKey(id.to_owned()),
            _ => SealError::Damaged,
        });
    };
    let uuid = installation.to_string();
    let plain = key
        .cipher_of(installation)
        .decrypt(&Nonce::from(*nonce), Payload { msg: cipher_text, aad: uuid.as_bytes() })
        .map(Zeroizing::new)
        .map_err(|_| SealError::Damaged)?;
    let blob: Blob<'_> = serde_json::from_slice(&plain).map_err(|_| SealError::Damaged)?;
    Ok(TokenPair {
        access: SecretString::from(&*blob.access),
        refresh: blob.refresh.as_deref().map(SecretString::from),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> TokenKey {
        TokenKey::parse(&SecretString::from(text)).expect("long enough")
    }

    fn first() -> TokenKey {
        key("first-first-first-first-first-first-first-1")
    }

    fn second() -> TokenKey {
        key("second-second-second-second-second-second-2")
    }

    fn installation() -> InstallationId {
        "a8e5d37a-696c-4c54-adb5-b3f28d64c7de".parse().expect("a UUID")
    }

    fn pair(access: &str, refresh: Option<&str>) -> TokenPair {
        TokenPair { access: access.into(), refresh: refresh.map(SecretString::from) }
    }

    fn texts(pair: &TokenPair) -> (String, Option<String>) {
        (pair.access.expose_secret().to_owned(), pair.refresh.as_ref().map(|token| token.expose_secret().to_owned()))
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_again(access in ".{0,300}", refresh in proptest::option::of(".{0,300}"), nonce: [u8; 12]) {
            let tokens = pair(&access, refresh.as_deref());
            let sealed = seal(&first(), installation(), &tokens, nonce);
            let opened = open(&[second(), first()], installation(), &sealed).expect("opens");
            prop_assert_eq!(texts(&opened), (access, refresh));
        }

        #[test]
        fn another_installations_pair_is_refused(other: [u8; 16], nonce: [u8; 12]) {
            let other: InstallationId = uuid::Uuid::from_bytes(other).to_string().parse().expect("a UUID");
            prop_assume!(other != installation());
            let sealed = seal(&first(), installation(), &pair("access", Some("refresh")), nonce);
            prop_assert_eq!(open(&[first()], other, &sealed).map(|_| ()), Err(SealError::Damaged));
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            prop_assert!(open(&[first()], installation(), &Sealed(bytes)).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let sealed = seal(&first(), installation(), &pair("access", Some("refresh")), [7; 12]);
        for bit in 0..sealed.0.len() * 8 {
            let mut flipped = sealed.clone();
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&[first()], installation(), &flipped).is_err(), "bit {bit}");
        }
        for length in 0..sealed.0.len() {
            let cut = Sealed(sealed.0[..length].to_vec());
            assert_eq!(open(&[first()], installation(), &cut).map(|_| ()), Err(SealError::Damaged), "{length} bytes");
        }
    }

    #[test]
    fn another_key_is_told_from_damage_and_named() {
        let sealed = seal(&first(), installation(), &pair("access", None), [7; 12]);
        let error = open(&[second()], installation(), &sealed).expect_err("another key");
        assert_eq!(error.to_string(), format!("sealed under another key (id {})", first().id()));

        let mut altered = sealed;
        altered.0[30] ^= 1;
        let error = open(&[first(), second()], installation(), &altered).expect_err("altered");
        assert_eq!(error.to_string(), "damaged");
    }

    #[test]
    fn the_sealed_form_is_the_keys_id_the_nonce_and_no_token() {
        let sealed = seal(&first(), installation(), &pair("very-secret-access", Some("very-secret-refresh")), [7; 12]);
        // Fixed, because rows outlive a deploy: SHA-256 of the key's text, then the nonce.
        assert_eq!(&sealed.0[..8], first().id().as_bytes());
        assert_eq!(first().id(), &hex(&Sha256::digest("first-first-first-first-first-first-first-1"))[..8]);
        assert_eq!(sealed.0[8..20], [7; 12]);
        assert!(!String::from_utf8_lossy(&sealed.0).contains("very-secret"));
    }

    #[test]
    fn a_short_key_is_refused_with_its_length_and_not_its_text() {
        let error = TokenKey::parse(&SecretString::from("s".repeat(42))).expect_err("too short");
        assert_eq!(error.to_string(), "the token key has 42 characters and needs at least 43 random ones");
        assert!(TokenKey::parse(&SecretString::from("s".repeat(43))).is_ok());
        assert!(TokenKey::parse(&SecretString::from("ä".repeat(42))).is_err(), "characters, not bytes");
    }

    #[test]
    fn neither_key_nor_tokens_show_in_debug() {
        let shown = format!("{:?} {:?}", first(), pair("very-secret", Some("very-secret")));
        assert!(!shown.contains("first-first") && !shown.contains("very-secret"), "{shown}");
    }
}

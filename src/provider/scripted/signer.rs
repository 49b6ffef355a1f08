//! Keys that sign ID tokens in tests, rightly and wrongly. `keys/rsa.pem` is a throwaway: it was made for these tests, and
//! nothing else has ever used it. It is also the key of the test server's certificate.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use openidconnect::core::{
    CoreEdDsaPrivateSigningKey, CoreHmacKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey,
};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use rand::RngCore;
use serde_json::{Value, json};
use tokenkeeper_protocol::Secret;

pub(super) const RSA_KEY: &str = include_str!("keys/rsa.pem");

/// PKCS #8 before the 32 bytes of an Ed25519 key (RFC 8410 section 7).
const ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Something that makes ID tokens.
pub(crate) enum Signer {
    /// RS256.
    Rsa(CoreRsaPrivateSigningKey, String),
    /// `EdDSA`.
    Ed25519(CoreEdDsaPrivateSigningKey, String),
    /// HS256, which must never be accepted.
    Hmac(CoreHmacKey),
    /// No signature at all.
    None,
}

impl Signer {
    /// The one RSA key of the tests.
    pub(crate) fn rsa(kid: &str) -> Self {
        let key = CoreRsaPrivateSigningKey::from_pem(RSA_KEY, Some(JsonWebKeyId::new(kid.to_owned())));
        Self::Rsa(key.expect("a key"), kid.to_owned())
    }

    /// A new key.
    pub(crate) fn ed25519(kid: &str) -> Self {
        let mut key = [0; 48];
        key[..16].copy_from_slice(&ED25519_PREFIX);
        rand::rng().fill_bytes(&mut key[16..]);
        let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
        let pem = format!("{begin}\n{}\n{end}\n", BASE64.encode(&key));
        let key = CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(kid.to_owned())));
        Self::Ed25519(key.expect("a key"), kid.to_owned())
    }

    /// A shared secret.
    pub(crate) fn hmac(secret: &str) -> Self {
        Self::Hmac(CoreHmacKey::new(secret))
    }

    /// A JWT of `claims`; those that are `null` are left out.
    pub(crate) fn sign(&self, claims: &Value) -> Secret {
        let (alg, kid) = match self {
            Self::Rsa(_, kid) => ("RS256", Some(kid)),
            Self::Ed25519(_, kid) => ("EdDSA", Some(kid)),
            Self::Hmac(_) => ("HS256", None),
            Self::None => ("none", None),
        };
        let mut claims = claims.clone();
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        let header = match kid {
            Some(kid) => json!({"alg": alg, "typ": "JWT", "kid": kid}),
            None => json!({"alg": alg}),
        };
        let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = match self {
            Self::Rsa(key, _) => {
                key.sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, signed.as_bytes()).expect("a signature")
            }
            Self::Ed25519(key, _) => key.sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes()).expect("a signature"),
            Self::Hmac(key) => key.sign(&CoreJwsSigningAlgorithm::HmacSha256, signed.as_bytes()).expect("a signature"),
            Self::None => Vec::new(),
        };
        Secret::from(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }

    /// What the provider publishes of it.
    pub(crate) fn key_set(&self) -> CoreJsonWebKeySet {
        CoreJsonWebKeySet::new(match self {
            Self::Rsa(key, _) => vec![key.as_verification_key()],
            Self::Ed25519(key, _) => vec![key.as_verification_key()],
            Self::Hmac(_) | Self::None => Vec::new(),
        })
    }
}

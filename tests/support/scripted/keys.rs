//! The key that signs ID tokens. Made once in the life of a build directory, because making it takes a while.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use openidconnect::core::{CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use rsa::pkcs1::{EncodeRsaPrivateKey, LineEnding};

const ALGORITHM: CoreJwsSigningAlgorithm = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;

/// The key set as it stands at `/jwks`.
pub(super) fn key_set() -> String {
    serde_json::json!({ "keys": [key().as_verification_key()] }).to_string()
}

/// An RS256 signature.
pub(super) fn sign(message: &str) -> Vec<u8> {
    key().sign(&ALGORITHM, message.as_bytes()).expect("the key can sign")
}

fn key() -> &'static CoreRsaPrivateSigningKey {
    static KEY: OnceLock<CoreRsaPrivateSigningKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scripted-provider-key.pem");
        let pem = fs::read_to_string(&path).unwrap_or_else(|_| make(&path));
        let id = JsonWebKeyId::new("scripted".to_owned());
        CoreRsaPrivateSigningKey::from_pem(&pem, Some(id)).expect("the key is one of ours")
    })
}

fn make(path: &Path) -> String {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("2048 bits are a usual size");
    let pem = key.to_pkcs1_pem(LineEnding::LF).expect("an RSA key has a PEM form").to_string();
    // Tests run side by side: the last one to come wins, and nobody reads half a key.
    let fresh = path.with_extension(std::process::id().to_string());
    fs::write(&fresh, &pem).expect("Cargo's directory for tests can be written");
    fs::rename(&fresh, path).expect("Cargo's directory for tests can be written");
    pem
}

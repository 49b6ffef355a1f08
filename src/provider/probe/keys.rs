//! The key set: is there a key that a signature could be checked with?

use openidconnect::JsonWebKey;
use openidconnect::core::{CoreJsonWebKeySet, CoreJsonWebKeyType, CoreJsonWebKeyUse};

use super::super::Fault;
use super::super::answer::HttpAnswer;
use super::{Found, failed, passed};

/// What is to be said of the answer at `jwks_uri`.
pub(super) fn judge(answer: Result<HttpAnswer, Fault>) -> Found {
    match answer.and_then(|answer| answer.ok_json::<CoreJsonWebKeySet>()) {
        Ok(set) => count(&set),
        Err(fault) => failed(format!("{fault}; no ID token can be verified without it")),
    }
}

fn count(set: &CoreJsonWebKeySet) -> Found {
    let is_for_signatures =
        |used: Option<&CoreJsonWebKeyUse>| used.is_none_or(|used| *used == CoreJsonWebKeyUse::Signature);
    let usable = set.keys().iter().filter(|key| is_for_signatures(key.key_use()));
    let kinds = usable.filter_map(|key| match key.key_type() {
        CoreJsonWebKeyType::RSA => Some("RSA"),
        CoreJsonWebKeyType::EllipticCurve => Some("EC"),
        CoreJsonWebKeyType::OctetKeyPair => Some("EdDSA"),
        // A shared secret proves nothing to anybody else.
        _ => None,
    });
    let mut kinds: Vec<_> = kinds.collect();
    let number = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    if number == 0 {
        let next = "have the provider sign ID tokens with RSA, EC or EdDSA (RS256, ES256, EdDSA)";
        return failed(format!("the key set holds no key that a signature can be checked with; {next}"));
    }
    passed(format!("{number} for signatures ({})", kinds.join(", ")))
}

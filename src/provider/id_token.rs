//! Verification of ID tokens (OpenID Connect Core 3.1.3.7), by openidconnect's verifier with our clock and our algorithms.
//!
//! Invariant: [`Claims`] exist only of a token that the provider signed, for us, for this login, and that is not expired.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::BASE64URL_NOPAD;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Alg};
use openidconnect::{ClaimsVerificationError, ClientId, IssuerUrl, JsonWebKey, Nonce, SignatureVerificationError};
use serde_json::{Map, Value};
use tokenkeeper_protocol::reply::Authentication;
use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::metadata::{Metadata, Proof};
use super::words::{harmless, plain};
use super::{Fault, Place, Provider};

/// How far the provider's clock and ours may be apart. Machines that keep time by NTP differ by less than a second.
const LEEWAY: Duration = Duration::from_mins(1);

/// What a provider may sign with: never "none", and no shared secret, which would let every holder of it forge tokens.
const ALGORITHMS: [Alg; 9] = [
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPkcs1V15Sha512,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
    Alg::RsaSsaPssSha512,
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
];

/// The longest `sub` (OpenID Connect Core 2).
pub(super) const SUBJECT_LIMIT: usize = 255;

/// What a verified ID token says.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) authentication: Authentication,
    /// All of it, for names and addresses.
    pub(super) all: Map<String, Value>,
}

/// An ID token to verify, and what it must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented<'a> {
    pub(super) token: &'a Secret,
    /// The access token that came with it, for `at_hash`; a refresh has none.
    pub(super) access: Option<&'a Secret>,
    /// That of the login; a refresh has none.
    pub(super) nonce: Option<&'a Secret>,
}

/// An ID token that is not verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// It is not what it should be, in words.
    Invalid(String),
    /// It cannot be told: there is no key to check it with.
    NoKey(Fault),
}

/// The same, before the keys were fetched anew.
enum Rejected {
    Invalid(String),
    UnknownKey,
    BadSignature,
}

impl Provider {
    /// Verifies an ID token. Keys are fetched anew, at most once a minute, when those at hand do not fit.
    pub(super) async fn verify(
        &self,
        metadata: &Metadata,
        presented: Presented<'_>,
        now: UnixSeconds,
    ) -> Result<Claims, Unverified> {
        let no_keys = || Unverified::NoKey(Fault::Missing { place: Place::Discovery, member: "jwks_uri" });
        let client_id = &self.settings().client_id;
        let check = |keys| check(keys, &metadata.issuer, client_id, presented, now);
        let rejected = match metadata.proof.as_ref().ok_or_else(no_keys)? {
            Proof::Tls => check(None),
            Proof::Given(keys) => check(Some(keys)),
            Proof::Published(url) => {
                let keys = self.keys(url, now).await.map_err(Unverified::NoKey)?;
                match check(Some(&keys)) {
                    Err(Rejected::UnknownKey | Rejected::BadSignature) => {
                        let keys = self.newer_keys(url, now).await.map_err(Unverified::NoKey)?;
                        check(Some(&keys))
                    }
                    other => other,
                }
            }
        };
        rejected.map_err(|rejected| match rejected {
            Rejected::Invalid(words) => Unverified::Invalid(words),
            Rejected::BadSignature => Unverified::Invalid("the signature of the ID token is wrong".to_owned()),
            Rejected::UnknownKey => {
                let words = "the ID token is signed with a key that the provider does not publish";
                Unverified::NoKey(Fault::IdToken(words.to_owned()))
            }
        })
    }
}

/// Checks a token; without `keys` all but its signature, for who is certain of where it comes from.
fn check(
    keys: Option<&CoreJsonWebKeySet>,
    issuer: &str,
    client_id: &str,
    presented: Presented<'_>,
    now: UnixSeconds,
) -> Result<Claims, Rejected> {
    let invalid = |words: &str| Rejected::Invalid(words.to_owned());
    let token: CoreIdToken =
        presented.token.expose().parse().map_err(|_| Rejected::Invalid(unreadable(presented.token)))?;
    let issuer_url = IssuerUrl::new(issuer.to_owned()).map_err(|_| invalid("the issuer is no URL"))?;
    let client = ClientId::new(client_id.to_owned());
    let verifier = CoreIdTokenVerifier::new_public_client(client, issuer_url, keys.cloned().unwrap_or_default())
        .set_allowed_algs(ALGORITHMS)
        // Judged below, with `azp`.
        .set_other_audience_verifier_fn(|_| true)
        .set_time_fn(move || time(now - LEEWAY));
    let verifier = if keys.is_some() { verifier } else { verifier.insecure_disable_signature_check() };
    let expected = presented.nonce.map(|nonce| Nonce::new(nonce.expose().to_owned()));
    let nonce = |found: Option<&Nonce>| match &expected {
        None => Ok(()),
        Some(expected) if found.is_some_and(|found| same(found, expected)) => Ok(()),
        Some(_) => Err("another nonce".to_owned()),
    };
    let claims =
        token.claims(&verifier, nonce).map_err(|error| reject(&error, presented.token, &token, issuer, now))?;

    let authorized_party = claims.authorized_party().map(|party| party.as_str());
    if authorized_party.is_some_and(|party| party != client_id) {
        return Err(invalid("the ID token was made for another client (azp)"));
    }
    // Other audiences are as good as the provider's word that it was made for us.
    if claims.audiences().len() > 1 && authorized_party.is_none() {
        return Err(invalid("the ID token is meant for several clients and does not say for which it was made (azp)"));
    }
    if claims.issue_time() > time(now + LEEWAY) {
        return Err(Rejected::Invalid(clocks("was issued", claims.issue_time(), now)));
    }
    // The hash goes by the algorithm of a key.
    let hashed = claims.access_token_hash().filter(|_| keys.is_some());
    if let (Some(claimed), Some(access)) = (hashed, presented.access) {
        let key = token.signing_key(&verifier).map_err(|_| Rejected::UnknownKey)?;
        let alg = token.signing_alg().map_err(|_| Rejected::BadSignature)?;
        let hash = key.hash_bytes(access.expose().as_bytes(), alg).unwrap_or_default();
        let (left, _) = hash.split_at(hash.len() / 2);
        if left.is_empty() || BASE64URL_NOPAD.encode(left) != claimed.as_str() {
            return Err(invalid("the ID token was made for another access token (at_hash)"));
        }
    }
    Ok(Claims {
        subject: plain(claims.subject(), SUBJECT_LIMIT)
            .ok_or_else(|| invalid("the ID token names no user: its sub is empty or not fit to be one"))?,
        authentication: Authentication {
            acr: claims.auth_context_ref().and_then(|acr| plain(acr, 256)),
            amr: claims.auth_method_refs().into_iter().flatten().filter_map(|amr| plain(amr, 64)).take(16).collect(),
            auth_time: claims.auth_time().map(|at| UnixSeconds(at.timestamp())),
        },
        all: payload(presented.token).ok_or_else(|| invalid("the ID token holds no claims"))?,
    })
}

/// Why, in words that tell what to look at.
fn reject(
    error: &ClaimsVerificationError,
    text: &Secret,
    token: &CoreIdToken,
    issuer: &str,
    now: UnixSeconds,
) -> Rejected {
    use ClaimsVerificationError as Claim;
    use SignatureVerificationError as Signature;
    Rejected::Invalid(match error {
        Claim::SignatureVerification(Signature::NoMatchingKey) => return Rejected::UnknownKey,
        Claim::SignatureVerification(Signature::CryptoError(_) | Signature::InvalidKey(_)) => {
            return Rejected::BadSignature;
        }
        Claim::SignatureVerification(Signature::NoSignature) => "the ID token is not signed (alg none)".to_owned(),
        Claim::SignatureVerification(Signature::DisallowedAlg(_) | Signature::UnsupportedAlg(_)) => {
            format!("the ID token is signed with {}, which is not accepted", algorithm(token))
        }
        Claim::SignatureVerification(Signature::AmbiguousKeyId(_)) => {
            "several keys of the provider fit the ID token, and it names none (kid)".to_owned()
        }
        Claim::InvalidIssuer(_) => format!("the ID token is of another issuer than {issuer}"),
        Claim::InvalidAudience(_) => "the ID token is meant for another client (aud)".to_owned(),
        Claim::InvalidNonce(_) => "the ID token belongs to another login (nonce)".to_owned(),
        Claim::Expired(_) => {
            let expiry = payload(text).and_then(|claims| claims.get("exp")?.as_i64());
            match expiry {
                Some(expiry) => clocks("expired", time(UnixSeconds(expiry)), now),
                None => "the ID token is expired, or the clock of this machine is wrong".to_owned(),
            }
        }
        other => format!("the ID token is not accepted: {}", harmless(&other.to_string(), &[])),
    })
}

fn algorithm(token: &CoreIdToken) -> String {
    let name = token.signing_alg().ok().and_then(|alg| serde_json::to_value(alg).ok());
    name.as_ref().and_then(Value::as_str).unwrap_or("an unknown algorithm").to_owned()
}

/// Why a token that the library cannot read is refused. It may be a good one, made in a way that the library does not know.
fn unreadable(token: &Secret) -> String {
    let header = token.expose().split('.').next().and_then(|header| BASE64URL_NOPAD.decode(header.as_bytes()).ok());
    let header: Map<String, Value> = header.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    if header.contains_key("enc") {
        return "the ID token is encrypted; register this client at the provider for tokens that are only signed"
            .to_owned();
    }
    match header.get("alg") {
        Some(Value::String(alg)) if serde_json::from_value::<Alg>(alg.as_str().into()).is_err() => {
            format!("the ID token is signed with {}, which is not accepted", harmless(alg, &[]))
        }
        _ => "the ID token is no signed JSON Web Token".to_owned(),
    }
}

/// A token that is fresh from the provider, and too old or too new all the same: two clocks do not agree.
fn clocks(what: &str, at: DateTime<Utc>, now: UnixSeconds) -> String {
    let shown = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let apart = (time(now) - at).num_seconds().unsigned_abs();
    format!(
        "the ID token {what} at {}, and the clock of this machine says {}, which is {apart} s away; \
         set whichever clock is wrong, the provider's or this one",
        shown(at),
        shown(time(now))
    )
}

fn same(a: &Nonce, b: &Nonce) -> bool {
    Secret::from(a.secret().as_str()) == Secret::from(b.secret().as_str())
}

/// A time that cannot be represented is later than every expiry.
fn time(at: UnixSeconds) -> DateTime<Utc> {
    DateTime::from_timestamp(at.0, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn payload(token: &Secret) -> Option<Map<String, Value>> {
    let payload = token.expose().split('.').nth(1)?;
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sha2::Digest;

    use super::*;
    use crate::provider::scripted::{NOW, Signer};

    const ISSUER: &str = "https://id.example";

    fn verdict_with(signer: &Signer, keys: &Signer, changes: &[(&str, Value)]) -> Result<Claims, String> {
        let mut claims = json!({
            "iss": ISSUER, "aud": "shop", "sub": "u-1", "exp": NOW.0 + 300, "iat": NOW.0, "nonce": "n0nce",
        });
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        let (token, access, nonce) = (signer.sign(&claims), Secret::from("at"), Secret::from("n0nce"));
        let presented = Presented { token: &token, access: Some(&access), nonce: Some(&nonce) };
        check(Some(&keys.key_set()), ISSUER, "shop", presented, NOW).map_err(|rejected| match rejected {
            Rejected::Invalid(words) => words,
            Rejected::UnknownKey => "unknown key".to_owned(),
            Rejected::BadSignature => "bad signature".to_owned(),
        })
    }

    fn verdict(changes: &[(&str, Value)]) -> Result<Claims, String> {
        let signer = Signer::ed25519("k1");
        verdict_with(&signer, &signer, changes)
    }

    #[test]
    fn a_good_token_tells_who_came_and_how() {
        for signer in [Signer::ed25519("k1"), Signer::rsa("k1")] {
            let changes = [
                ("acr", json!("mfa")),
                ("amr", json!(["pwd", "otp"])),
                ("auth_time", json!(NOW.0 - 5)),
                ("email_verified", json!("true")),
                ("updated_at", json!("2026-11-22T10:00:00Z")),
            ];
            let claims = verdict_with(&signer, &signer, &changes).expect("claims");
            assert_eq!(claims.subject, "u-1");
            assert_eq!(claims.authentication.acr.as_deref(), Some("mfa"));
            assert_eq!(claims.authentication.amr, ["pwd", "otp"]);
            assert_eq!(claims.authentication.auth_time, Some(UnixSeconds(NOW.0 - 5)));
        }
    }

    #[test]
    fn every_wrong_claim_is_refused_with_a_sentence_of_its_own() {
        for (name, value, words) in [
            ("iss", json!("https://id.example/"), "of another issuer than https://id.example"),
            ("iss", json!("https://evil.example"), "of another issuer"),
            ("aud", json!("other"), "meant for another client (aud)"),
            ("aud", json!(["other"]), "meant for another client (aud)"),
            ("aud", json!(["shop", "other"]), "does not say for which it was made (azp)"),
            ("azp", json!("other"), "made for another client (azp)"),
            ("exp", json!(NOW.0 - 60), "expired at 2026-09-21T14:12:20Z, and the clock of this machine says"),
            ("iat", json!(NOW.0 + 61), "was issued at 2026-09-21T14:14:21Z, and the clock of this machine says"),
            ("iat", json!(NOW.0 + 61), "2026-09-21T14:13:20Z, which is 61 s away; set whichever clock is wrong"),
            ("nonce", json!("other"), "belongs to another login (nonce)"),
            ("nonce", json!(null), "belongs to another login (nonce)"),
            ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), "another access token (at_hash)"),
            ("sub", json!(""), "names no user"),
            ("sub", json!("a\u{0}b"), "names no user"),
            ("sub", json!(null), "no signed JSON Web Token"),
            ("exp", json!(1e300), "no signed JSON Web Token"),
            ("exp", json!(i64::MAX), "no signed JSON Web Token"),
            ("exp", json!("2099"), "no signed JSON Web Token"),
        ] {
            let refusal = verdict(&[(name, value.clone())]).expect_err("a refusal");
            assert!(refusal.contains(words), "{name} = {value}: {refusal}");
        }
    }

    #[test]
    fn clocks_may_differ_by_less_than_a_minute() {
        assert!(verdict(&[("exp", json!(NOW.0 - 59))]).is_ok());
        assert!(verdict(&[("iat", json!(NOW.0 + 60))]).is_ok());
    }

    #[test]
    fn further_audiences_are_fine_when_the_token_was_made_for_us() {
        assert!(verdict(&[("aud", json!(["shop", "project"])), ("azp", json!("shop"))]).is_ok());
    }

    #[test]
    fn the_right_hash_of_the_access_token_is_accepted() {
        // The left half of SHA-512("at"), which goes with Ed25519.
        let hash = sha2::Sha512::digest("at");
        assert!(verdict(&[("at_hash", BASE64URL_NOPAD.encode(&hash[..32]).into())]).is_ok());
    }

    #[test]
    fn a_signature_that_is_not_the_providers_is_refused() {
        let signer = Signer::ed25519("k1");
        assert_eq!(verdict_with(&Signer::ed25519("k1"), &signer, &[]).err().as_deref(), Some("bad signature"));
        assert_eq!(verdict_with(&Signer::ed25519("k2"), &signer, &[]).err().as_deref(), Some("unknown key"));
        assert_eq!(verdict_with(&Signer::rsa("k1"), &signer, &[]).err().as_deref(), Some("unknown key"));
    }

    #[test]
    fn no_signature_and_a_shared_secret_are_refused() {
        let keys = Signer::rsa("k1");
        let none = verdict_with(&Signer::None, &keys, &[]).expect_err("a refusal");
        assert_eq!(none, "the ID token is not signed (alg none)");
        // What an attacker can do who knows the public key or shares the client secret.
        let hmac = verdict_with(&Signer::hmac("s3cr3t"), &keys, &[]).expect_err("a refusal");
        assert_eq!(hmac, "the ID token is signed with HS256, which is not accepted");
    }

    #[test]
    fn a_token_that_is_made_in_an_unknown_way_is_refused_by_the_name_of_that_way() {
        for (header, words) in [
            (json!({"alg": "Ed25519"}), "the ID token is signed with Ed25519, which is not accepted"),
            (json!({"alg": "ML-DSA-44", "kid": "k1"}), "the ID token is signed with ML-DSA-44, which is not accepted"),
            (json!({"alg": "RSA-OAEP", "enc": "A256GCM"}), "the ID token is encrypted; register this client"),
            (json!({"alg": "EdDSA"}), "the ID token is no signed JSON Web Token"),
            (json!({"alg": 7}), "the ID token is no signed JSON Web Token"),
            (json!([]), "the ID token is no signed JSON Web Token"),
        ] {
            let token = Secret::from([&BASE64URL_NOPAD.encode(header.to_string().as_bytes()), "e30", "AAAA"].join("."));
            let presented = Presented { token: &token, access: None, nonce: None };
            let refusal =
                check(Some(&Signer::ed25519("k1").key_set()), ISSUER, "shop", presented, NOW).expect_err("a refusal");
            assert!(matches!(&refusal, Rejected::Invalid(said) if said.starts_with(words)), "{header}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let keys = Signer::ed25519("k1").key_set();
        for text in ["", "a.b", "a.b.c", "....", "e30.e30.e30", "e30.e30.e30.e30.e30"] {
            let (token, access) = (Secret::from(text), Secret::from("at"));
            let presented = Presented { token: &token, access: Some(&access), nonce: None };
            assert!(check(Some(&keys), ISSUER, "shop", presented, NOW).is_err(), "{text:?}");
        }
    }
}

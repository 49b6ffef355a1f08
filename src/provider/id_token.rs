//! Verification of ID tokens (OpenID Connect Core 3.1.3.7), by openidconnect's verifier with our clock and our algorithms.
//!
//! Invariant: [`Claims`] exist only of a token that the provider signed, for us, for this login, and that is not expired.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::BASE64URL_NOPAD;
use openidconnect::core::{
    CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Alg,
};
use openidconnect::{ClaimsVerificationError, ClientId, IssuerUrl, JsonWebKey, Nonce, SignatureVerificationError};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenkeeper_protocol::reply::Authentication;
use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::metadata::{Metadata, Proof};
use super::secrets::Secrets;
use super::words::plain;
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

const WRONG_SIGNATURE: &str = "the signature of the ID token is wrong";

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
    /// The access token that came with it, for `at_hash`.
    pub(super) access: &'a Secret,
    /// That of the login; a refresh has none.
    pub(super) nonce: Option<&'a Secret>,
    /// What must not be seen of what it says.
    pub(super) secrets: &'a Secrets,
}

/// An ID token that is not verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// It says that it is another issuer's, another client's or of another login, or is none of the provider's making, in words.
    Foreign(String),
    /// It proves nothing, in words.
    Unproven(String),
    /// It cannot be told: the keys to check it with cannot be had.
    NoKeys(Fault),
}

/// The same, before the keys were fetched anew.
enum Rejected {
    Foreign(String),
    Unproven(String),
    UnknownKey,
    BadSignature,
}

impl Provider {
    /// Verifies an ID token. When the keys at hand do not fit they are fetched anew, which is done at most once a minute.
    pub(super) async fn verify(
        &self,
        metadata: &Metadata,
        presented: Presented<'_>,
        now: UnixSeconds,
    ) -> Result<Claims, Unverified> {
        let no_keys = || Unverified::NoKeys(Fault::Missing { place: Place::Discovery, member: "jwks_uri" });
        let client_id = &self.settings().client_id;
        let check = |keys| check(keys, &metadata.issuer, client_id, presented, now);
        let rejected = match metadata.proof.as_ref().ok_or_else(no_keys)? {
            Proof::Tls => check(None),
            Proof::Given(keys) => check(Some(keys)),
            Proof::Published(url) => {
                let keys = match self.keys(url, now).await {
                    Ok(keys) => keys,
                    Err(fault) => {
                        // Whose it says that it is can be told without.
                        return Err(match check(Some(&CoreJsonWebKeySet::default())) {
                            Err(Rejected::Foreign(words)) => Unverified::Foreign(words),
                            _ => Unverified::NoKeys(fault),
                        });
                    }
                };
                match check(Some(&keys)) {
                    Err(Rejected::UnknownKey | Rejected::BadSignature) => {
                        let keys = self.newer_keys(url, now).await.map_err(Unverified::NoKeys)?;
                        match check(Some(&keys.value)) {
                            Err(Rejected::BadSignature) if keys.is_new => {
                                Err(Rejected::Foreign(WRONG_SIGNATURE.to_owned()))
                            }
                            other => other,
                        }
                    }
                    other => other,
                }
            }
        };
        rejected.map_err(|rejected| match rejected {
            Rejected::Foreign(words) => Unverified::Foreign(words),
            Rejected::Unproven(words) => Unverified::Unproven(words),
            Rejected::BadSignature => Unverified::Unproven(WRONG_SIGNATURE.to_owned()),
            Rejected::UnknownKey => {
                Unverified::Unproven("the ID token is signed with a key that the provider does not publish".to_owned())
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
    let unproven = |words: &str| Rejected::Unproven(words.to_owned());
    let token: CoreIdToken = presented.token.expose().parse().map_err(|_| Rejected::Unproven(unreadable(presented)))?;
    let issuer_url = IssuerUrl::new(issuer.to_owned()).map_err(|_| unproven("the issuer is no URL"))?;
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
    let claims = token.claims(&verifier, nonce).map_err(|error| reject(&error, presented, &token, issuer, now))?;

    let authorized_party = claims.authorized_party().map(|party| party.as_str());
    if authorized_party.is_some_and(|party| party != client_id) {
        return Err(Rejected::Foreign("the ID token was made for another client (azp)".to_owned()));
    }
    // Other audiences are as good as the provider's word that it was made for us.
    if claims.audiences().len() > 1 && authorized_party.is_none() {
        return Err(unproven("the ID token is meant for several clients and does not say for which it was made (azp)"));
    }
    if claims.issue_time() > time(now + LEEWAY) {
        return Err(Rejected::Unproven(clocks("was issued", claims.issue_time(), now)));
    }
    // The hash goes by the algorithm of a key.
    if let Some(claimed) = claims.access_token_hash().filter(|_| keys.is_some()) {
        let key = token.signing_key(&verifier).map_err(|_| Rejected::UnknownKey)?;
        let alg = token.signing_alg().map_err(|_| Rejected::BadSignature)?;
        let hash = key.hash_bytes(presented.access.expose().as_bytes(), alg).unwrap_or_default();
        let (left, _) = hash.split_at(hash.len() / 2);
        if left.is_empty() || BASE64URL_NOPAD.encode(left) != claimed.as_str() {
            return Err(unproven("the ID token was made for another access token (at_hash)"));
        }
    }
    Ok(Claims {
        subject: plain(claims.subject(), SUBJECT_LIMIT)
            .ok_or_else(|| unproven("the ID token names no user: its sub is empty or not fit to be one"))?,
        authentication: Authentication {
            acr: claims.auth_context_ref().and_then(|acr| plain(acr, 256)),
            amr: claims.auth_method_refs().into_iter().flatten().filter_map(|amr| plain(amr, 64)).take(16).collect(),
            // Glewlwyd writes 0 where it does not know.
            auth_time: claims.auth_time().map(|at| UnixSeconds(at.timestamp())).filter(|at| at.0 > 0),
        },
        all: payload(presented.token).ok_or_else(|| unproven("the ID token holds no claims"))?,
    })
}

/// Why, in words that tell what to look at.
fn reject(
    error: &ClaimsVerificationError,
    presented: Presented<'_>,
    token: &CoreIdToken,
    issuer: &str,
    now: UnixSeconds,
) -> Rejected {
    use ClaimsVerificationError as Claim;
    use SignatureVerificationError as Signature;
    Rejected::Unproven(match error {
        Claim::InvalidIssuer(_) => {
            return Rejected::Foreign(format!("the ID token is of another issuer than {issuer}"));
        }
        Claim::InvalidAudience(_) => {
            return Rejected::Foreign("the ID token is meant for another client (aud)".to_owned());
        }
        Claim::InvalidNonce(_) => {
            return Rejected::Foreign("the ID token belongs to another login (nonce)".to_owned());
        }
        Claim::SignatureVerification(Signature::NoMatchingKey) => return Rejected::UnknownKey,
        Claim::SignatureVerification(Signature::CryptoError(_) | Signature::InvalidKey(_)) => {
            return Rejected::BadSignature;
        }
        Claim::SignatureVerification(Signature::NoSignature) => "the ID token is not signed (alg none)".to_owned(),
        Claim::SignatureVerification(Signature::DisallowedAlg(_) | Signature::UnsupportedAlg(_)) => {
            not_accepted(&algorithm(token))
        }
        Claim::SignatureVerification(Signature::AmbiguousKeyId(_)) => {
            "several keys of the provider fit the ID token, and it names none (kid)".to_owned()
        }
        Claim::Expired(_) => {
            let expiry = payload(presented.token).and_then(|claims| claims.get("exp")?.as_i64());
            match expiry {
                Some(expiry) => clocks("expired", time(UnixSeconds(expiry)), now),
                None => "the ID token is expired, or the clock of this machine is wrong".to_owned(),
            }
        }
        other => format!("the ID token is not accepted: {}", presented.secrets.show(&other.to_string())),
    })
}

fn algorithm(token: &CoreIdToken) -> String {
    let name = token.signing_alg().ok().and_then(|alg| serde_json::to_value(alg).ok());
    name.as_ref().and_then(Value::as_str).unwrap_or("an unknown algorithm").to_owned()
}

/// Why a token that the library cannot read is refused. It may be a good one, made in a way that the library does not know.
fn unreadable(Presented { token, secrets, .. }: Presented<'_>) -> String {
    let header = token.expose().split('.').next().and_then(|header| BASE64URL_NOPAD.decode(header.as_bytes()).ok());
    let header: Map<String, Value> = header.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let no_token = || "the ID token is no signed JSON Web Token".to_owned();
    if header.contains_key("enc") {
        return "the ID token is encrypted; register this client at the provider for tokens that are only signed"
            .to_owned();
    }
    match header.get("alg") {
        Some(Value::String(alg)) if serde_json::from_value::<Alg>(alg.as_str().into()).is_err() => {
            not_accepted(&secrets.show(alg))
        }
        Some(Value::String(_)) => payload(token).map_or_else(no_token, |claims| unfit_claim(&claims, secrets)),
        _ => no_token(),
    }
}

/// Which claim the library does not take. They are tried one by one, beside made-up ones that it takes.
fn unfit_claim(claims: &Map<String, Value>, secrets: &Secrets) -> String {
    let needed = json!({"iss": "https://id.example", "sub": "u", "exp": 1, "iat": 1});
    let taken = |name: &str, value: &Value| {
        let mut tried = needed.clone();
        tried[name] = value.clone();
        CoreIdTokenClaims::deserialize(tried).is_ok()
    };
    if let Some((name, _)) = claims.iter().find(|(name, value)| !taken(name, value)) {
        let name = secrets.show(name);
        return format!(
            "the claim {name} of the ID token is of the wrong type, or has a value that it cannot have; \
             have the provider correct it"
        );
    }
    let lacking = needed.as_object().and_then(|needed| needed.keys().find(|name| !claims.contains_key(*name)));
    match lacking {
        Some(name) => format!("the ID token lacks the claim {name}; have the provider add it"),
        None => "the claims of the ID token cannot be read".to_owned(),
    }
}

fn not_accepted(algorithm: &str) -> String {
    format!(
        "the ID token is signed with {algorithm}, which is not accepted; have the provider sign those of this client with RS256, \
         PS256, ES256 or EdDSA"
    )
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

/// What a token claims, whether or not anything proves it.
pub(super) fn payload(token: &Secret) -> Option<Map<String, Value>> {
    let payload = token.expose().split('.').nth(1)?;
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests;

//! ID tokens, good ones and all others.

use sha2::Digest;

use super::*;
use crate::provider::scripted::{NOW, Signer, oidc_settings};

const ISSUER: &str = "https://id.example";

fn verdict_with(signer: &Signer, keys: &Signer, changes: &[(&str, Value)]) -> Result<Claims, String> {
    let mut claims = json!({
        "iss": ISSUER, "aud": "shop", "sub": "u-1", "exp": NOW.0 + 300, "iat": NOW.0, "nonce": "n0nce",
    });
    for (name, value) in changes {
        claims[name] = value.clone();
    }
    let (token, access, nonce) = (signer.sign(&claims), Secret::from("at"), Secret::from("n0nce"));
    let secrets = Secrets::of(&oidc_settings(ISSUER));
    let presented = Presented { token: &token, access: &access, nonce: Some(&nonce), secrets: &secrets };
    check(Some(&keys.key_set()), ISSUER, "shop", presented, NOW).map_err(|rejected| match rejected {
        Rejected::Foreign(words) | Rejected::Unproven(words) => words,
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
    assert_eq!(verdict(&[("auth_time", json!(0))]).expect("claims").authentication.auth_time, None);
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
        ("sub", json!(null), "the ID token lacks the claim sub"),
        ("exp", json!(1e300), "the claim exp of the ID token is of the wrong type, or has a value that it cannot have"),
        ("exp", json!(i64::MAX), "the claim exp of the ID token"),
        ("exp", json!("2099"), "the claim exp of the ID token"),
        ("iss", json!("no URL"), "the claim iss of the ID token"),
        ("aud", json!(7), "the claim aud of the ID token"),
        ("amr", json!("pwd"), "the claim amr of the ID token"),
        ("acr", json!(1), "the claim acr of the ID token"),
        ("phone_number", json!(491_234), "the claim phone_number of the ID token"),
        ("address", json!("1 Main Street"), "the claim address of the ID token"),
        ("picture", json!({}), "the claim picture of the ID token"),
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
    assert!(hmac.starts_with("the ID token is signed with HS256, which is not accepted; have"), "{hmac}");
}

#[test]
fn a_token_that_is_made_in_an_unknown_way_is_refused_by_the_name_of_that_way() {
    for (header, words) in [
        (json!({"alg": "Ed25519"}), "the ID token is signed with Ed25519, which is not accepted"),
        (json!({"alg": "ML-DSA-44", "kid": "k1"}), "the ID token is signed with ML-DSA-44, which is not accepted"),
        (json!({"alg": "rt-0\u{200b}123456789"}), "the ID token is signed with [redacted], which is not accepted"),
        (json!({"alg": "RSA-OAEP", "enc": "A256GCM"}), "the ID token is encrypted; register this client"),
        (json!({"alg": "EdDSA"}), "the ID token lacks the claim "),
        (json!({"alg": 7}), "the ID token is no signed JSON Web Token"),
        (json!([]), "the ID token is no signed JSON Web Token"),
    ] {
        let token = Secret::from([&BASE64URL_NOPAD.encode(header.to_string().as_bytes()), "e30", "AAAA"].join("."));
        let secrets = Secrets::of(&oidc_settings(ISSUER)).with([&Secret::from("rt-0123456789")]);
        let presented = Presented { token: &token, access: &token, nonce: None, secrets: &secrets };
        let refusal =
            check(Some(&Signer::ed25519("k1").key_set()), ISSUER, "shop", presented, NOW).expect_err("a refusal");
        assert!(matches!(&refusal, Rejected::Unproven(said) if said.starts_with(words)), "{header}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let keys = Signer::ed25519("k1").key_set();
    for text in ["", "a.b", "a.b.c", "....", "e30.e30.e30", "e30.e30.e30.e30.e30"] {
        let (token, access) = (Secret::from(text), Secret::from("at"));
        let secrets = Secrets::of(&oidc_settings(ISSUER));
        let presented = Presented { token: &token, access: &access, nonce: None, secrets: &secrets };
        assert!(check(Some(&keys), ISSUER, "shop", presented, NOW).is_err(), "{text:?}");
    }
}

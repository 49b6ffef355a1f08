//! ID tokens, true ones and those of a [`Lie`].

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::deadline::unix_seconds;
use super::keys;
use super::state::{Lie, State};

/// One for `user`, that came with `access_token`.
pub(super) fn id_token(state: &State, user: &str, nonce: Option<&str>, access_token: &str) -> String {
    let lies = |lie| state.lie == Some(lie);
    let day = 86_400;
    let now = unix_seconds() + if lies(Lie::Expired) { -day } else { day * i64::from(lies(Lie::FromTheFuture)) };
    let hashed = if lies(Lie::AccessTokenHash) { "another access token" } else { access_token };
    let mut claims = json!({
        "iss": if lies(Lie::Issuer) { "https://id.evil.example" } else { &state.issuer },
        "aud": if lies(Lie::Audience) { "another-client" } else { "shop" },
        "sub": format!("sub-{user}"),
        "iat": now,
        "exp": now + 600,
        "at_hash": BASE64URL_NOPAD.encode(&Sha256::digest(hashed)[..16]),
        "preferred_username": user,
        "email": format!("{user}@corp.example"),
        "amr": ["pwd"],
    });
    for (name, value) in &state.claims {
        claims[name] = value.as_str().into();
    }
    if lies(Lie::OddClaim) {
        claims["picture"] = json!({});
    }
    if let Some(nonce) = nonce {
        claims["auth_time"] = now.into();
        claims["nonce"] = if lies(Lie::Nonce) { "of-another-login" } else { nonce }.into();
    }
    let header =
        if lies(Lie::Unsigned) { json!({ "alg": "none" }) } else { json!({ "alg": "RS256", "kid": "scripted" }) };
    let part = |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let mut signature = if lies(Lie::Unsigned) { vec![] } else { keys::sign(&signed) };
    if lies(Lie::Signature) {
        signature[7] ^= 1;
    }
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

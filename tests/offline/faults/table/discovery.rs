//! What the provider says of itself, and of who came.

use super::super::row::{Entry, How, Row, TOKEN, When, failed, later, misconfigured, works};
use super::connection::unidentified;
use crate::support::{Fault, Lie};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry {
            name: "Another issuer",
            means: "The discovery document, the callback or the ID token names another issuer than the configured one. It may be a mistake of \
                    a letter or a slash, or an attack.",
            next: "Copy `issuer` from the provider's documentation to the letter. If it is right, find out who answered.",
            rows: vec![
                Row::new(
                    "in the discovery document",
                    When::Begin,
                    How::Lies(Lie::DiscoveryIssuer),
                    misconfigured(
                        "the discovery document is of issuer \"https://id.evil.example\", but \"{issuer}\" is configured; \
                         they must be the same to the letter",
                    ),
                ),
                Row::new(
                    "in the callback",
                    When::Exchange,
                    How::Lies(Lie::CallbackIssuer),
                    failed(
                        "the callback is from https://id.evil.example (iss), but the login began at {issuer}; \
                         it may be an attack, or the configured issuer is wrong",
                    ),
                ),
                id_token("in the ID token", Lie::Issuer, "the ID token is of another issuer than {issuer}"),
            ],
        },
        Entry {
            name: "An endpoint without https",
            means: "The discovery document names an address that credentials would travel to in the clear.",
            next: "Have the provider's addresses corrected.",
            rows: vec![Row::new(
                "the token endpoint",
                When::Begin,
                How::Does(Fault::Alter(|it| it["token_endpoint"] = "http://id.corp.example/token".into())),
                misconfigured("token_endpoint of the discovery document is no https URL"),
            )],
        },
        Entry {
            name: "Two clocks do not agree",
            means: "The ID token is fresh from the provider, and by the clock of this machine it is too old or not made yet. Less than a minute \
                    of difference is allowed. At a refresh only the ID token is dropped, and the log says so.",
            next: "Compare both clocks with a third one, and set the one that is wrong. Both machines should keep time by NTP.",
            rows: vec![
                id_token(
                    "issued tomorrow",
                    Lie::FromTheFuture,
                    "the ID token was issued at {then}, and the clock of this machine says {now}, which is {n} s away; \
                     set whichever clock is wrong, the provider's or this one",
                ),
                id_token(
                    "expired yesterday",
                    Lie::Expired,
                    "the ID token expired at {then}, and the clock of this machine says {now}, which is {n} s away; \
                     set whichever clock is wrong, the provider's or this one",
                ),
                Row::new("issued tomorrow", When::Refresh, How::Lies(Lie::FromTheFuture), works(TOKEN)),
            ],
        },
        Entry {
            name: "The ID token is not what it should be",
            means: "The ID token does not prove who came: it is for another client, belongs to another login, or its signature is not the \
                    provider's. No session was opened. At a refresh, tokens that come with one of another user, login (`auth_time`), \
                    client or issuer, or with a wrong signature, are not used; of others only the ID token is dropped. If a refresh \
                    brings one of another user or login again when the token has expired, a login is needed.",
            next: "Log in again. If it stays, compare `client_id` and `issuer` with the registration, and ask the provider.",
            rows: vec![
                id_token("for another client", Lie::Audience, "the ID token is meant for another client (aud)"),
                id_token("of another login", Lie::Nonce, "the ID token belongs to another login (nonce)"),
                id_token("a wrong signature", Lie::Signature, "the signature of the ID token is wrong"),
                id_token("no signature", Lie::Unsigned, "the ID token is not signed (alg none)"),
                id_token(
                    "made for another access token",
                    Lie::AccessTokenHash,
                    "the ID token was made for another access token (at_hash)",
                ),
                id_token(
                    "an odd claim",
                    Lie::OddClaim,
                    "the claim picture of the ID token is of the wrong type, or has a value that it cannot have; \
                     have the provider correct it",
                ),
                id_token(
                    "no ID token",
                    Lie::NoIdToken,
                    "the provider gave no ID token; if it speaks no OpenID Connect, configure it as kind = \"oauth2\"",
                ),
                Row::new(
                    "a wrong signature",
                    When::Refresh,
                    How::Lies(Lie::Signature),
                    later("the signature of the ID token is wrong"),
                ),
                Row::new("made for another access token", When::Refresh, How::Lies(Lie::AccessTokenHash), works(TOKEN)),
                Row::new(
                    "of another user",
                    When::Refresh,
                    How::Lies(Lie::SubjectOnRefresh),
                    later("the refresh brought an ID token of another user; its tokens are not used"),
                ),
            ],
        },
        Entry {
            name: "The key is not published",
            means: "The ID token is signed with a key that is not in the key set of the provider, which was fetched anew to be sure.",
            next: "Nothing, if the provider is changing its keys. Else ask the provider.",
            rows: vec![Row::new(
                "an empty key set",
                When::Identify,
                How::At("/jwks", Fault::Alter(|it| it["keys"] = serde_json::json!([]))),
                failed("the ID token is signed with a key that the provider does not publish"),
            )],
        },
        Entry {
            name: "Userinfo speaks of somebody else",
            means: "The userinfo endpoint and the ID token name different users.",
            next: "Ask the provider: that must never be.",
            rows: vec![
                Row::new(
                    "another subject",
                    When::Identify,
                    How::At("/userinfo", Fault::Alter(|it| it["sub"] = "sub-mallory".into())),
                    unidentified("the userinfo endpoint speaks of another user than the ID token"),
                )
                .with(&["user_name_claim = \"nickname\""]),
            ],
        },
    ]
}

fn id_token(what: &'static str, lie: Lie, why: &str) -> Row {
    Row::new(what, When::Identify, How::Lies(lie), failed(why))
}

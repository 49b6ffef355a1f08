//! What providers do differently, and what nobody needs to notice.

use super::super::row::{Entry, How, Kept, LOGGED_IN, Row, TOKEN, When, works};
use crate::support::Fault;

pub(super) fn entries() -> Vec<Entry> {
    let life = |what, change, seconds| {
        let how = How::Does(Fault::Alter(change));
        Row::new(what, When::Exchange, how, works(LOGGED_IN)).with(HALF_AN_HOUR).keeps(Kept::Life(seconds))
    };
    vec![
        Entry {
            name: "The life of a token is told oddly, or not at all",
            means: "`expires_in` is missing, or is no number of seconds above zero. A number in a text is understood, and so is the time of the end \
                    in seconds or milliseconds since 1970. Everything else is taken for `default_life` at a login, and for the life of the \
                    token before at a refresh; more than ten years is taken for ten years.",
            next: "Set `default_life` to what the provider's documentation says.",
            rows: vec![
                life("missing", |it| drop(it.as_object_mut().map(|it| it.remove("expires_in"))), 1800),
                life("a text: \"300\"", |it| it["expires_in"] = "300".into(), 300),
                life("a word: \"soon\"", |it| it["expires_in"] = "soon".into(), 1800),
                life("-1", |it| it["expires_in"] = (-1).into(), 1800),
                life("0", |it| it["expires_in"] = 0.into(), 1800),
                life("more than there is time: 1e18", |it| it["expires_in"] = 1e18.into(), 315_360_000),
                life("a hundred years", |it| it["expires_in"] = 3_153_600_000_u64.into(), 315_360_000),
                Row::new(
                    "missing",
                    When::Refresh,
                    How::Does(Fault::Alter(|it| drop(it.as_object_mut().map(|it| it.remove("expires_in"))))),
                    works(TOKEN),
                )
                .keeps(Kept::Life(1000)),
                Row::new("0", When::Refresh, How::Does(Fault::Alter(|it| it["expires_in"] = 0.into())), works(TOKEN))
                    .keeps(Kept::Life(1000)),
            ],
        },
        Entry {
            name: "No new refresh token",
            means: "The answer to a refresh holds no refresh token: the old one stays good.",
            next: "Nothing.",
            rows: vec![Row::new(
                "none",
                When::Refresh,
                How::Does(Fault::Alter(|it| drop(it.as_object_mut().map(|it| it.remove("refresh_token"))))),
                works(TOKEN),
            )],
        },
        Entry {
            name: "No refresh token at all",
            means: "The login brought no refresh token. The token is handed out until it expires, and then a login is needed.",
            next: "Ask for the scope `offline_access`, or for whatever the provider wants to be asked for.",
            rows: vec![
                Row::new(
                    "none, though `offline_access` was asked for",
                    When::Exchange,
                    How::Does(Fault::Alter(|it| {
                        it["scope"] = "openid profile email".into();
                        drop(it.as_object_mut().map(|it| it.remove("refresh_token")));
                    })),
                    works(LOGGED_IN),
                )
                .audits(
                    "scope_narrowed",
                    &[("provider", "{provider}"), ("session", "{session}"), ("missing", "offline_access")],
                ),
                Row::new(
                    "none, though `offline_access` was asked for and is said to be granted",
                    When::Exchange,
                    How::Does(Fault::Alter(|it| drop(it.as_object_mut().map(|it| it.remove("refresh_token"))))),
                    works(LOGGED_IN),
                )
                .audits(
                    "scope_narrowed",
                    &[("provider", "{provider}"), ("session", "{session}"), ("missing", "offline_access")],
                ),
            ],
        },
        Entry {
            name: "The type of the token is spelled in its own way",
            means: "`token_type` is `bearer` or `BEARER`: its case means nothing. Callers get `Bearer`.",
            next: "Nothing.",
            rows: vec![
                spelled("bearer", |it| it["token_type"] = "bearer".into()),
                spelled("BEARER", |it| it["token_type"] = "BEARER".into()),
                spelled("missing", |it| drop(it.as_object_mut().map(|it| it.remove("token_type")))),
            ],
        },
        Entry {
            name: "The answer is written in its own way",
            means: "The tokens come as a form, as JSON of another name, behind a byte order mark, or twice. They are read all the same; of \
                    what comes twice, the last counts.",
            next: "Nothing.",
            rows: [When::Exchange, When::Refresh].into_iter().flat_map(written).collect(),
        },
        Entry {
            name: "Scopes are spelled in their own way",
            means: "`scope` has commas instead of spaces, is a list, or is written out: `https://www.googleapis.com/auth/userinfo.email` is \
                    `email`, and `https://graph.microsoft.com/User.Read` is `User.Read`. Nothing is missing then.",
            next: "Nothing. Callers ask for the short name or for the whole one.",
            rows: vec![
                scopes("commas", |it| it["scope"] = "openid,profile,email,offline_access".into(), ALL_SCOPES),
                scopes("a list", |it| it["scope"] = ALL_SCOPES.split(' ').collect::<Vec<_>>().into(), ALL_SCOPES),
                scopes("written out", |it| it["scope"] = WRITTEN_OUT.into(), WRITTEN_OUT),
            ],
        },
        Entry {
            name: "Fewer scopes than were wanted",
            means: "The provider, or the user there, granted less than was asked for, or a refresh brought less than there was. The tokens are good \
                    for the rest, which `tokenkeeper session` shows.",
            next: "Have the missing scopes allowed at the provider, then log in again; or take them out of `scopes`.",
            rows: vec![
                Row::new(
                    "at the login",
                    When::Exchange,
                    How::Does(Fault::Alter(|it| it["scope"] = "openid email".into())),
                    works(LOGGED_IN),
                )
                .audits(
                    "scope_narrowed",
                    &[("provider", "{provider}"), ("session", "{session}"), ("missing", "profile")],
                )
                .keeps(Kept::Scope("openid email")),
                Row::new(
                    "at a refresh",
                    When::Refresh,
                    How::Does(Fault::Alter(|it| it["scope"] = "openid offline_access".into())),
                    works(TOKEN),
                )
                .audits(
                    "scope_narrowed",
                    &[("provider", "{provider}"), ("session", "{session}"), ("missing", "profile email")],
                )
                .keeps(Kept::Scope("openid offline_access")),
            ],
        },
        Entry {
            name: "The provider cannot revoke",
            means: "The provider has no revocation endpoint, or does not revoke this. The session is over here; at the provider its access \
                    token lives until it expires.",
            next: "If the provider has such an endpoint and does not say so, name it in `revocation_endpoint`.",
            rows: vec![
                Row::new(
                    "no revocation endpoint in discovery",
                    When::Logout,
                    How::Discovers(Fault::Alter(|it| {
                        drop(it.as_object_mut().map(|it| it.remove("revocation_endpoint")));
                    })),
                    works(UNSUPPORTED),
                )
                .tells("outcome", "unsupported"),
                Row::new(
                    "HTTP 404",
                    When::Logout,
                    How::Does(Fault::Answer(404, "<html>".to_owned())),
                    works(UNSUPPORTED),
                )
                .tells("outcome", "refused: the revocation endpoint is not where it is looked for (HTTP 404); …"),
            ],
        },
    ]
}

const HALF_AN_HOUR: &[&str] = &["default_life = \"30m\""];
const UNSUPPORTED: &str =
    "Logged out of session {session}: its tokens are not revoked at the provider; they expire by themselves.";

const ALL_SCOPES: &str = "openid profile email offline_access";
const WRITTEN_OUT: &str =
    "openid https://www.googleapis.com/auth/userinfo.profile https://www.googleapis.com/auth/userinfo.email";

fn scopes(what: &'static str, change: fn(&mut serde_json::Value), kept: &'static str) -> Row {
    Row::new(what, When::Exchange, How::Does(Fault::Alter(change)), works(LOGGED_IN)).keeps(Kept::Scope(kept))
}

fn written(when: When) -> [Row; 3] {
    let row = |what, content_type, write| {
        let end = works(if when == When::Refresh { TOKEN } else { LOGGED_IN });
        Row::new(what, when, How::Does(Fault::Rewrite(content_type, write)), end).keeps(Kept::TokenType("Bearer"))
    };
    let form = |it: serde_json::Value| {
        let text = |it: &serde_json::Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
        let members = it.as_object().into_iter().flatten().map(|(name, value)| (name, text(value)));
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(members).finish()
    };
    [
        row("a form", "application/x-www-form-urlencoded", form),
        row("called text, behind a byte order mark", "text/plain; charset=utf-8", |it| format!("\u{feff}{it}")),
        row("twice", "application/json", |it| {
            it.to_string().replacen('{', r#"{"access_token":"old","expires_in":5,"token_type":null,"#, 1)
        }),
    ]
}

fn spelled(what: &'static str, change: fn(&mut serde_json::Value)) -> Row {
    Row::new(what, When::Exchange, How::Does(Fault::Alter(change)), works(LOGGED_IN)).keeps(Kept::TokenType("Bearer"))
}

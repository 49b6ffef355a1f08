//! Errors that OAuth has names for (RFC 6749 sections 4.1.2.1 and 5.2).

use tokenkeeper_protocol::Code;

use super::super::row::{Entry, How, Row, When, failed, later, login_required, misconfigured, refused};
use super::connection::pending;
use crate::support::{Fault, Lie};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry {
            name: "The grant is not accepted",
            means: "The code or the refresh token is used up, expired or revoked. A session whose refresh token is refused can only be renewed \
                    by its user.",
            next: "Log in again.",
            rows: vec![
                Row::new(
                    "invalid_grant",
                    When::Exchange,
                    How::Does(error(400, r#"{"error":"invalid_grant","error_description":"the code is old"}"#)),
                    failed("the provider refused the login: invalid_grant (the code is old)"),
                ),
                Row::new(
                    "invalid_grant",
                    When::Refresh,
                    How::Does(error(400, r#"{"error":"invalid_grant","error_description":"revoked"}"#)),
                    login_required("the provider refused the refresh: invalid_grant (revoked)"),
                ),
                Row::new(
                    "invalid_grant, with HTTP 403",
                    When::Refresh,
                    How::Does(error(403, r#"{"error":"invalid_grant"}"#)),
                    login_required("the provider refused the refresh: invalid_grant"),
                ),
                Row::new(
                    "invalid_grant, with HTTP 200",
                    When::Refresh,
                    How::Does(error(200, r#"{"error":"invalid_grant","access_token":null}"#)),
                    login_required("the provider refused the refresh: invalid_grant"),
                ),
                Row::new(
                    "bad_refresh_token, with HTTP 200, as GitHub says it",
                    When::Refresh,
                    How::Does(error(200, r#"{"error":"bad_refresh_token"}"#)),
                    login_required("the provider refused the refresh: bad_refresh_token"),
                ),
                Row::new(
                    "as Entra ID says it, with ids for its support",
                    When::Refresh,
                    How::Does(error(
                        400,
                        r#"{"error":"invalid_grant","error_description":"AADSTS50173: The grant has expired","error_codes":[50173],"suberror":"bad_token","trace_id":"t-1","correlation_id":"c-1"}"#,
                    )),
                    login_required(
                        "the provider refused the refresh: invalid_grant (AADSTS50173: The grant has expired); \
                         the provider's log has it under correlation_id c-1",
                    ),
                ),
                Row::new(
                    "invalid_grant, with HTTP 503",
                    When::Refresh,
                    How::Does(error(503, r#"{"error":"invalid_grant"}"#)),
                    later("the token endpoint answered invalid_grant"),
                ),
                Row::new(
                    "an error that quotes the code",
                    When::Exchange,
                    How::Does(Fault::Quote(400, "invalid_grant")),
                    failed("the provider refused the login: invalid_grant (I do not like [redacted])"),
                ),
                Row::new(
                    "an error that quotes the refresh token",
                    When::Refresh,
                    How::Does(Fault::Quote(400, "invalid_grant")),
                    login_required("the provider refused the refresh: invalid_grant (I do not like [redacted])"),
                ),
            ],
        },
        Entry {
            name: "An error of the provider's own",
            means: "The answer to a refresh is an error, or a bare status, of which no standard says that the refresh token is no good. So no session is lost by it: the \
                    next try may succeed.",
            next: "Look into the provider's documentation. If the error means that the user must log in again, name it in `refused` of the provider, or the status in `refused_status`.",
            rows: vec![
                Row::new(
                    "token_is_dead",
                    When::Refresh,
                    How::Does(error(400, r#"{"error":"token_is_dead"}"#)),
                    misconfigured(&unfamiliar("token_is_dead")),
                ),
                Row::new(
                    "token_is_dead, named in `refused`",
                    When::Refresh,
                    How::Does(error(400, r#"{"error":"token_is_dead"}"#)),
                    login_required("the provider refused the refresh: token_is_dead"),
                )
                .with(&["refused = [\"token_is_dead\"]"]),
                Row::new(
                    "HTTP 400 and not a word",
                    When::Refresh,
                    How::Does(Fault::Reply(400, &[], "")),
                    later(
                        "the token endpoint answered HTTP 400 without saying why; \
                         if it means that a login is needed, name it in refused_status",
                    ),
                ),
                Row::new(
                    "HTTP 400 and not a word, named in `refused_status`",
                    When::Refresh,
                    How::Does(Fault::Reply(400, &[], "")),
                    login_required("the provider refused the refresh: HTTP 400"),
                )
                .with(&["refused_status = [400]"]),
            ],
        },
        Entry {
            name: "The client is not accepted",
            means: "The provider does not know `client_id`, the client secret is not the one it has, or it is not presented as it wants it. No \
                    session is lost by it.",
            next: "Compare `client_id` and the secret with the registration at the provider, try `client_authentication = \"post\"`, then reload the \
                   daemon.",
            rows: vec![
                Row::new(
                    "HTTP 401 and not a word",
                    When::Refresh,
                    How::Does(Fault::Reply(401, &[], "")),
                    later(&format!("the token endpoint answered HTTP 401 without saying why{CHECK}")),
                ),
                Row::new("invalid_client", When::Exchange, How::Does(error(401, CLIENT)), misconfigured(&client(""))),
                Row::new(
                    "invalid_client",
                    When::Refresh,
                    How::Does(error(401, CLIENT)),
                    misconfigured(&client("the token endpoint answered ")),
                ),
                Row::new(
                    "unauthorized_client",
                    When::Exchange,
                    How::Does(error(400, r#"{"error":"unauthorized_client"}"#)),
                    misconfigured(
                        "unauthorized_client; this client is not registered for this kind of login, or its secret is wrong",
                    ),
                ),
                Row::new(
                    "invalid_client",
                    When::Account,
                    How::Does(error(401, CLIENT)),
                    misconfigured(&client("the token endpoint answered ")),
                ),
                Row::new(
                    "unauthorized_client",
                    When::Account,
                    How::Does(error(400, r#"{"error":"unauthorized_client"}"#)),
                    misconfigured(
                        "the token endpoint answered unauthorized_client; \
                         this client is not registered for this kind of login, or its secret is wrong",
                    ),
                ),
                Row::new(
                    "invalid_client",
                    When::Code,
                    How::At("/device", error(401, CLIENT)),
                    misconfigured(&client("")),
                ),
                pending(
                    "invalid_client",
                    error(401, CLIENT),
                    "pending: the revocation endpoint answered invalid_client; check client_id, client_secret and client_authentication",
                ),
            ],
        },
        Entry {
            name: "A scope is not accepted",
            means: "One of the scopes that were asked for is not known to the provider, or not allowed for this client.",
            next: "Correct `scopes`. Some providers do not know `offline_access`.",
            rows: vec![
                Row::new(
                    "invalid_scope, in the callback",
                    When::Exchange,
                    How::Lies(Lie::InvalidScope),
                    misconfigured(SCOPE),
                ),
                Row::new(
                    "invalid_scope",
                    When::Exchange,
                    How::Does(error(400, r#"{"error":"invalid_scope"}"#)),
                    misconfigured(SCOPE),
                ),
                Row::new(
                    "invalid_scope",
                    When::Refresh,
                    How::Does(error(400, r#"{"error":"invalid_scope"}"#)),
                    misconfigured("the token endpoint answered invalid_scope; check scopes"),
                ),
            ],
        },
        Entry {
            name: "The code was not typed in time",
            means: "A login with a code waited for somebody at another device, until the provider gave up.",
            next: "Log in again, and type the new code while it is good.",
            rows: vec![
                Row::new(
                    "expired_token",
                    When::Code,
                    How::Does(error(400, r#"{"error":"expired_token"}"#)),
                    failed("nobody logged in with the code before it expired"),
                )
                .audits_failed_login(),
            ],
        },
        Entry {
            name: "The provider has no logins with a code",
            means: "Its discovery document names no device authorization endpoint (RFC 8628).",
            next: "Log in with a browser, or name the endpoint in `device_authorization_endpoint` if the provider has one.",
            rows: vec![Row::new(
                "no such endpoint in discovery",
                When::Code,
                How::Discovers(Fault::Alter(|it| {
                    drop(it.as_object_mut().map(|it| it.remove("device_authorization_endpoint")));
                })),
                refused(
                    Code::Unsupported,
                    "unsupported: ",
                    "{provider} offers no login with a code (RFC 8628): log in with a browser, or with --paste. \
                     If it has one and does not tell, an administrator sets device_authorization_endpoint",
                ),
            )],
        },
        Entry {
            name: "The user, or a rule of the provider, said no",
            means: "The user pressed the button that refuses, or the provider does not let this user use this client.",
            next: "Log in again, or ask whoever manages users at the provider.",
            rows: vec![
                Row::new(
                    "access_denied, in the callback",
                    When::Exchange,
                    How::Lies(Lie::AccessDenied),
                    failed("the provider refused the login: access_denied (the user said no)"),
                ),
                Row::new(
                    "access_denied, with HTTP 403",
                    When::Exchange,
                    How::Does(error(403, r#"{"error":"access_denied"}"#)),
                    failed("the provider refused the login: access_denied"),
                ),
                Row::new(
                    "access_denied",
                    When::Code,
                    How::Does(error(400, r#"{"error":"access_denied"}"#)),
                    failed("whoever typed the code at the provider said no: access_denied"),
                )
                .audits_failed_login(),
                Row::new(
                    "access_denied, with HTTP 403",
                    When::Refresh,
                    How::Does(error(403, r#"{"error":"access_denied"}"#)),
                    misconfigured(&unfamiliar("access_denied")),
                ),
            ],
        },
        Entry {
            name: "The provider is busy, in the words of OAuth",
            means: "The provider cannot do it now, and says so with `temporarily_unavailable`, `server_error` or `slow_down`.",
            next: "Nothing, if it passes: a refresh is tried again by itself; begin a login again.",
            rows: vec![
                Row::new(
                    "temporarily_unavailable",
                    When::Exchange,
                    How::Does(error(503, r#"{"error":"temporarily_unavailable"}"#)),
                    later("the token endpoint answered temporarily_unavailable"),
                ),
                Row::new(
                    "temporarily_unavailable",
                    When::Account,
                    How::Does(error(503, r#"{"error":"temporarily_unavailable"}"#)),
                    later("the token endpoint answered temporarily_unavailable"),
                ),
                Row::new(
                    "slow_down",
                    When::Refresh,
                    How::Does(error(429, r#"{"error":"slow_down"}"#)),
                    later("the token endpoint answered slow_down"),
                ),
            ],
        },
    ]
}

const CLIENT: &str = r#"{"error":"invalid_client"}"#;
const SCOPE: &str = "invalid_scope; check scopes; asked for were \"openid profile email offline_access\"";

const CHECK: &str = "; check client_id, client_secret and client_authentication";

fn client(prefix: &str) -> String {
    format!("{prefix}invalid_client{CHECK}")
}

fn unfamiliar(error: &str) -> String {
    format!("the token endpoint answered {error}; if it means that a login is needed, name it in refused")
}

fn error(status: u16, body: &str) -> Fault {
    Fault::Answer(status, body.to_owned())
}

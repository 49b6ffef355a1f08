//! Answers that came, and are of no use.

use super::super::row::{Entry, How, Row, When, later, misconfigured, refused};
use super::connection::{pending, unidentified};
use crate::support::Fault;

use tokenkeeper_protocol::Code;

const PAGE: &str = "<html><h1>Something went wrong</h1></html>";
const GZIP: &[(&str, &str)] = &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry {
            name: "The provider fails",
            means: "The provider, or a gateway before it, answered with a status of 500 or more and no reason. After 502 and 504 a refresh may \
                    have happened; see the breaking connection.",
            next: "Nothing, if it passes: it is tried again by itself, less and less often. Else ask the provider.",
            rows: vec![
                Row::new("HTTP 500", When::Begin, How::Does(page(500)), later(&status("discovery document", 500))),
                Row::new("HTTP 503", When::Exchange, How::Does(page(503)), later(&status("token endpoint", 503))),
                Row::new(
                    "HTTP 500",
                    When::Identify,
                    How::At("/jwks", page(500)),
                    unidentified(&status("key set", 500)),
                ),
                Row::new(
                    "HTTP 500 where the user's name is asked for",
                    When::Identify,
                    How::At("/userinfo", page(500)),
                    unidentified(&status("userinfo endpoint", 500)),
                )
                .with(ASKS_USERINFO),
                Row::new("HTTP 500", When::Refresh, How::Does(page(500)), later(&status("token endpoint", 500))),
                Row::new("HTTP 502", When::Refresh, How::Does(page(502)), later(&status("token endpoint", 502))),
                Row::new("HTTP 504", When::Refresh, How::Does(page(504)), later(&status("token endpoint", 504))),
                pending("HTTP 503", page(503), "pending: the revocation endpoint answered HTTP 503 without saying why"),
            ],
        },
        Entry {
            name: "The provider asks to wait",
            means: "The provider gets too many requests (HTTP 429), or is away for a known time (HTTP 503 with `Retry-After`). It is not asked \
                    again before the time it named, at most a day.",
            next: "Wait. If it stays, ask the provider for a higher limit, or refresh less often (`refresh_at`).",
            rows: vec![
                Row::new(
                    "HTTP 429",
                    When::Begin,
                    How::Does(page(429)),
                    later("the discovery document asks to wait (HTTP 429)"),
                ),
                Row::new(
                    "HTTP 429, in seconds",
                    When::Exchange,
                    How::Does(Fault::RetryAfter(429, 120)),
                    wait("120 s (HTTP 429)"),
                ),
                Row::new(
                    "HTTP 429, until a time",
                    When::Exchange,
                    How::Does(Fault::RetryAt(429, 120)),
                    wait("{n} s (HTTP 429)"),
                ),
                Row::new(
                    "HTTP 429, in seconds",
                    When::Refresh,
                    How::Does(Fault::RetryAfter(429, 120)),
                    wait("120 s (HTTP 429)"),
                ),
                Row::new(
                    "HTTP 503, until a time",
                    When::Refresh,
                    How::Does(Fault::RetryAt(503, 120)),
                    wait("{n} s (HTTP 503)"),
                ),
                pending(
                    "HTTP 429",
                    Fault::RetryAfter(429, 120),
                    "pending: the revocation endpoint asks to wait 120 s (HTTP 429)",
                ),
            ],
        },
        Entry {
            name: "The provider answers with a page",
            means: "The answer is HTML, or of another type than JSON: a login page, an error page, or a portal or proxy in between.",
            next: "Open the address with `curl` from this machine and see who answers.",
            rows: vec![
                Row::new(
                    "an HTML page",
                    When::Begin,
                    How::Does(page(200)),
                    later(&kind("discovery document", "text/html")),
                ),
                Row::new(
                    "an HTML page",
                    When::Exchange,
                    How::Does(page(200)),
                    later(&kind("token endpoint", "text/html")),
                ),
                Row::new(
                    "an HTML page",
                    When::Refresh,
                    How::Does(page(200)),
                    later(&kind("token endpoint", "text/html")),
                ),
                Row::new(
                    "a file of no known type",
                    When::Refresh,
                    How::Does(Fault::Reply(200, &[("Content-Type", "application/octet-stream")], "\u{1}\u{2}")),
                    later(&kind("token endpoint", "application/octet-stream")),
                ),
                Row::new(
                    "an HTML page that forbids",
                    When::Refresh,
                    How::Does(page(403)),
                    later(&status("token endpoint", 403)),
                ),
            ],
        },
        Entry {
            name: "The answer is empty",
            means: "The status says that all is well, and there is no body.",
            next: "Nothing, if it passes. Else look for a proxy in between, or ask the provider.",
            rows: [
                (When::Begin, "discovery document"),
                (When::Exchange, "token endpoint"),
                (When::Refresh, "token endpoint"),
            ]
            .map(|(when, place)| {
                let end = later(&format!("the {place} gave an empty answer"));
                Row::new("no body", when, How::Does(Fault::Reply(200, JSON, "")), end)
            })
            .into(),
        },
        Entry {
            name: "The answer is no JSON, or lacks something",
            means: "The body claims to be JSON and is cut or of another shape, or a member that must be there is not.",
            next: "Ask the provider. A member that is missing in discovery is for an administrator: configure the endpoints by hand.",
            rows: vec![
                Row::new(
                    "half a document",
                    When::Begin,
                    How::Does(Fault::Reply(200, JSON, "{\"issuer\":")),
                    later(SHAPE),
                ),
                Row::new(
                    "a token that is a number",
                    When::Exchange,
                    How::Does(Fault::Reply(200, JSON, "{\"access_token\":7}")),
                    later("the token endpoint gave no usable access_token"),
                ),
                Row::new(
                    "no token",
                    When::Refresh,
                    How::Does(Fault::Reply(200, JSON, "{\"token_type\":\"Bearer\"}")),
                    later("the token endpoint gave no usable access_token"),
                ),
                Row::new(
                    "no token endpoint in discovery",
                    When::Begin,
                    How::Does(Fault::Alter(|it| drop(it.as_object_mut().map(|it| it.remove("token_endpoint"))))),
                    misconfigured("the discovery document gave no usable token_endpoint"),
                ),
            ],
        },
        Entry {
            name: "The answer has no end",
            means: "The body is longer than anything a provider says. It is not read to its end.",
            next: "See who answers at that address.",
            rows: [
                (When::Begin, "discovery document"),
                (When::Exchange, "token endpoint"),
                (When::Refresh, "token endpoint"),
            ]
            .map(|(when, place)| {
                let end = later(&format!("the {place} answered with more than 262144 bytes"));
                Row::new("a body without end", when, How::Does(Fault::Endless), end)
            })
            .into(),
        },
        Entry {
            name: "The answer is compressed",
            means: "The body is compressed, and the request said that it must not be.",
            next: "Look for a proxy in between that does it, and turn that off for the provider.",
            rows: [
                (When::Begin, "discovery document"),
                (When::Exchange, "token endpoint"),
                (When::Refresh, "token endpoint"),
            ]
            .map(|(when, place)| {
                let why =
                    "answered with a body compressed by gzip, which was not asked for; look for a proxy in between";
                Row::new(
                    "a gzip body",
                    when,
                    How::Does(Fault::Reply(200, GZIP, "x")),
                    later(&format!("the {place} {why}")),
                )
            })
            .into(),
        },
        Entry {
            name: "The provider redirects",
            means: "The answer says to go elsewhere. No redirect is followed: codes, tokens and the client secret go where the configuration \
                    or the discovery document says, and nowhere else.",
            next: "Write the address that the redirect leads to into the configuration, if it is the right one.",
            rows: [
                (When::Begin, "discovery document"),
                (When::Exchange, "token endpoint"),
                (When::Refresh, "token endpoint"),
            ]
            .map(|(when, place)| {
                let why = "answered HTTP 302, a redirect, which is not followed; correct its address";
                let reply = Fault::Reply(302, &[("Location", "https://elsewhere.example/")], "");
                Row::new("a redirect", when, How::Does(reply), misconfigured(&format!("the {place} {why}")))
            })
            .into(),
        },
        Entry {
            name: "There is nothing at the address",
            means: "The server is there, and knows nothing of this address (HTTP 404 or 410).",
            next: "Correct `issuer`, or the address of the endpoint. A provider without discovery is configured by its endpoints, with \
                   `kind = \"oauth2\"`.",
            rows: vec![
                Row::new(
                    "no discovery document",
                    When::Begin,
                    How::Does(page(404)),
                    misconfigured(
                        "the discovery document is not where it is looked for (HTTP 404); \
                         correct issuer, or configure the endpoints with kind = \"oauth2\"",
                    ),
                ),
                Row::new("no token endpoint", When::Exchange, How::Does(page(404)), misconfigured(NOT_THERE)),
                Row::new("no token endpoint", When::Refresh, How::Does(page(404)), misconfigured(NOT_THERE)),
            ],
        },
        Entry {
            name: "A token is too large",
            means: "The provider gave a token that fits into no request. The login came to nothing.",
            next: "Ask for fewer scopes or claims.",
            rows: vec![Row::new(
                "an access token of 20,000 bytes",
                When::Exchange,
                How::Does(Fault::Alter(|it| it["access_token"] = "x".repeat(20_000).into())),
                refused(
                    Code::LoginFailed,
                    "",
                    "login failed: the access token of 20000 bytes is too large; 16384 are accepted; \
                     ask for fewer scopes or claims; begin a new login",
                ),
            )],
        },
    ]
}

/// Makes userinfo a matter of the login: only it knows this name.
const ASKS_USERINFO: &[&str] = &["user_name_claim = \"nickname\""];
const SHAPE: &str = "the discovery document answered with JSON that is broken or of the wrong shape";
const NOT_THERE: &str =
    "the token endpoint is not where it is looked for (HTTP 404); correct the provider's address for it";

fn page(status: u16) -> Fault {
    Fault::Answer(status, PAGE.to_owned())
}

fn status(place: &str, status: u16) -> String {
    format!("the {place} answered HTTP {status} without saying why")
}

fn kind(place: &str, kind: &str) -> String {
    format!("the {place} answered with {kind} instead of JSON; check its address, and look for a proxy in between")
}

fn wait(how_long: &str) -> super::super::row::End {
    later(&format!("the token endpoint asks to wait {how_long}"))
}

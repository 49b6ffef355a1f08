//! From a reply to a response: status, headers, and the one JSON form of each reply.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokenkeeper_protocol::{Code, Problem, Reply, UnixSeconds, json};

use super::output::Output;
use super::problem::Failure;

/// What goes out.
pub(super) type Answer = Response<Full<Bytes>>;

/// The media type of answers.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The media type of problems (RFC 9457).
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// The media type of metrics.
const METRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Nothing that is answered here may be kept by anybody on the way.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The interface, described for programs. A test compares it with what is answered.
pub(super) const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// A body for most answers without growing; tokens come on top of it.
const USUAL_LENGTH: usize = 512;

/// The answer to a request that was answered with this reply.
pub(super) fn to_reply(reply: &Reply, now: UnixSeconds) -> Answer {
    match reply {
        Reply::Token(token) => {
            // Room for the whole token and nothing that must be escaped in it.
            let room = token.access_token.len() + token.scope.len() + USUAL_LENGTH;
            object(room, &json::Token::new(token, now))
        }
        Reply::LoginBegun(begun) => usual(&json::LoginBegun::from(begun)),
        Reply::LoggedIn(user) => usual(&json::LoggedIn::from(user)),
        Reply::Sessions(page) => usual(&json::SessionsPage::from(page)),
        Reply::Session(detail) => usual(&json::Session::from(detail)),
        Reply::LoggedOut(ended) => usual(&json::LoggedOut::from(ended)),
        Reply::Status(status) => usual(&json::Status::from(status)),
        Reply::DeviceBegun(begun) => usual(&json::DeviceBegun::from(begun)),
        Reply::History(page) => usual(&json::HistoryPage::from(page)),
        Reply::Identity(identity) => usual(&json::Identity::from(identity)),
        Reply::Providers(providers) => usual(&json::Providers::from(providers)),
        Reply::Metrics(text) => response(StatusCode::OK, METRICS, Bytes::from(text.clone())),
        Reply::Problem(problem) => to_failure(&Failure::from(problem.clone())),
        // No path leads to these.
        Reply::Explanation(_)
        | Reply::ProviderReport(_)
        | Reply::Keys(_)
        | Reply::KeysRotating(_)
        | Reply::KeysRecovered(_)
        | Reply::RollbackAccepted(_)
        | Reply::MovedOut(_)
        | Reply::Erasure(_)
        | Reply::StoreStats(_)
        | Reply::VerifyPage(_)
        | Reply::BackupPart(_) => {
            to_failure(&Failure::from(Problem::new(Code::Internal, "the daemon answered something else")))
        }
    }
}

/// The answer to a request that failed.
pub(super) fn to_failure(failure: &Failure) -> Answer {
    let mut answer = response(failure.status, PROBLEM, body(USUAL_LENGTH, &failure.body()));
    let headers = answer.headers_mut();
    if let Some(milliseconds) = failure.problem.retry_after_ms {
        headers.insert(RETRY_AFTER, HeaderValue::from(u64::from(milliseconds).div_ceil(1000)));
    }
    if let Some(allow) = failure.allow.as_deref().and_then(|allow| allow.parse().ok()) {
        headers.insert(ALLOW, allow);
    }
    if failure.closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// That all is well, for those who watch.
pub(super) fn well(word: &'static str) -> Answer {
    #[derive(Serialize)]
    struct Object {
        status: &'static str,
    }
    usual(&Object { status: word })
}

/// The description of the interface.
pub(super) fn document() -> Answer {
    response(StatusCode::OK, JSON, Bytes::from_static(DOCUMENT.as_bytes()))
}

fn usual(value: &impl Serialize) -> Answer {
    object(USUAL_LENGTH, value)
}

fn object(room: usize, value: &impl Serialize) -> Answer {
    response(StatusCode::OK, JSON, body(room, value))
}

fn body(room: usize, value: &impl Serialize) -> Bytes {
    let mut output = Output::with_capacity(room);
    serde_json::to_writer(&mut output, value).expect("a view has text for keys, and the buffer takes everything");
    output.into_bytes()
}

fn response(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_STORE);
    answer
}

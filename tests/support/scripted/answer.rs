//! One request, and what goes wrong with it: a [`Fault`] that was queued happens instead of the answer, or to it.

use std::io;
use std::net::TcpStream;
use std::sync::MutexGuard;
use std::time::Duration;

use data_encoding::BASE64;
use nix::sys::signal::{Signal, kill};
use serde_json::json;

use super::super::deadline::{Deadline, unix_seconds};
use super::super::http::{self, Received};
use super::endpoints::{Response, route};
use super::oracle::What;
use super::state::{Fault, Shared, State};

/// Answers one request, or does what a fault says instead.
pub(super) fn answer(stream: &TcpStream, request: &Received, shared: &Shared) -> io::Result<()> {
    let on = match request.path.as_str() {
        "/token" => request.parameter("grant_type").unwrap_or_default(),
        path => path.to_owned(),
    };
    let mut state = shared.state.lock().unwrap();
    state.requests.push((on.clone(), request.clone()));
    state.secrets.extend(["code_verifier"].iter().filter_map(|name| request.parameter(name)));
    let fault = state.faults.get_mut(&on).and_then(std::collections::VecDeque::pop_front);
    let is_fault = |fault: &Fault| !matches!(fault, Fault::KillBefore(_) | Fault::KillAfter(_));
    state.faulted += usize::from(fault.as_ref().is_some_and(is_fault));
    shared.changed.notify_all();
    if let Some(Fault::Unread) = fault {
        state = until_released(state, shared);
    }
    let presented = request.parameter("refresh_token").filter(|_| on == "refresh_token");
    let (rotation, life) = (state.rotation, state.access_life);
    let flight = presented.as_ref().map(|token| Flight { sent: state.oracle.sent(token, rotation, life), shared });
    let response = match &fault {
        Some(Fault::DropBefore) => {
            drop(state);
            return Ok(());
        }
        Some(Fault::KillBefore(client)) => {
            drop(state);
            return Ok(kill(*client, Signal::SIGKILL)?);
        }
        Some(Fault::Answer(status, body)) => {
            let content_type = if body.starts_with('{') { "application/json" } else { "text/html" };
            Response::text(*status, content_type, body.clone())
        }
        Some(Fault::RetryAfter(status, seconds)) => later(*status, seconds.to_string()),
        Some(Fault::RetryAt(status, seconds)) => later(*status, http_date(unix_seconds() + i64::from(*seconds))),
        Some(Fault::Reply(status, headers, body)) => {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Response { status: *status, headers, body: (*body).to_owned() }
        }
        Some(Fault::Quote(status, error)) => {
            let sent = ["code", "refresh_token", "token"].iter().find_map(|name| request.parameter(name));
            let description = format!("I do not like {}", sent.unwrap_or_default());
            Response::json(*status, &json!({ "error": error, "error_description": description }))
        }
        Some(Fault::Parrot(status, error)) => parrot(request, *status, error),
        Some(Fault::CutError(status, body)) => Response::text(*status, "application/json", (*body).to_owned()),
        Some(fault @ (Fault::CutShort | Fault::Endless | Fault::Bomb)) => {
            drop(state);
            return match fault {
                Fault::CutShort => http::cut_short(stream),
                Fault::Endless => http::go_on(stream),
                _ => http::bomb(stream),
            };
        }
        Some(Fault::Alter(change)) => {
            let mut response = route(request, &on, &mut state);
            let mut answer = serde_json::from_str(&response.body).expect("what is altered is JSON");
            change(&mut answer);
            response.body = answer.to_string();
            response
        }
        Some(Fault::Rewrite(content_type, write)) => {
            let response = route(request, &on, &mut state);
            let answer = serde_json::from_str(&response.body).expect("what is written anew is JSON");
            Response::text(response.status, content_type, write(answer))
        }
        Some(Fault::Hold) => {
            state = until_released(state, shared);
            route(request, &on, &mut state)
        }
        _ => route(request, &on, &mut state),
    };
    if let (Some(token), Some(Fault::DropAfter | Fault::CutAfter)) = (&presented, &fault) {
        state.oracle.note(token, What::AnswerLost);
    }
    drop(state);
    match &fault {
        Some(Fault::DropAfter) => return Ok(()),
        Some(Fault::KillAfter(client)) => return Ok(kill(*client, Signal::SIGKILL)?),
        Some(Fault::CutAfter | Fault::CutError(..)) => {
            return http::cut_half(stream, response.status, &response.headers, &response.body);
        }
        Some(Fault::Late(milliseconds)) => pause(*milliseconds),
        _ => {}
    }
    if let Some(token) = presented {
        let oracle = &mut shared.state.lock().unwrap().oracle;
        match response.status {
            200 => oracle.note(&token, What::Answered),
            // Of a gateway: what is behind it may have done anything.
            502 | 504 => {}
            _ => oracle.is_not_spent(&token),
        }
    }
    // Who has read it to its end may go on before this does.
    drop(flight);
    if let Some(Fault::Drip(milliseconds)) = fault {
        let pause = || pause(milliseconds);
        return http::drip(stream, response.status, &response.headers, &response.body, pause);
    }
    http::reply(stream, response.status, &response.headers, &response.body)
}

fn later(status: u16, retry_after: String) -> Response {
    let mut response = Response::text(status, "text/html", String::new());
    response.headers.push(("Retry-After".to_owned(), retry_after));
    response
}

fn until_released<'a>(mut state: MutexGuard<'a, State>, shared: &'a Shared) -> MutexGuard<'a, State> {
    let deadline = Deadline::after(Duration::from_mins(2));
    while !state.released
        && let Some(left) = deadline.left()
    {
        state = shared.changed.wait_timeout(state, left).unwrap().0;
    }
    state
}

/// A time as headers have it (RFC 9110 section 5.6.7).
pub(super) fn http_date(unix_seconds: i64) -> String {
    let at = chrono::DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default();
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Waits, in real time: the client is a real process.
fn pause(milliseconds: u64) {
    let (_nobody, moment) = std::sync::mpsc::channel::<()>();
    let _ = moment.recv_timeout(Duration::from_millis(milliseconds));
}

/// A refresh token that was sent. Its answer is given when this is dropped, however that ends.
struct Flight<'a> {
    sent: (u64, String),
    shared: &'a Shared,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.oracle.answered(&self.sent);
        }
    }
}

/// What was sent, said again in every way that has been seen, and in some that have not.
fn parrot(request: &Received, status: u16, error: &str) -> Response {
    let sent = ["code", "refresh_token", "token"].iter().find_map(|name| request.parameter(name)).unwrap_or_default();
    let authorization = request.header("authorization").unwrap_or_default();
    let split = |by: &str| format!("{}{by}{}", &sent[..sent.len() / 2], &sent[sent.len() / 2..]);
    let (hidden, broken, encoded) = (split("\u{200b}"), split("\n"), BASE64.encode(sent.as_bytes()));
    let mut response = if error.is_empty() {
        Response::text(status, &format!("text/{sent}; for={sent}"), "<html>".to_owned())
    } else {
        let said =
            json!({ "error": error, "error_description": format!("{authorization} {hidden} {broken} {encoded}") });
        Response::json(status, &said)
    };
    response.headers.push(("X-Request-Id".to_owned(), sent));
    response
}

//! What the HTTP socket does with requests that are too long, too strange, or never end.

use std::fmt::Write;

use serde_json::json;

use crate::support::config::me;
use crate::support::{Backend, Config, Daemon, Home, ScriptedProvider};

fn daemon() -> (Home, Daemon) {
    let home = Home::new(&Config::empty().rule(&me(), &["status", "list"], "*", "own"));
    let daemon = Daemon::start(&home);
    (home, daemon)
}

fn still_serves(home: &Home) {
    assert_eq!(Backend::connect(&home.http_socket()).get("/v1/status").status, 200);
}

#[test]
fn a_body_that_is_too_long_is_refused_by_its_announcement() {
    let (home, _daemon) = daemon();
    let mut backend = Backend::connect(&home.http_socket());
    backend.send_bytes(
        b"POST /v1/logins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 65537\r\n\r\n{",
    );
    let answer = backend.receive();
    answer.problem(413, "bad_request");
    assert_eq!((answer.header("connection"), backend.rest().as_str()), (Some("close"), ""));
    still_serves(&home);
}

#[test]
fn a_body_that_grows_too_long_is_refused_when_it_does() {
    let (home, _daemon) = daemon();
    let mut backend = Backend::connect(&home.http_socket());
    backend.send_bytes(
        b"POST /v1/logins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..17 {
        backend.send_bytes(chunk.as_bytes());
    }
    backend.receive().problem(413, "bad_request");
    still_serves(&home);
}

#[test]
fn a_body_of_the_greatest_length_is_read() {
    let (home, _daemon) = daemon();
    let mut backend = Backend::connect(&home.http_socket());
    let body = json!({ "provider": "corp", "redirect_uri": "x".repeat(65_000) });
    let answer = backend.post("/v1/logins", &body);
    assert!([400, 403].contains(&answer.status), "{answer:?}");
    assert_eq!(backend.get("/v1/status").status, 200, "and the connection lives");
}

#[test]
fn a_head_that_is_too_long_ends_the_connection() {
    let (home, _daemon) = daemon();
    let mut many = "GET /v1/status HTTP/1.1\r\nHost: x\r\n".to_owned();
    for number in 0..200 {
        write!(many, "X-{number}: y\r\n").unwrap();
    }
    let long = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nX: {}\r\n", "y".repeat(100_000));
    for head in [many, long] {
        let mut backend = Backend::connect(&home.http_socket());
        backend.send_bytes(head.as_bytes());
        backend.send_bytes(b"\r\n");
        backend.close_sending();
        let said = backend.rest();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    }
    still_serves(&home);
}

#[test]
fn what_is_no_http_ends_the_connection() {
    let (home, _daemon) = daemon();
    for garbage in
        [&b"tkpr\x01\x00\x00\x00"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut backend = Backend::connect(&home.http_socket());
        backend.send_bytes(garbage);
        backend.close_sending();
        let said = backend.rest();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    }
    still_serves(&home);
}

#[test]
fn requests_that_smuggle_another_one_are_refused() {
    let (home, _daemon) = daemon();
    for lengths in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: -2\r\n",
    ] {
        let mut backend = Backend::connect(&home.http_socket());
        let head = format!("POST /v1/logins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lengths}\r\n");
        backend.send_bytes(format!("{head}{{}}\r\nGET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        backend.close_sending();
        let said = backend.rest();
        assert!(!said.contains("\"health\""), "{lengths}: what is behind was taken for a request: {said}");
    }
    still_serves(&home);
}

#[test]
fn requests_that_come_byte_by_byte_or_many_at_once_are_the_same() {
    let (home, _daemon) = daemon();
    let mut backend = Backend::connect(&home.http_socket());
    for byte in b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n" {
        backend.send_bytes(&[*byte]);
    }
    assert_eq!(backend.receive().status, 200);
    let requests = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".repeat(25);
    backend.send_bytes(requests.as_bytes());
    for _ in 0..25 {
        assert_eq!((backend.receive().status, backend.receive().status), (200, 404), "in the order of the requests");
    }
}

#[test]
fn a_peer_that_has_said_all_it_wants_to_say_is_still_answered() {
    let (home, _daemon) = daemon();
    let mut backend = Backend::connect(&home.http_socket());
    backend.send("GET", "/v1/status", None);
    backend.close_sending();
    assert_eq!(backend.receive().status, 200);
    assert_eq!(backend.rest(), "");
}

#[test]
fn an_old_client_is_answered_and_hung_up_on() {
    let (home, _daemon) = daemon();
    let mut backend = Backend::connect(&home.http_socket());
    backend.send_bytes(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(backend.receive().status, 200);
    assert_eq!(backend.rest(), "");
}

#[test]
fn those_without_a_rule_are_told_when_there_are_too_many_of_them() {
    // Root has a rule everywhere; others have none here.
    let home = Home::new(&Config::empty());
    let _daemon = Daemon::start(&home);
    let limit = if nix::unistd::Uid::effective().is_root() { 256 } else { 128 };
    let mut guests: Vec<_> = (0..limit).map(|_| Backend::connect(&home.http_socket())).collect();
    for guest in &mut guests {
        assert_eq!(guest.get("/healthz").status, 200);
    }
    let mut late = Backend::connect(&home.http_socket());
    late.send("GET", "/healthz", None);
    let answer = late.receive();
    answer.problem(503, "try_later");
    assert_eq!(answer.header("connection"), Some("close"));
    // Those at the other socket are counted with them.
    home.cli(["status"]).fails_with(75);
    guests.pop();
}

#[test]
fn no_secret_gets_into_the_log() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let mut command = home.daemon_command();
    command.env("TOKENKEEPER_LOG", "trace");
    let _daemon = Daemon::start_command(&home, command);
    let mut backend = Backend::connect(&home.http_socket());
    let session = backend.session("alice");
    let token = backend.post(&format!("/v1/sessions/{session}/token"), &json!({})).json();
    let canary = "canary-PCtkfPSzVYBU-canary";
    backend.post("/v1/logins", &json!({ "callback_query": canary })).problem(400, "bad_request");
    backend.post(&format!("/v1/sessions/{session}/token"), &json!({ "min_valid": canary })).problem(400, "bad_request");
    let log = home.stderr();
    assert!(log.contains("TRACE"), "the log says all it can");
    assert!(!log.contains(token["access_token"].as_str().unwrap()) && !log.contains(canary), "{log}");
}

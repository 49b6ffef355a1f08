//! The blocking client against daemons that behave, and daemons that do not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::io::Read;
use std::time::Duration;

use common::{Connection, Server, asking, nowhere, reply_bytes, token_for};
use tokenkeeper_client::blocking::Client;
use tokenkeeper_client::reply::{SessionState, SessionSummary, SessionsPage};
use tokenkeeper_client::{Code, Error, Problem, ProtocolError, SessionsRequest, UnixSeconds, Version};
use tokenkeeper_protocol::frame::Header;
use tokenkeeper_protocol::{Reply, Request};

fn error_of<T>(result: Result<T, Error>) -> Error {
    result.err().expect("it must fail")
}

#[test]
fn a_token_comes_in_one_call() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let (id, request) = connection.request();
        connection.reply(id, &token_for(&request));
    });
    let token = Client::connect(&server.path()).unwrap().token(asking("corp")).unwrap();
    assert_eq!(token.access_token.expose(), "corp");
    server.finish();
}

#[test]
fn hello_and_first_request_arrive_in_one_piece() {
    let server = Server::start(|Connection(mut stream)| {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        assert_eq!(bytes[..8], Version::CURRENT.hello());
        assert_eq!(count, 8 + 16 + 4 + 8 + 4 + 1 + 1 + 1);
        // The daemon's hello and reply may come in one piece as well.
        let reply = reply_bytes(1, &token_for(&Request::Token(asking("corp"))));
        Connection(stream).write(&[Version::CURRENT.hello().as_slice(), &reply].concat());
    });
    assert!(Client::connect(&server.path()).unwrap().token(asking("corp")).is_ok());
    server.finish();
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken_for_the_next_one() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let (first, slow) = connection.request();
        let (second, quick) = connection.request();
        connection.reply(first, &token_for(&slow));
        connection.reply(second, &token_for(&quick));
    });
    let mut client = Client::connect_within(&server.path(), Duration::from_millis(300)).unwrap();
    assert!(matches!(client.token(asking("slow")), Err(Error::TimedOut)));
    assert_eq!(client.token(asking("quick")).unwrap().access_token.expose(), "quick");
    server.finish();
}

#[test]
fn a_problem_is_told_as_the_daemon_told_it_and_the_connection_lives() {
    let problem = Problem { audit_reference: Some("r-1".to_owned()), ..Problem::new(Code::Denied, "no rule") };
    let told = problem.clone();
    let server = Server::start(move |connection| {
        let mut connection = connection.greet();
        let (id, _) = connection.request();
        connection.reply(id, &Reply::Problem(told));
        let (id, request) = connection.request();
        connection.reply(id, &token_for(&request));
    });
    let mut client = Client::connect(&server.path()).unwrap();
    assert!(matches!(client.token(asking("corp")), Err(Error::Problem(it)) if it == problem));
    assert!(client.token(asking("corp")).is_ok());
    server.finish();
}

#[test]
fn a_daemon_that_hangs_up_in_the_middle_of_a_frame_has_disconnected() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let (id, request) = connection.request();
        let bytes = reply_bytes(id, &token_for(&request));
        connection.write(&bytes[..bytes.len() - 1]);
    });
    let mut client = Client::connect(&server.path()).unwrap();
    assert!(matches!(client.token(asking("corp")), Err(Error::Disconnected)));
    assert!(matches!(client.status(), Err(Error::Disconnected)), "it stays so");
    server.finish();
}

#[test]
fn a_daemon_of_another_major_version_is_named_even_if_it_hangs_up_at_once() {
    let server = Server::start(|mut connection| connection.write(&Version { major: 2, minor: 7 }.hello()));
    let mut client = Client::connect(&server.path()).unwrap();
    let error = error_of(client.status());
    assert!(matches!(error, Error::WrongVersion { daemon: Version { major: 2, minor: 7 } }));
    assert_eq!(error.to_string(), "the daemon speaks protocol 2.7, this program 1.0; upgrade the older one");
    server.finish();
}

#[test]
fn a_newer_minor_version_is_no_obstacle() {
    let server = Server::start(|mut connection| {
        connection.write(&Version { major: 1, minor: 9 }.hello());
        connection.0.read_exact(&mut [0; 8]).unwrap();
        let (id, request) = connection.request();
        connection.reply(id, &token_for(&request));
    });
    assert!(Client::connect(&server.path()).unwrap().token(asking("corp")).is_ok());
    server.finish();
}

#[test]
fn whatever_else_listens_there_is_not_believed() {
    let server = Server::start(|mut connection| connection.write(b"HTTP/1.1 400 Bad Request\r\n"));
    let error = error_of(Client::connect(&server.path()).unwrap().status());
    assert!(matches!(error, Error::Protocol(ProtocolError::NotTokenkeeper)));
    server.finish();
}

#[test]
fn a_frame_longer_than_allowed_is_refused_before_it_is_read() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let (id, _) = connection.request();
        connection.write(&Header { length: 65_537, kind: 0x8001, flags: 0, id }.to_bytes());
        // Open until the client has judged: there is no payload it could wait for.
        connection.wait_for_end();
    });
    let error = error_of(Client::connect(&server.path()).unwrap().token(asking("corp")));
    assert!(matches!(error, Error::Protocol(ProtocolError::FrameTooLong(_))));
    server.finish();
}

#[test]
fn an_answer_that_does_not_fit_or_cannot_be_read_is_an_error_of_that_call_alone() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let token = token_for(&Request::Token(asking("corp")));
        let (id, _) = connection.request();
        connection.reply(id, &token);
        let (id, _) = connection.request();
        connection.write(&Header { length: 0, kind: 0x9999, flags: 0, id }.to_bytes());
        let (id, _) = connection.request();
        connection.reply(id, &token);
    });
    let mut client = Client::connect(&server.path()).unwrap();
    assert!(matches!(client.status(), Err(Error::Protocol(ProtocolError::UnexpectedReply))));
    assert!(matches!(client.status(), Err(Error::Protocol(ProtocolError::Codec(_)))));
    assert!(client.token(asking("corp")).is_ok());
    server.finish();
}

#[test]
fn all_sessions_come_page_by_page() {
    let summary = |reference: &str| SessionSummary {
        session: reference.parse().unwrap(),
        provider: "corp".parse().unwrap(),
        user: "alice".parse().unwrap(),
        device: None,
        opened_by: "alice".to_owned(),
        state: SessionState::Active,
        token_expires_at: None,
        ends_at: UnixSeconds(0),
    };
    let page = move |references: &[&str], next: Option<&str>| {
        let sessions = references.iter().map(|reference| summary(reference)).collect();
        Reply::Sessions(SessionsPage { sessions, next: next.map(|next| next.parse().unwrap()) })
    };
    let server = Server::start(move |connection| {
        let mut connection = connection.greet();
        let pages =
            [page(&["00000001", "00000002"], Some("00000002")), page(&[], Some("00000005")), page(&["00000007"], None)];
        let cursors = [None, Some("00000002"), Some("00000005")];
        for (page, cursor) in pages.iter().zip(cursors) {
            let (id, request) = connection.request();
            let Request::Sessions(SessionsRequest { provider, cursor: asked, .. }) = request else {
                panic!("{request:?}")
            };
            assert_eq!(provider, Some("corp".parse().unwrap()), "the filter is kept");
            assert_eq!(asked, cursor.map(|cursor| cursor.parse().unwrap()));
            connection.reply(id, page);
        }
        // A cursor that stands still.
        let (id, _) = connection.request();
        connection.reply(id, &page(&[], Some("00000002")));
    });
    let mut client = Client::connect(&server.path()).unwrap();
    let filter = SessionsRequest { provider: Some("corp".parse().unwrap()), ..SessionsRequest::default() };
    let all: Result<Vec<_>, _> =
        client.all_sessions(filter.clone()).map(|it| it.map(|it| it.session.to_string())).collect();
    assert_eq!(all.unwrap(), ["00000001", "00000002", "00000007"]);
    let stuck = SessionsRequest { cursor: Some("00000002".parse().unwrap()), ..filter };
    let found: Vec<_> = client.all_sessions(stuck).collect();
    assert!(matches!(found.as_slice(), [Err(Error::Protocol(ProtocolError::UnexpectedReply))]), "{found:?}");
    server.finish();
}

#[test]
fn where_nobody_listens_the_error_says_what_to_look_at() {
    let error = error_of(Client::connect(nowhere()));
    assert!(matches!(error, Error::Unreachable { .. }));
    let text = error.to_string();
    assert!(text.contains("/nonexistent/tokenkeeper.sock") && text.contains("systemctl status tokenkeeperd"), "{text}");
}

#[test]
fn a_daemon_that_does_not_accept_makes_connecting_time_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let first = Client::connect(&path).unwrap();
    let error = error_of(Client::connect_within(&path, Duration::from_millis(50)));
    assert!(matches!(error, Error::TimedOut), "{error}");
    drop(first);
}

#[test]
fn a_name_that_cannot_be_one_is_not_even_asked_for() {
    assert!(matches!(tokenkeeper_client::blocking::token("No Such"), Err(Error::InvalidName(_))));
}

//! The socket, spoken to by hand: whatever comes in, the daemon answers in one clear sentence or hangs up, and serves the next.

use tokenkeeper_protocol::frame::{HELLO_LEN, Header, MAX_PAYLOAD, Version};
use tokenkeeper_protocol::{Code, Reply, Request};

use crate::support::wire::{self, Wire};
use crate::support::{Config, Daemon, Fault, Home, ScriptedProvider};

const NO_ARGUMENTS: &[u8] = &[];

fn daemon_with_status() -> (Home, Daemon) {
    let home = Home::new(&Config::empty().rule(&crate::support::config::me(), &["status"], "*", "own"));
    let daemon = Daemon::start(&home);
    (home, daemon)
}

/// The daemon still serves a new connection.
fn still_serves(home: &Home) {
    let reply = Wire::connect(&home.socket()).ask(&Request::Status);
    assert!(matches!(reply, Reply::Status(_)), "{reply:?}");
}

#[test]
fn a_frame_that_is_too_long_ends_the_connection_after_an_explanation() {
    let (home, _daemon) = daemon_with_status();
    let mut wire = Wire::connect(&home.socket());
    let length = u32::try_from(MAX_PAYLOAD + 1).unwrap();
    wire.send_bytes(&Header { length, kind: 1, flags: 0, id: 42 }.to_bytes());
    let (id, reply) = wire.receive();
    let Reply::Problem(problem) = reply else { panic!("{reply:?}") };
    assert_eq!((id, problem.code), (42, Code::BadRequest));
    assert!(problem.message.contains("65536"), "{problem}");
    assert_eq!(wire.rest(), NO_ARGUMENTS);
    still_serves(&home);
}

#[test]
fn a_frame_that_ends_early_ends_the_connection() {
    let (home, _daemon) = daemon_with_status();
    let (kind, payload) = wire::begin("corp").encode().unwrap();
    let length = u32::try_from(payload.len()).unwrap();
    let whole = [&Header { length, kind, flags: 0, id: 1 }.to_bytes(), payload.as_slice()].concat();
    for cut in [1, 15, 16, whole.len() - 1] {
        let mut wire = Wire::connect(&home.socket());
        wire.send_bytes(&whole[..cut]);
        wire.close_sending();
        assert_eq!(wire.rest(), NO_ARGUMENTS, "cut after {cut} bytes");
    }
    still_serves(&home);
}

#[test]
fn garbage_in_a_payload_is_a_bad_request_and_the_connection_lives() {
    let (home, _daemon) = daemon_with_status();
    let mut wire = Wire::connect(&home.socket());
    let (kind, _) = wire::begin("corp").encode().unwrap();
    for payload in [&[0xff; 100][..], &[], &[0; 7]] {
        wire.send_frame(kind, payload).unwrap();
        let (_, reply) = wire.receive();
        let Reply::Problem(problem) = reply else { panic!("{reply:?}") };
        assert_eq!(problem.code, Code::BadRequest, "{problem}");
    }
    assert!(matches!(wire.ask(&Request::Status), Reply::Status(_)));
}

#[test]
fn bytes_behind_the_end_of_a_payload_are_a_bad_request() {
    let (home, _daemon) = daemon_with_status();
    let mut wire = Wire::connect(&home.socket());
    let (kind, payload) = Request::Status.encode().unwrap();
    wire.send_frame(kind, &[&payload[..], &[0]].concat()).unwrap();
    let (_, reply) = wire.receive();
    assert!(matches!(&reply, Reply::Problem(problem) if problem.code == Code::BadRequest), "{reply:?}");
}

#[test]
fn a_request_of_a_later_version_is_unsupported_and_the_connection_lives() {
    let (home, _daemon) = daemon_with_status();
    let mut wire = Wire::connect(&home.socket());
    wire.send_frame(0x7abc, b"whatever it means").unwrap();
    let (_, reply) = wire.receive();
    assert!(matches!(&reply, Reply::Problem(problem) if problem.code == Code::Unsupported), "{reply:?}");
    assert!(matches!(wire.ask(&Request::Status), Reply::Status(_)));
}

#[test]
fn who_speaks_another_major_version_is_told_ours_and_hung_up_on() {
    let (home, _daemon) = daemon_with_status();
    let mut wire = Wire::silent(&home.socket()).unwrap();
    wire.send_bytes(&Version { major: Version::CURRENT.major + 1, minor: 0 }.hello());
    wire.send_bytes(&Header { length: 0, kind: 7, flags: 0, id: 1 }.to_bytes());
    let said = wire.rest();
    assert_eq!(said, Version::CURRENT.hello(), "the hello and nothing else");
    still_serves(&home);
}

#[test]
fn who_speaks_a_later_minor_version_is_served() {
    let (home, _daemon) = daemon_with_status();
    let mut wire = Wire::silent(&home.socket()).unwrap();
    wire.send_bytes(&Version { minor: Version::CURRENT.minor + 9, ..Version::CURRENT }.hello());
    let mut hello = [0; HELLO_LEN];
    wire.read_exact(&mut hello);
    assert_eq!(hello, Version::CURRENT.hello());
    assert!(matches!(wire.ask(&Request::Status), Reply::Status(_)));
}

#[test]
fn who_speaks_something_else_altogether_is_hung_up_on() {
    let (home, _daemon) = daemon_with_status();
    for greeting in
        [&b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01", &[0; 8], b"tkp"]
    {
        let mut wire = Wire::silent(&home.socket()).unwrap();
        wire.send_bytes(greeting);
        wire.close_sending();
        let said = wire.rest();
        assert!(said.is_empty() || said == Version::CURRENT.hello(), "{greeting:?} was answered {said:?}");
    }
    still_serves(&home);
}

#[test]
fn replies_come_as_they_are_ready_and_carry_the_id_of_their_request() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::Hold);

    let mut wire = Wire::connect(&home.socket());
    let slow = wire.send(&wire::token("corp", Some(99)));
    provider.wait_for("refresh_token", 1);
    let quick = wire.send(&Request::Status);

    let (first, reply) = wire.receive();
    assert_eq!(first, quick);
    assert!(matches!(reply, Reply::Status(_)), "{reply:?}");
    provider.release();
    let (second, reply) = wire.receive();
    assert_eq!(second, slow);
    assert!(matches!(reply, Reply::Token(_)), "{reply:?}");
}

#[test]
fn requests_that_come_byte_by_byte_or_many_at_once_are_the_same() {
    let (home, _daemon) = daemon_with_status();
    let (kind, payload) = Request::Status.encode().unwrap();
    let frame = |id| [&Header { length: 0, kind, flags: 0, id }.to_bytes(), &payload[..]].concat();
    let mut wire = Wire::connect(&home.socket());
    for byte in frame(1) {
        wire.send_bytes(&[byte]);
    }
    assert_eq!(wire.receive().0, 1);
    wire.send_bytes(&(2..52).flat_map(frame).collect::<Vec<_>>());
    let mut answered: Vec<_> = (2..52).map(|_| wire.receive().0).collect();
    answered.sort_unstable();
    assert_eq!(answered, (2..52).collect::<Vec<_>>());
}

#[test]
fn a_hundred_connections_are_served_side_by_side() {
    let (home, _daemon) = daemon_with_status();
    let mut all: Vec<_> = (0..100).map(|_| Wire::connect(&home.socket())).collect();
    for wire in &mut all {
        assert!(matches!(wire.ask(&Request::Status), Reply::Status(_)));
    }
}

#[test]
fn a_daemon_that_does_not_run_is_not_reachable() {
    let home = Home::new(&Config::empty());
    let socket = home.socket().display().to_string();
    for arguments in [&["token", "corp"][..], &["sessions"], &["login", "corp", "--no-browser"]] {
        let why = home.cli(arguments).fails_with(69);
        assert!(why.contains(&socket), "where it should be: {why}");
    }
    let status = home.cli(["status"]);
    assert!([2, 69].contains(&status.status), "{status:?}");

    // A socket that a killed daemon left behind is no daemon either.
    let daemon = Daemon::start(&home);
    daemon.kill();
    assert!(home.socket().exists());
    home.cli(["token", "corp"]).fails_with(69);
    let _daemon = Daemon::start(&home);
    home.cli(["token", "corp"]).fails_with(77);
}

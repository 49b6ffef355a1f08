//! Pins the bytes of every payload. A line here never changes once it was released: a new layout gets a new type number.
//!
//! Notation: hexadecimal, with ASCII text in double quotes; blanks separate fields.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use tokenkeeper_protocol::reply::{
    Authentication, Health, LoggedIn, LoggedOut, LoginBegun, ProviderStatus, Revocation, SessionCounts, SessionDetail,
    SessionState, SessionSummary, SessionsPage, StatusReply, TokenReply, UserInfo,
};
use tokenkeeper_protocol::request::{LoginBegin, LoginComplete, Selector, SessionsRequest, TokenRequest};
use tokenkeeper_protocol::{Code, LoginId, Problem, Reply, Request, SessionRef, UnixSeconds};

/// 1,700,000,000 seconds: 2023-11-14T22:13:20Z.
const EVENING: &str = "00f1536500000000";
const AT: UnixSeconds = UnixSeconds(1_700_000_000);

#[test]
fn a_token_request_by_session_is_these_bytes() {
    let request =
        TokenRequest { selector: Selector::Session(session()), min_valid_seconds: Some(60), timeout_ms: Some(5000) };
    pin_request(Request::Token(request), 0x0001, r#"00000000 "7k3vq2mx" 01 3c000000 01 88130000"#);
}

#[test]
fn a_token_request_by_provider_is_these_bytes() {
    let only = |user: Option<&str>| {
        let selector =
            Selector::Only { provider: "corp".parse().unwrap(), user: user.map(|name| name.parse().unwrap()) };
        Request::Token(TokenRequest { selector, min_valid_seconds: None, timeout_ms: None })
    };
    pin_request(only(None), 0x0001, r#"01000000 0400000000000000 "corp" 00 00 00"#);
    let with_user = r#"01000000 0400000000000000 "corp" 01 0500000000000000 "alice" 00 00"#;
    pin_request(only(Some("alice")), 0x0001, with_user);
}

#[test]
fn a_login_begin_is_these_bytes() {
    let request = LoginBegin {
        provider: "corp".parse().unwrap(),
        redirect_uri: "http://127.0.0.1:7/cb".to_owned(),
        scopes: vec!["openid".to_owned(), "mail".to_owned()],
        login_hint: Some("al".to_owned()),
        device: None,
        acr_values: vec!["mfa".to_owned()],
        replaces: Some(session()),
    };
    let golden = r#"0400000000000000 "corp" 1500000000000000 "http://127.0.0.1:7/cb"
        0200000000000000 0600000000000000 "openid" 0400000000000000 "mail"
        01 0200000000000000 "al"  00
        0100000000000000 0300000000000000 "mfa"  01 "7k3vq2mx""#;
    pin_request(Request::LoginBegin(request), 0x0002, golden);
}

#[test]
fn a_login_complete_is_these_bytes() {
    let request = LoginComplete { login_id: login_id(), callback_query: "code=x".into() };
    let golden = r#"000102030405060708090a0b0c0d0e0f 0600000000000000 "code=x""#;
    pin_request(Request::LoginComplete(request), 0x0003, golden);
}

#[test]
fn requests_about_sessions_and_the_daemon_are_these_bytes() {
    let filter = SessionsRequest {
        provider: Some("corp".parse().unwrap()),
        user: Some("bob".parse().unwrap()),
        cursor: Some(session()),
    };
    let golden = r#"01 0400000000000000 "corp" 01 0300000000000000 "bob" 01 "7k3vq2mx""#;
    pin_request(Request::Sessions(filter), 0x0004, golden);
    pin_request(Request::Sessions(SessionsRequest::default()), 0x0004, "00 00 00");
    pin_request(Request::Session(session()), 0x0005, r#""7k3vq2mx""#);
    pin_request(Request::Logout(session()), 0x0006, r#""7k3vq2mx""#);
    pin_request(Request::Status, 0x0007, "");
}

#[test]
fn a_token_reply_is_these_bytes() {
    let reply = TokenReply {
        session: session(),
        access_token: "secret".into(),
        token_type: "Bearer".to_owned(),
        expires_at: AT,
        scope: "a b".to_owned(),
    };
    let golden =
        format!(r#""7k3vq2mx" 0600000000000000 "secret" 0600000000000000 "Bearer" {EVENING} 0300000000000000 "a b""#);
    pin_reply(Reply::Token(reply), 0x8001, &golden);
}

#[test]
fn a_login_begun_is_these_bytes() {
    let reply = LoginBegun { login_id: login_id(), authorize_url: "https://i/a".into(), expires_at: AT };
    let golden = format!(r#"000102030405060708090a0b0c0d0e0f 0b00000000000000 "https://i/a" {EVENING}"#);
    pin_reply(Reply::LoginBegun(reply), 0x8002, &golden);
}

#[test]
fn a_logged_in_is_these_bytes() {
    let reply = LoggedIn {
        session: session(),
        provider: "corp".parse().unwrap(),
        user: user(),
        authentication: Authentication {
            acr: Some("mfa".to_owned()),
            amr: vec!["pwd".to_owned(), "otp".to_owned()],
            auth_time: Some(AT),
        },
        ends_at: AT,
    };
    let golden = format!(
        r#""7k3vq2mx" 0400000000000000 "corp" {USER}
        01 0300000000000000 "mfa" 0200000000000000 0300000000000000 "pwd" 0300000000000000 "otp" 01 {EVENING} {EVENING}"#
    );
    pin_reply(Reply::LoggedIn(reply), 0x8003, &golden);
}

#[test]
fn a_page_of_sessions_is_these_bytes() {
    let states = [
        SessionState::Active,
        SessionState::NeedsLogin { reason: "why".to_owned(), since: AT },
        SessionState::Ended { reason: "why".to_owned(), since: AT },
    ];
    let sessions = states.map(summary).to_vec();
    let (active, needs_login, ended) = (summary_bytes("00000000"), why("01000000"), why("02000000"));
    let golden =
        format!(r#"0300000000000000 {active} {} {} 01 "7k3vq2mx""#, summary_bytes(&needs_login), summary_bytes(&ended));
    pin_reply(Reply::Sessions(SessionsPage { sessions, next: Some(session()) }), 0x8004, &golden);
    pin_reply(Reply::Sessions(SessionsPage { sessions: vec![], next: None }), 0x8004, "0000000000000000 00");
}

#[test]
fn a_session_in_detail_is_these_bytes() {
    let reply = SessionDetail {
        summary: summary(SessionState::Active),
        user: user(),
        authentication: Authentication::default(),
        scope: "a".to_owned(),
        opened_at: AT,
        token_obtained_at: Some(AT),
        refresh_due_at: None,
        refreshable: true,
        refreshes: 258,
        last_failure: Some("HTTP 503".to_owned()),
    };
    let golden = format!(
        r#"{} {USER} 00 0000000000000000 00 0100000000000000 "a" {EVENING} 01 {EVENING} 00
        01 0201000000000000 01 0800000000000000 "HTTP 503""#,
        summary_bytes("00000000")
    );
    pin_reply(Reply::Session(reply), 0x8005, &golden);
}

#[test]
fn a_logged_out_is_these_bytes() {
    let outcomes = [(Revocation::Done, "00"), (Revocation::Pending, "01"), (Revocation::Unsupported, "02")];
    for (revoked, number) in outcomes {
        let reply = LoggedOut { session: session(), revoked, end_session_url: Some("https://i/e".to_owned()) };
        let golden = format!(r#""7k3vq2mx" {number}000000 01 0b00000000000000 "https://i/e""#);
        pin_reply(Reply::LoggedOut(reply), 0x8006, &golden);
    }
}

#[test]
fn a_status_is_these_bytes() {
    for (health, number) in [(Health::Ok, "00"), (Health::Degraded, "01"), (Health::NotServing, "02")] {
        let reply = StatusReply {
            version: "0.1.0".to_owned(),
            health,
            complaints: vec!["disk".to_owned()],
            started_at: AT,
            providers: vec![ProviderStatus {
                provider: "corp".parse().unwrap(),
                last_success_at: None,
                failure: Some((AT, "down".to_owned())),
            }],
            sessions: SessionCounts { active: 1, need_login: 2, ended: 3 },
            store_bytes: 4096,
            disk_free_percent: 63,
            identity_source: "file".to_owned(),
            epoch: 3,
            audit_waiting: 5,
            config_loaded_at: AT,
            config_refused: Some("bad".to_owned()),
        };
        let golden = format!(
            r#"0500000000000000 "0.1.0" {number}000000 0100000000000000 0400000000000000 "disk" {EVENING}
            0100000000000000 0400000000000000 "corp" 00 01 {EVENING} 0400000000000000 "down"
            0100000000000000 0200000000000000 0300000000000000 0010000000000000 3f 0400000000000000 "file"
            03000000 0500000000000000 {EVENING} 01 0300000000000000 "bad""#
        );
        pin_reply(Reply::Status(reply), 0x8007, &golden);
    }
}

#[test]
fn a_problem_is_these_bytes() {
    let plain = Problem::new(Code::Denied, "no");
    pin_reply(Reply::Problem(plain), 0xffff, r#"0700 0200000000000000 "no" 00 00 00 00"#);
    let full = Problem {
        retry_after_ms: Some(40_000),
        session: Some(session()),
        since: Some(AT),
        audit_reference: Some("r-5f2c9".to_owned()),
        ..Problem::new(Code::LoginRequired, "no")
    };
    let golden =
        format!(r#"0100 0200000000000000 "no" 01 409c0000 01 "7k3vq2mx" 01 {EVENING} 01 0700000000000000 "r-5f2c9""#);
    pin_reply(Reply::Problem(full), 0xffff, &golden);
}

const USER: &str =
    r#"0500000000000000 "alice" 0200000000000000 "s1" 0900000000000000 "https://i" 01 0300000000000000 "a@b""#;

fn user() -> UserInfo {
    UserInfo {
        name: "alice".parse().unwrap(),
        subject: "s1".to_owned(),
        issuer: "https://i".to_owned(),
        email: Some("a@b".to_owned()),
    }
}

fn summary(state: SessionState) -> SessionSummary {
    SessionSummary {
        session: session(),
        provider: "corp".parse().unwrap(),
        user: "alice".parse().unwrap(),
        device: Some("laptop".to_owned()),
        opened_by: "uid 7".to_owned(),
        state,
        token_expires_at: Some(AT),
        ends_at: AT,
    }
}

fn summary_bytes(state: &str) -> String {
    format!(
        r#""7k3vq2mx" 0400000000000000 "corp" 0500000000000000 "alice" 01 0600000000000000 "laptop"
        0500000000000000 "uid 7" {state} 01 {EVENING} {EVENING}"#
    )
}

fn why(variant: &str) -> String {
    format!(r#"{variant} 0300000000000000 "why" {EVENING}"#)
}

fn session() -> SessionRef {
    "7k3vq2mx".parse().unwrap()
}

fn login_id() -> LoginId {
    LoginId::from_random(std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

fn pin_request(request: Request, kind: u16, golden: &str) {
    let encoded = request.encode().unwrap();
    assert_eq!((encoded.0, hex(&encoded.1)), (kind, hex(&bytes(golden))));
    assert_eq!(Request::decode(kind, &bytes(golden)), Ok(request));
}

fn pin_reply(reply: Reply, kind: u16, golden: &str) {
    let encoded = reply.encode().unwrap();
    assert_eq!((encoded.0, hex(&encoded.1)), (kind, hex(&bytes(golden))));
    assert_eq!(Reply::decode(kind, &bytes(golden)), Ok(reply));
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// The bytes that the notation of this file stands for.
fn bytes(golden: &str) -> Vec<u8> {
    let mut parts = golden.split('"').enumerate();
    parts
        .try_fold(Vec::new(), |mut all, (index, part)| {
            if index % 2 == 1 {
                all.extend_from_slice(part.as_bytes());
            } else {
                let digits: String = part.split_whitespace().collect();
                all.extend(data_encoding::HEXLOWER.decode(digits.as_bytes())?);
            }
            Ok::<_, data_encoding::DecodeError>(all)
        })
        .unwrap()
}

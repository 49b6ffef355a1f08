//! Requests.

use tokenkeeper_protocol::request::{
    DeviceBegin, DeviceWait, Explain, ExplainOn, HistoryRequest, Holder, KeysRecover, LoginBegin, LoginComplete,
    MoveOut, Selector, SessionsRequest, StoreVerify, Subject, TokenFor, TokenRequest,
};
use tokenkeeper_protocol::{Request, Secret};

use crate::notation::{login_id, pin_request, session};

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
fn requests_for_a_token_that_is_good_for_something_are_these_bytes() {
    let request = |of| TokenFor {
        of,
        min_valid_seconds: Some(60),
        timeout_ms: None,
        scope: Some("a b".to_owned()),
        resource: Some("https://r".to_owned()),
    };
    let rest = r#"01 3c000000 00 01 0300000000000000 "a b" 01 0900000000000000 "https://r""#;
    let account = Holder::Account("nightly".parse().unwrap());
    let golden = format!(r#"01000000 0700000000000000 "nightly" {rest}"#);
    pin_request(Request::TokenFor(request(account)), 0x0008, &golden);
    let session = Holder::Session(Selector::Session(session()));
    let golden = format!(r#"00000000 00000000 "7k3vq2mx" {rest}"#);
    pin_request(Request::TokenFor(request(session)), 0x0008, &golden);
}

#[test]
fn the_requests_of_a_device_flow_are_these_bytes() {
    let begin = DeviceBegin {
        provider: "corp".parse().unwrap(),
        scopes: vec!["openid".to_owned()],
        device: Some("tv".to_owned()),
        acr_values: vec![],
        replaces: None,
    };
    let golden = r#"0400000000000000 "corp" 0100000000000000 0600000000000000 "openid"
        01 0200000000000000 "tv" 0000000000000000 00"#;
    pin_request(Request::DeviceBegin(begin), 0x0009, golden);
    let wait = DeviceWait { login_id: login_id(), timeout_ms: Some(5000) };
    pin_request(Request::DeviceWait(wait), 0x000a, "000102030405060708090a0b0c0d0e0f 01 88130000");
}

#[test]
fn requests_of_those_who_look_after_the_daemon_are_these_bytes() {
    let history = HistoryRequest { session: session(), cursor: Some(7) };
    pin_request(Request::History(history), 0x000b, r#""7k3vq2mx" 01 0700000000000000"#);
    pin_request(Request::WhoAmI, 0x000c, "");
    pin_request(Request::Providers, 0x000e, "");
    pin_request(Request::ProviderTest("corp".parse().unwrap()), 0x000f, r#"0400000000000000 "corp""#);
    pin_request(Request::Metrics, 0x0010, "");
    pin_request(Request::KeysShow, 0x0011, "");
    pin_request(Request::KeysRotate, 0x0012, "");
    let recover = KeysRecover { identity: Secret::from("AGE") };
    pin_request(Request::KeysRecover(recover), 0x0013, r#"0300000000000000 "AGE""#);
    pin_request(Request::StoreStats, 0x0014, "");
    pin_request(Request::StoreVerify(StoreVerify { cursor: None }), 0x0015, "00");
    let verify = StoreVerify { cursor: Some("due:00".to_owned()) };
    pin_request(Request::StoreVerify(verify), 0x0015, r#"01 0600000000000000 "due:00""#);
    pin_request(Request::StoreBackup, 0x0016, "");
    pin_request(Request::AcceptRollback, 0x0017, "");
    pin_request(Request::StoreMoveOut(MoveOut::Begin), 0x0018, "00000000");
    let confirm = MoveOut::Confirm { generation: 7 };
    pin_request(Request::StoreMoveOut(confirm), 0x0018, "01000000 0700000000000000");
    pin_request(Request::StoreMoveOut(MoveOut::Cancel), 0x0018, "02000000");
}

#[test]
fn questions_why_something_is_allowed_are_these_bytes() {
    let explain = |subject, on| Request::Explain(Explain { subject, action: "token".to_owned(), on });
    let token = r#"0500000000000000 "token""#;
    pin_request(explain(None, ExplainOn::Daemon), 0x000d, &format!("00 {token} 00000000"));
    let golden = format!(r#"00 {token} 01000000 0400000000000000 "corp""#);
    pin_request(explain(None, ExplainOn::Provider("corp".parse().unwrap())), 0x000d, &golden);
    pin_request(explain(None, ExplainOn::Session(session())), 0x000d, &format!(r#"00 {token} 02000000 "7k3vq2mx""#));
    let subject = Subject { uid: Some(7), gids: vec![8, 9], unit: Some("a.service".to_owned()) };
    let golden = format!(
        r#"01 01 07000000 0200000000000000 08000000 09000000 01 0900000000000000 "a.service"
        {token} 03000000 0700000000000000 "nightly""#
    );
    pin_request(explain(Some(subject), ExplainOn::Account("nightly".parse().unwrap())), 0x000d, &golden);
}

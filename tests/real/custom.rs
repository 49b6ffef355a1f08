//! A provider that is spoken to as the configuration describes it: the API of Amazon Cognito, as npm `cognito-local` has it.
//!
//! The login is that of a browser; refresh, sign-out and user info go over the AWS JSON API, which follows no standard.

use serde_json::json;
use tokenkeeper_protocol::reply::LoggedIn;
use tokenkeeper_protocol::{Code, Reply};

use crate::support::cognito::{Cognito, USER};
use crate::support::config::{EVERYTHING, me};
use crate::support::wire::{Wire, access_token, complete};
use crate::support::{Config, Daemon, Home};

/// Access tokens live for an hour, so this asks for a new one as soon as a second has passed.
const NEARLY_ALL: Option<u32> = Some(3599);

fn config(cognito: &Cognito) -> Config {
    Config::empty().rule(&me(), EVERYTHING, "corp", "own").more(&cognito.described(
        "corp",
        &cognito.url,
        ", expires_in = \"/expires_in\"",
    ))
}

fn log_in(home: &Home, cognito: &Cognito) -> LoggedIn {
    let mut wire = Wire::connect(&home.socket());
    let (id, url) = wire.begin();
    match wire.ask(&complete(id, &cognito.log_in(&url))) {
        Reply::LoggedIn(logged_in) => logged_in,
        other => panic!("no login: {other:?}"),
    }
}

#[test]
fn a_user_of_cognito_logs_in_is_refreshed_and_logs_out() {
    let cognito = Cognito::start();
    let home = Home::new(&config(&cognito));
    let _daemon = Daemon::start(&home);

    let logged_in = log_in(&home, &cognito);
    assert_eq!(logged_in.user.name.as_str(), USER, "from the API, which is asked for what the ID token does not tell");
    assert_eq!(logged_in.user.issuer, format!("{}/{}", cognito.url, cognito.pool));
    let first = access_token(home.token_reply(None));
    let user = cognito.call("GetUser", &json!({ "AccessToken": first }));
    assert_eq!(user["Username"], logged_in.user.subject.as_str());

    for _ in 0..2 {
        let before = access_token(home.token_reply(None));
        home.age_token();
        let after = access_token(home.token_reply(NEARLY_ALL));
        assert_ne!(after, before, "the same refresh token serves again");
    }
    let session = logged_in.session.to_string();
    let said = home.cli(["--json", "logout", &session]).json();
    assert_eq!(said["sessions"][0]["revoked"], "done");
    assert!(matches!(home.token_reply(None), Reply::Problem(_)));
}

#[test]
fn a_user_whom_cognito_does_not_know_any_more_must_log_in_again() {
    let cognito = Cognito::start();
    let home = Home::new(&config(&cognito));
    let _daemon = Daemon::start(&home);
    log_in(&home, &cognito);
    home.age_token();
    cognito.delete_user();
    let Reply::Problem(problem) = home.token_reply(NEARLY_ALL) else { panic!("a token") };
    assert_eq!(problem.code, Code::LoginRequired);
    assert!(problem.message.contains("NotAuthorizedException (User not authorized)"), "{}", problem.message);
}

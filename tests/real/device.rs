//! Logins with a code, at a provider that nobody here wrote.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::support::browser::Browser;
use crate::support::{CliResult, Config, Daemon, Home, RealProvider};

/// `tokenkeeper login corp --code`, and the address it shows, with the code in it.
fn log_in(home: &Home) -> (Child, String) {
    let mut command = home.cli_command();
    command.args(["--json", "login", "corp", "--code"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    (child, shown["verification_uri_complete"].as_str().unwrap().to_owned())
}

fn finish(child: Child) -> CliResult {
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_code_that_was_typed_in_a_browser_elsewhere_opens_a_session_that_is_refreshed() {
    let provider = RealProvider::start(10, &["--rotate"]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let (login, url) = log_in(&home);
    let page = Browser::default().log_in(&url, "alice");
    assert_eq!(page.status, 200, "{page:?}");
    let session = finish(login).json()["session"].as_str().unwrap().to_owned();
    assert_eq!(provider.userinfo(&home.token()).unwrap()["sub"], "alice");
    home.syslog.wait_for(&["refresh_done", &session]);
    assert_eq!(provider.userinfo(&home.token()).unwrap()["sub"], "alice");
}

#[test]
fn a_user_who_refuses_in_a_browser_elsewhere_opens_no_session() {
    let provider = RealProvider::start(60, &[]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let (login, url) = log_in(&home);
    let mut browser = Browser::default();
    browser.refuse = true;
    browser.log_in(&url, "alice");
    let why = finish(login).fails_with(6);
    assert!(why.contains("access_denied"), "{why}");
    assert_eq!(home.sessions().len(), 0);
}

//! Logins with a code that somebody types on another device: the provider is asked in good and in bad order.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use tokenkeeper_protocol::{Code, Problem, Reply, Request};

use crate::support::canary::assert_none_leaked;
use crate::support::deadline::Stopwatch;
use crate::support::wire::{begin_device, wait_for_device};
use crate::support::{CliResult, Config, Daemon, Fault, Home, ScriptedProvider, Wire};

/// What the token endpoint is asked for.
const CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How long the provider's codes are good, where that does not matter.
const LIFE: u64 = 600;

fn setting() -> (ScriptedProvider, Home) {
    let provider = ScriptedProvider::start();
    provider.with_codes(LIFE);
    let home = Home::new(&Config::corp(&provider.issuer));
    (provider, home)
}

/// `tokenkeeper login corp --code`, once it has shown the code.
fn log_in(home: &Home, arguments: &[&str]) -> (Child, serde_json::Value) {
    let mut command = home.cli_command();
    command.args(["--json", "login", "corp", "--code"]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let shown = serde_json::from_str(&line).unwrap_or_else(|error| panic!("not what was expected ({error}): {line}"));
    (child, shown)
}

fn finish(child: Child) -> CliResult {
    child.wait_with_output().unwrap().into()
}

fn failure(reply: Reply) -> Problem {
    match reply {
        Reply::Problem(problem) => problem,
        other => panic!("a problem was expected, not {other:?}"),
    }
}

#[test]
fn a_code_that_was_typed_elsewhere_opens_a_session_whose_token_the_provider_accepts() {
    let (provider, home) = setting();
    let _daemon = Daemon::start(&home);
    let (login, shown) = log_in(&home, &["--device", "laptop"]);
    assert_eq!(shown["user_code"], "WDJB-MJHT");
    assert_eq!(shown["verification_uri"], format!("{}/device/page", provider.issuer));
    provider.wait_for(CODE, 2);
    provider.type_codes("alice");
    let answer = finish(login).json();

    assert_eq!(answer["user"]["name"], "alice");
    assert!(provider.accepts(&home.token()));
    assert_eq!(home.sessions()[0]["device"], "laptop");
    home.syslog.wait_for(&["login_begun", "corp"]);
    home.syslog.wait_for(&["login_completed", answer["session"].as_str().unwrap(), "alice"]);
    let [asked] = &provider.requests("/device")[..] else { panic!("one request was expected") };
    assert_eq!(asked.parameter("scope").as_deref(), Some("openid profile email offline_access"));
    assert_eq!(asked.parameter("code_challenge"), None);
    assert_eq!(provider.count("/authorize"), 0);
    assert_none_leaked(&home, &provider.secrets());
}

#[test]
fn a_provider_that_stumbles_is_asked_again() {
    let (provider, home) = setting();
    provider.fault(CODE, Fault::Answer(503, "<h1>Service Unavailable</h1>".to_owned()));
    provider.fault(CODE, Fault::DropBefore);
    let _daemon = Daemon::start(&home);
    let (login, _) = log_in(&home, &[]);
    provider.type_codes("alice");
    finish(login).ok();
    assert_eq!(provider.count(CODE), 3);
    assert!(provider.accepts(&home.token()));
}

#[test]
fn a_provider_that_wants_to_be_asked_less_often_is() {
    let (provider, home) = setting();
    provider.fault(CODE, Fault::Answer(400, r#"{"error":"slow_down"}"#.to_owned()));
    let _daemon = Daemon::start(&home);
    let begun = Wire::connect(&home.socket()).begin_device();
    provider.wait_for(CODE, 1);
    let watch = Stopwatch::start();
    provider.type_codes("alice");
    assert!(matches!(Wire::connect(&home.socket()).ask(&wait_for_device(begun.login_id)), Reply::LoggedIn(_)));
    assert!(watch.elapsed() > Duration::from_secs(5), "one second and five more, not {:?}", watch.elapsed());
}

#[test]
fn a_user_who_says_no_fails_the_login_for_everybody_who_waits_and_later_too() {
    let (provider, home) = setting();
    let _daemon = Daemon::start(&home);
    let (login, _) = log_in(&home, &[]);
    provider.refuse_codes();
    let why = finish(login).fails_with(6);
    assert!(why.contains("whoever typed the code at the provider said no: access_denied"), "{why}");
    home.syslog.wait_for(&["login_failed", "access_denied"]);

    let begun = Wire::connect(&home.socket()).begin_device();
    provider.refuse_codes();
    let wait = wait_for_device(begun.login_id);
    for _ in 0..2 {
        let problem = failure(Wire::connect(&home.socket()).ask(&wait));
        assert_eq!(problem.code, Code::LoginFailed, "{problem}");
    }
    assert_eq!(home.sessions().len(), 0);
}

#[test]
fn a_code_that_nobody_types_in_time_is_given_up() {
    let (provider, home) = setting();
    provider.with_codes(2);
    let _daemon = Daemon::start(&home);
    let (login, _) = log_in(&home, &[]);
    let why = finish(login).fails_with(6);
    assert!(why.contains("nobody logged in with the code before it expired"), "{why}");
    home.syslog.wait_for(&["login_failed", "before it expired"]);
}

#[test]
fn a_restart_in_the_middle_goes_on_asking_and_so_does_who_waits() {
    let (provider, home) = setting();
    let daemon = Daemon::start(&home);
    let (login, _) = log_in(&home, &[]);
    provider.wait_for(CODE, 1);
    daemon.kill();
    let daemon = Daemon::start(&home);
    let asked = provider.count(CODE);
    provider.wait_for(CODE, asked + 1);
    assert!(daemon.stop().success());
    provider.type_codes("alice");
    let _daemon = Daemon::start(&home);
    let session = finish(login).json()["session"].clone();
    assert_eq!(home.sessions()[0]["session"], session);
    assert!(provider.accepts(&home.token()));
}

#[test]
fn a_stop_does_not_wait_for_users_who_may_come_later() {
    let (_provider, home) = setting();
    let daemon = Daemon::start(&home);
    let begun = Wire::connect(&home.socket()).begin_device();
    let mut waiting = Wire::connect(&home.socket());
    waiting.send(&wait_for_device(begun.login_id));
    // What is answered behind it shows that it was taken.
    waiting.send(&Request::Status);
    assert!(matches!(waiting.receive().1, Reply::Status(_)));
    let watch = Stopwatch::start();
    assert!(daemon.stop().success());
    assert!(watch.elapsed() < Duration::from_secs(10), "{:?}", watch.elapsed());
    let problem = failure(waiting.receive().1);
    assert_eq!(problem.code, Code::TryLater, "{problem}");
}

#[test]
fn a_login_goes_on_without_who_began_it() {
    let (provider, home) = setting();
    let _daemon = Daemon::start(&home);
    let (mut login, _) = log_in(&home, &[]);
    login.kill().unwrap();
    login.wait().unwrap();
    provider.type_codes("alice");
    home.syslog.wait_for(&["login_completed", "alice"]);
    assert!(provider.accepts(&home.token()));
}

#[test]
fn all_who_wait_are_told_the_same_and_those_who_ask_again_too() {
    let (provider, home) = setting();
    let _daemon = Daemon::start(&home);
    let begun = Wire::connect(&home.socket()).begin_device();
    let wait = wait_for_device(begun.login_id);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..3).map(|_| scope.spawn(|| Wire::connect(&home.socket()).ask(&wait))).collect();
        provider.wait_for(CODE, 1);
        provider.type_codes("alice");
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(matches!(replies[0], Reply::LoggedIn(_)), "{:?}", replies[0]);
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert_eq!(Wire::connect(&home.socket()).ask(&wait), replies[0]);
    assert_eq!(home.sessions().len(), 1);
}

#[test]
fn a_session_that_is_renewed_with_a_code_keeps_its_reference() {
    let (provider, home) = setting();
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let (login, _) = log_in(&home, &["--replaces", &session]);
    provider.type_codes("alice");
    assert_eq!(finish(login).json()["session"], *session);
    let (login, _) = log_in(&home, &["--replaces", &session]);
    provider.type_codes("bob");
    let why = finish(login).fails_with(6);
    assert!(why.contains("belongs to another user"), "{why}");
    assert_eq!(home.sessions().len(), 1);
}

#[test]
fn a_rule_that_was_taken_away_meanwhile_opens_no_session_and_the_tokens_are_revoked() {
    let (provider, home) = setting();
    let daemon = Daemon::start(&home);
    Wire::connect(&home.socket()).begin_device();
    home.configure(&Config::corp(&provider.issuer).without_rules());
    daemon.reload();
    provider.type_codes("alice");
    home.syslog.wait_for(&["login_failed", "no rule lets"]);
    provider.wait_for("/revoke", 2);
}

#[test]
fn without_a_rule_for_it_nobody_begins_a_login_with_a_code() {
    let (provider, home) = setting();
    home.configure(&Config::corp(&provider.issuer).without_rules());
    let _daemon = Daemon::start(&home);
    let problem = Wire::connect(&home.socket()).problem(&begin_device(None));
    assert_eq!(problem.code, Code::Denied, "{problem}");
    assert_eq!(provider.count("/device"), 0);
}

#[test]
fn where_the_provider_has_no_such_login_it_is_said_and_another_way_is_taken_unless_it_was_asked_for() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let why = home.cli(["login", "corp", "--code"]).fails_with(70);
    assert!(why.contains("corp offers no login with a code (RFC 8628)"), "{why}");

    let mut command = home.cli_command();
    let mut child = command.args(["login", "corp"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = said.next().unwrap();
    assert!(first.starts_with("No login with a code: corp offers no login"), "{first}");
    assert!(said.any(|line| line.contains("http://127.0.0.1:")), "the address to open on this machine");
    child.kill().unwrap();
    child.wait().unwrap();
}

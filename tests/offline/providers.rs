//! `tokenkeeper provider` as an administrator uses it before the first login: what works, what does not, and what to do.

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use crate::support::config::{CLIENT_SECRET, me};
use crate::support::{CliResult, Config, Daemon, Fault, Home, Lie, ScriptedProvider};

/// The steps by name: how they went, and what was said.
fn steps(report: &Value) -> Vec<(String, String, String)> {
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|step| (text(step, "name"), text(step, "outcome"), text(step, "detail"))).collect()
}

/// Tests `corp` with a daemon of its own, which has not tested before.
fn test(provider: &ScriptedProvider) -> (i32, Value) {
    test_with(&Config::corp(&provider.issuer))
}

fn test_with(config: &Config) -> (i32, Value) {
    let home = Home::new(config);
    let _daemon = Daemon::start(&home);
    let done = home.cli(["--json", "provider", "test", "corp"]);
    let report = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
    let logs = format!("{}{}", done.stdout, home.stderr());
    assert!(!logs.contains(CLIENT_SECRET), "{logs}");
    (done.status, report)
}

/// What the step that failed says; it is the last one, or the only one that failed.
#[track_caller]
fn failure((status, report): &(i32, Value), name: &str) -> String {
    assert_eq!((*status, &report["works"]), (1, &Value::Bool(false)), "{report:#}");
    let failed: Vec<_> = steps(report).into_iter().filter(|(_, outcome, _)| outcome == "failed").collect();
    assert_eq!(failed.len(), 1, "{report:#}");
    assert_eq!(failed[0].0, name, "{report:#}");
    failed[0].2.clone()
}

#[test]
fn a_healthy_provider_works_and_the_test_leaves_no_trace() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    let token = home.token();
    home.syslog.wait_for(&["token_handed_out"]);
    let (refreshes, audited) = (provider.count("refresh_token"), home.syslog.records().len());
    // Whatever else may be wrong on this machine.
    let health = || -> Value {
        let status: Value = serde_json::from_str(&home.cli(["--json", "status"]).stdout).unwrap();
        status["providers"].clone()
    };
    let before = health();

    let shown = home.cli(["provider", "test", "corp"]).ok();
    for step in ["configuration", "connection", "discovery", "endpoints", "features", "keys", "client"] {
        assert!(shown.lines().any(|line| line.contains(&format!("  {step}"))), "{step} is missing: {shown}");
    }
    assert!(!shown.contains("FAIL") && shown.contains("accepted by the token endpoint"), "{shown}");
    let posts = provider.requests("refresh_token");
    assert_eq!(posts.len(), refreshes + 1, "one POST");
    let sent = posts.last().unwrap().parameter("refresh_token").unwrap();
    assert!(!provider.secrets().contains(&sent), "and no real token in it");

    assert_eq!(home.token(), token);
    assert_eq!(health(), before, "a test is no sign of life");
    assert_eq!(home.syslog.records().len(), audited);
}

#[test]
fn from_a_wrong_secret_to_a_provider_that_works() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).with("client_secret = { file = \"corp\" }"));
    let secrets = home.path("config/secrets");
    let set = |secret: &str| {
        let mut command = home.cli_command();
        command.args(["provider", "set-secret", "corp", "--dir"]).arg(&secrets).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
        CliResult::from(child.wait_with_output().unwrap()).ok()
    };
    set("wrong-secret-Xw3kQz");
    let daemon = Daemon::start(&home);
    let test = home.cli(["provider", "test", "corp"]);
    assert_eq!(test.status, 1, "{test:?}");
    assert!(test.stdout.contains("invalid_client") && test.stdout.contains("set-secret corp"), "{test:?}");

    let said = set(&format!("{CLIENT_SECRET}\n"));
    assert!(said.contains("provider test corp") && !said.contains(CLIENT_SECRET), "{said}");
    daemon.reload();
    home.cli(["provider", "test", "corp"]).ok();
    home.login("alice");
    assert!(!home.stderr().contains("wrong-secret"), "{}", home.stderr());
}

#[test]
fn each_fault_ends_in_the_step_that_it_belongs_to() {
    let provider = ScriptedProvider::start();
    provider.lie(Lie::DiscoveryIssuer);
    let said = failure(&test(&provider), "discovery");
    assert!(said.contains("issuer = \"https://id.evil.example\""), "{said}");
    assert_eq!(provider.count("refresh_token"), 0, "the client does not show itself to somebody else");
    provider.tell_the_truth();

    provider.fault("/jwks", Fault::Answer(200, "{\"keys\":[]}".to_owned()));
    assert!(failure(&test(&provider), "keys").contains("RS256"));

    provider.fault("/.well-known/openid-configuration", Fault::Answer(404, "<h1>Not Found</h1>".to_owned()));
    assert!(failure(&test(&provider), "discovery").contains("HTTP 404"));

    provider.fault("refresh_token", Fault::Answer(503, "<h1>busy</h1>".to_owned()));
    assert!(failure(&test(&provider), "client").contains("try again later"));

    provider.go_down();
    assert!(failure(&test(&provider), "connection").contains("cannot connect"));
}

#[test]
fn a_clock_that_is_off_is_a_warning() {
    let provider = ScriptedProvider::start();
    provider.lie(Lie::Date(-1_000_000_000));
    let (status, report) = test(&provider);
    let clock = steps(&report).into_iter().find(|(name, ..)| name == "clock").unwrap();
    assert_eq!((status, clock.1.as_str()), (0, "warned"), "{report:#}");
    assert!(clock.2.contains("ahead of that of the provider") && clock.2.contains("timedatectl"), "{}", clock.2);
}

#[test]
fn an_authority_that_nobody_knows_is_told_with_what_to_configure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("https://{}", listener.local_addr().unwrap());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain =
        vec![CertificateDer::from_pem_slice(include_bytes!("../../src/provider/scripted/keys/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../src/provider/scripted/keys/rsa.pem")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client hangs up: that is the point.
            let _ = tls.complete_io(&mut stream);
        }
    });
    let said = failure(&test_with(&Config::corp(&issuer)), "connection");
    assert!(said.contains("an authority that this machine does not know") && said.contains("ca_file"), "{said}");
}

#[test]
fn providers_are_listed_and_shown_without_their_secrets() {
    let provider = ScriptedProvider::start();
    let config = Config::corp(&provider.issuer).provider("other", &provider.issuer);
    let home = Home::new(&config.rule(&me(), &["status"], "*", "own"));
    let _daemon = Daemon::start(&home);
    let listed = home.cli(["--json", "provider", "list"]).json();
    let names = listed["providers"].as_array().unwrap().iter().map(|it| it["provider"].as_str().unwrap());
    assert!(names.eq(["corp", "other"]), "{listed:#}");
    let shown = home.cli(["--json", "provider", "show", "corp"]).json();
    assert_eq!((&shown["client_id"], &shown["kind"]), (&"shop".into(), &"oidc".into()));
    assert!(!format!("{listed}{shown}").contains(CLIENT_SECRET));
    home.cli(["provider", "test", "crop"]).fails_with(4);
}

#[test]
fn the_proxies_of_the_environment_are_not_used() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start_command(&home, {
        let mut command = home.daemon_command();
        // Nobody is there: a request that went that way would fail.
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(name, "http://127.0.0.1:1");
        }
        command
    });
    home.login("alice");
    home.cli(["provider", "test", "corp"]).ok();
}

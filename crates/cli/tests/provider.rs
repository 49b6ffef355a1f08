//! `tokenkeeper provider`: what is shown, what is written, and what a shell is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use common::{AT, Daemon, Finished, session, tokenkeeper};
use tokenkeeper_protocol::reply::{
    ProviderReport, ProviderStatus, ProviderStep, ProviderView, ProvidersReply, SessionState, SessionsPage, StepOutcome,
};
use tokenkeeper_protocol::{Code, Problem, Reply, Request};

fn view(name: &str, failure: Option<&str>) -> ProviderView {
    let failure = failure.map(|what| (AT, what.to_owned()));
    ProviderView {
        status: ProviderStatus { provider: name.parse().unwrap(), last_success_at: Some(AT), failure },
        kind: "oidc".to_owned(),
        issuer: format!("https://{name}.example"),
        client_id: "shop".to_owned(),
        client_authentication: "basic".to_owned(),
        redirect_uris: vec!["https://shop.example/cb".to_owned(), "loopback".to_owned()],
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        max_age_seconds: 30 * 86_400,
        accounts: vec!["nightly".parse().unwrap()],
    }
}

fn daemon() -> Daemon {
    Daemon::answering(|request| match request {
        Request::Providers => Reply::Providers(ProvidersReply {
            providers: vec![view("corp", Some("HTTP 503\u{1b}")), view("github", None)],
        }),
        Request::Sessions(_) => {
            let sessions = vec![session(SessionState::Active)];
            Reply::Sessions(SessionsPage { sessions, next: None })
        }
        other => panic!("{other:?}"),
    })
}

fn report(outcomes: &[StepOutcome]) -> Daemon {
    let outcomes = outcomes.to_vec();
    Daemon::answering(move |request| {
        let Request::ProviderTest(provider) = request else { panic!("{request:?}") };
        let step = |(index, outcome): (usize, &StepOutcome)| ProviderStep {
            name: ["connection", "keys"][index].to_owned(),
            outcome: *outcome,
            detail: "it is so\u{202e}".to_owned(),
            milliseconds: u32::try_from(index * 43).unwrap(),
        };
        let works = !outcomes.contains(&StepOutcome::Failed);
        Reply::ProviderReport(ProviderReport {
            provider,
            works,
            steps: outcomes.iter().enumerate().map(step).collect(),
        })
    })
}

#[test]
fn providers_stand_in_a_table_with_how_they_are_doing() {
    let done = daemon().run("provider list");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines[0], "NAME    KIND  ISSUER                  STATE");
    assert!(lines[1].starts_with("corp    oidc  https://corp.example    DOWN "), "{}", lines[1]);
    assert!(lines[1].ends_with("HTTP 503\\u{1b}"), "{}", lines[1]);
    assert_eq!(lines[2], "github  oidc  https://github.example  ok, last answer 14 Nov");
}

#[test]
fn one_provider_is_shown_with_its_registration_and_no_secret() {
    let done = daemon().run("provider show github");
    let expected = "\
provider   github
state      ok, last answer 14 Nov
kind       oidc
issuer     https://github.example
client     shop, secret sent by basic
redirects  https://shop.example/cb loopback
scopes     openid email
sessions   end after 30d
accounts   nightly
";
    assert_eq!((done.status, done.stdout.as_str()), (0, expected));
    let done = daemon().run("provider show gitlab");
    assert_eq!((done.status, done.stdout.as_str()), (4, ""));
    assert!(done.stderr.contains("tokenkeeper provider list"), "{}", done.stderr);
}

#[test]
fn who_may_know_of_no_provider_is_told_so() {
    let daemon = Daemon::answering(|_| Reply::Providers(ProvidersReply { providers: vec![] }));
    let done = daemon.run("provider list");
    assert_eq!((done.status, done.stdout.as_str()), (0, ""));
    assert!(done.stderr.starts_with("No providers"), "{}", done.stderr);
    assert_eq!(daemon.run("provider list --json").stdout, "{\"providers\":[]}\n");
}

#[test]
fn a_test_lists_its_steps_and_ends_with_what_came_out() {
    use StepOutcome::{Failed, Passed, Warned};
    let done = report(&[Passed, Passed]).run("provider test corp");
    let expected = "ok  connection         it is so\\u{202e}\nok  keys        43 ms  it is so\\u{202e}\ncorp works.\n";
    assert_eq!((done.status, done.stdout.as_str()), (0, expected));
    let done = report(&[Passed, Warned]).run("provider test corp");
    assert!(done.status == 0 && done.stdout.ends_with("corp works, with 1 to look at.\n"), "{}", done.stdout);
    let done = report(&[Warned, Failed]).run("provider test corp");
    assert_eq!(done.status, 1);
    assert!(done.stdout.contains("FAIL  keys") && done.stdout.ends_with("corp does not work: 1 failed.\n"));
}

fn set_secret(dir: &Path, input: &str) -> Finished {
    let line = format!("provider set-secret corp --dir {}", dir.display());
    Daemon::answering(|_| panic!("it needs no daemon")).run_with(&line, input)
}

#[test]
fn a_secret_goes_from_standard_input_to_a_file_for_the_daemon_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("secrets");
    for (input, kept) in [("s3cr3t\n", "s3cr3t\n"), (" b: l%nk \r\n", " b: l%nk \n"), ("x", "x\n")] {
        let done = set_secret(&dir, input);
        assert_eq!(done.status, 0, "{}", done.stderr);
        assert_eq!(fs::read_to_string(dir.join("corp")).unwrap(), kept);
        assert_eq!(fs::metadata(dir.join("corp")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(
            done.stdout.contains("systemctl reload tokenkeeperd && sudo tokenkeeper provider test corp"),
            "{}",
            done.stdout
        );
        assert!(!format!("{}{}", done.stdout, done.stderr).contains(kept.trim()) || kept.len() < 3);
    }
}

#[test]
fn what_is_no_secret_is_refused_and_leaves_the_old_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("secrets");
    set_secret(&dir, "old\n");
    for input in ["", "\n", "two\nlines\n", "a\u{1b}b\n", &"x".repeat(16 * 1024 + 1)] {
        let done = set_secret(&dir, input);
        assert_eq!((done.status, done.stdout.as_str()), (65, ""), "{}", done.stderr);
        assert!(!done.stderr.contains("two"), "{}", done.stderr);
        assert_eq!(fs::read_to_string(dir.join("corp")).unwrap(), "old\n");
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn a_users_own_secret_goes_beside_their_configuration() {
    let home = tempfile::tempdir().unwrap();
    let mut command = tokenkeeper("provider set-secret corp --user");
    command.env("HOME", home.path()).env_remove("XDG_CONFIG_HOME");
    fs::write(home.path().join("input"), "s3cr3t").unwrap();
    let done = Finished::from(command.stdin(fs::File::open(home.path().join("input")).unwrap()).output().unwrap());
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert_eq!(fs::read_to_string(home.path().join(".config/tokenkeeper/secrets/corp")).unwrap(), "s3cr3t\n");
    assert!(done.stdout.contains("client_secret = { file = \"corp\" }"), "{}", done.stdout);
}

#[test]
fn a_name_that_is_no_provider_is_no_way_out_of_the_directory() {
    for name in ["../corp", "corp/x", ".corp", ""] {
        let done =
            Finished::from(tokenkeeper("provider set-secret").args([name, "--dir", "/nonexistent"]).output().unwrap());
        assert_eq!(done.status, 64, "{name}");
    }
}

/// What a completion script gets for the last of these words.
fn complete(command: &mut Command, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    command.env("TOKENKEEPER_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
    let done = Finished::from(command.arg("--").args(words).output().unwrap());
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    done.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_is_told_commands_and_live_names() {
    let daemon = daemon();
    let complete = |words: &[&str]| complete(&mut daemon.command(""), words);
    assert_eq!(complete(&["tokenkeeper", "prov"]), ["provider"]);
    assert_eq!(complete(&["tokenkeeper", "provider", "test", ""])[..2], ["corp", "github"]);
    assert_eq!(complete(&["tokenkeeper", "token", "gi"]), ["github"]);
    assert_eq!(complete(&["tokenkeeper", "logout", "7"]), ["7k3vq2mx"]);
    assert_eq!(complete(&["tokenkeeper", "token", "--session", ""]), ["7k3vq2mx"]);
}

#[test]
fn without_a_daemon_that_answers_a_shell_is_told_no_names_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    // It is there, and says nothing.
    let _listener = UnixListener::bind(dir.path().join("s")).unwrap();
    for socket in [dir.path().join("s"), "/nonexistent/s".into()] {
        let mut command = tokenkeeper("");
        assert!(complete(command.env("TOKENKEEPER_SOCKET", socket), &["tokenkeeper", "token", "c"]).is_empty());
    }
    let refusing = Daemon::answering(|_| Reply::Problem(Problem::new(Code::Denied, "no")));
    assert!(complete(&mut refusing.command(""), &["tokenkeeper", "logout", "7"]).is_empty());
}

#[test]
fn the_script_works_in_bash() {
    let daemon = daemon();
    let program = Path::new(env!("CARGO_BIN_EXE_tokenkeeper")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = "source <(tokenkeeper completions bash); COMP_WORDS=(tokenkeeper token co); COMP_CWORD=2; \
                  _clap_complete_tokenkeeper tokenkeeper co token; echo \"${COMPREPLY[*]}\"";
    let mut command = daemon.command("");
    let socket = command.get_envs().find(|(name, _)| *name == "TOKENKEEPER_SOCKET").unwrap().1.unwrap().to_owned();
    command = Command::new("bash");
    command.args(["--norc", "-c", script]).env("PATH", path).env("TOKENKEEPER_SOCKET", socket);
    let done = Finished::from(command.output().unwrap());
    assert_eq!((done.stdout.as_str(), done.status), ("corp\n", 0), "{}", done.stderr);
}

//! Faults of this machine, each brought about from nothing.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::runner::said;
use super::template::Known;
use crate::support::backend::Answered;
use crate::support::config::{EVERYTHING, me};
use crate::support::home::set_mode;
use crate::support::{Backend, CliResult, Config, Daemon, Home, ScriptedProvider};

/// Another user, who needs no entry in the user database.
pub(super) const STRANGER: u32 = 54_321;

/// What was noticed.
pub(super) struct Seen {
    pub(super) home: Home,
    pub(super) exit: i32,
    pub(super) said: String,
    pub(super) known: Known,
    /// The answer to the same over HTTP, if it can be asked for there.
    pub(super) over_http: Option<Answered>,
    /// Goes on for as long as its audit records are waited for.
    _daemon: Option<Daemon>,
}

impl Seen {
    fn of(result: &CliResult, home: Home, daemon: Option<Daemon>) -> Self {
        Self { exit: result.status, said: said(result), home, known: Known::new(), over_http: None, _daemon: daemon }
    }

    /// Asks the same over HTTP.
    fn also(mut self, path: &str, body: &Value) -> Self {
        self.over_http = Some(Backend::connect(&self.home.http_socket()).post(path, body));
        self
    }

    fn knowing(mut self, name: &'static str, value: String) -> Self {
        self.known.push((name, value));
        self
    }
}

/// A daemon with a provider that nothing is ever asked of.
fn served() -> (Home, Daemon) {
    let home = Home::new(&Config::corp("https://id.corp.example"));
    let daemon = Daemon::start(&home);
    (home, daemon)
}

fn asked(home: Home, daemon: Daemon, arguments: &[&str]) -> Seen {
    let result = home.cli(arguments);
    Seen::of(&result, home, Some(daemon))
}

/// A daemon that does not start.
fn started(home: Home) -> Seen {
    let command = home.daemon_command();
    run(home, command)
}

fn run(home: Home, command: Command) -> Seen {
    let result = CliResult::from(Daemon::run(command));
    Seen::of(&result, home, None)
}

pub(super) fn no_daemon() -> Seen {
    let home = Home::new(&Config::empty());
    let result = home.cli(["token", "corp"]);
    Seen::of(&result, home, None)
}

pub(super) fn killed_daemon() -> Seen {
    let home = Home::new(&Config::empty());
    Daemon::start(&home).kill();
    let result = home.cli(["token", "corp"]);
    Seen::of(&result, home, None)
}

pub(super) fn closed_socket() -> Seen {
    let (home, daemon) = served();
    set_mode(&home.socket(), 0o600);
    let result = home.cli_as(STRANGER, &["token", "corp"]);
    Seen::of(&result, home, Some(daemon))
}

pub(super) fn no_rule() -> Seen {
    let home = Home::new(&Config::corp("https://id.corp.example").without_rules());
    let daemon = Daemon::start(&home);
    asked(home, daemon, &["token", "corp"])
}

pub(super) fn unknown_provider() -> Seen {
    let (home, daemon) = served();
    asked(home, daemon, &["token", "crop"])
}

pub(super) fn no_session() -> Seen {
    let (home, daemon) = served();
    asked(home, daemon, &["token", "corp"])
}

pub(super) fn unknown_session() -> Seen {
    let (home, daemon) = served();
    asked(home, daemon, &["logout", "0000aaaa"]).also("/v1/sessions/0000aaaa/logout", &json!({}))
}

pub(super) fn several_sessions() -> Seen {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    home.login("alice");
    home.login("alice");
    asked(home, daemon, &["token", "corp"])
}

pub(super) fn too_long_a_life() -> Seen {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    asked(home, daemon, &["token", "corp", "--min-valid", "2h"])
        .also(&format!("/v1/sessions/{session}/token"), &json!({ "min_valid": "2h" }))
}

pub(super) fn too_old_a_session() -> Seen {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).with("max_age = \"1s\""));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.age_token();
    asked(home, daemon, &["token", "corp"])
        .also(&format!("/v1/sessions/{session}/token"), &json!({}))
        .knowing("session", session)
}

pub(super) fn removed_provider() -> Seen {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.configure(&Config::empty().rule(&me(), EVERYTHING, "*", "own"));
    daemon.reload();
    home.age_token();
    asked(home, daemon, &["token", "--session", &session, "--min-valid", "3599s"])
        .also(&format!("/v1/sessions/{session}/token"), &json!({ "min_valid": "3599s" }))
        .knowing("session", session)
}

pub(super) fn old_copy() -> Seen {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::empty());
    let anchor = format!("anchor_file = {:?}", home.path("run/anchor").display().to_string());
    home.configure(&Config::corp(&provider.issuer).daemon(&anchor));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    daemon.stop();
    let (state, copy) = (home.state_dir(), home.path("copy"));
    let replace = |from: &std::path::Path, to: &std::path::Path| {
        let _ = fs::remove_dir_all(to);
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    replace(&state, &copy);
    Daemon::start(&home).stop();
    replace(&copy, &state);
    let daemon = Daemon::start(&home);
    home.age_token();
    asked(home, daemon, &["token", "--session", &session, "--min-valid", "3599s"])
        .also(&format!("/v1/sessions/{session}/token"), &json!({ "min_valid": "3599s" }))
        .knowing("session", session)
}

/// A daemon where one may erase.
fn eraser() -> (Home, Daemon) {
    let home = Home::new(&Config::corp("https://id.corp.example").rule(&me(), &["erase"], "corp", "all"));
    let daemon = Daemon::start(&home);
    (home, daemon)
}

pub(super) fn nobody_to_erase() -> Seen {
    let (home, daemon) = eraser();
    asked(home, daemon, &["erase", "corp", "--user", "nobody", "--yes"])
}

pub(super) fn unconfirmed_erasure() -> Seen {
    let (home, daemon) = eraser();
    asked(home, daemon, &["erase", "corp", "--user", "nobody"])
}

pub(super) fn refused_reload() -> Seen {
    let (home, daemon) = served();
    home.configure(&Config::corp("https://id.corp.example").with("clientid = \"shop\""));
    daemon.reload();
    let result = home.cli(["status"]);
    let line = result.stdout.lines().find(|line| line.contains("REFUSED")).unwrap_or_default().trim().to_owned();
    Seen { said: line, ..Seen::of(&result, home, Some(daemon)) }
}

pub(super) fn unknown_key() -> Seen {
    started(Home::new(&Config::corp("https://id.corp.example").with("clientid = \"shop\"")))
}

pub(super) fn secret_missing() -> Seen {
    let home = Home::new(&Config::corp("https://id.corp.example"));
    fs::remove_file(home.path("config/secret")).unwrap();
    started(home)
}

pub(super) fn secret_open() -> Seen {
    let home = Home::new(&Config::corp("https://id.corp.example"));
    set_mode(&home.path("config/secret"), 0o644);
    started(home)
}

pub(super) fn secret_empty() -> Seen {
    let home = Home::new(&Config::corp("https://id.corp.example"));
    fs::write(home.path("config/secret"), "\n").unwrap();
    started(home)
}

pub(super) fn authority_missing() -> Seen {
    let config = Config::corp("https://id.corp.example").with("ca_file = \"/nonexistent/ca.pem\"");
    started(Home::new(&config))
}

pub(super) fn authority_malformed() -> Seen {
    let home = Home::new(&Config::empty());
    let path = home.path("config/ca.pem");
    fs::write(&path, "no certificate").unwrap();
    home.configure(
        &Config::corp("https://id.corp.example").with(&format!("ca_file = {:?}", path.display().to_string())),
    );
    started(home)
}

pub(super) fn state_open() -> Seen {
    let home = Home::new(&Config::empty());
    set_mode(&home.state_dir(), 0o755);
    started(home).knowing("uid", nix::unistd::Uid::effective().to_string())
}

pub(super) fn state_of_another() -> Seen {
    let home = Home::new(&Config::empty());
    std::os::unix::fs::chown(home.state_dir(), Some(STRANGER), None).expect("root can give files away");
    started(home)
}

/// The daemon, in a world of its own where this is mounted on its state directory.
fn on_a_mount(home: Home, options: &str) -> Seen {
    let daemon = home.daemon_command();
    let mut command = Command::new("unshare");
    let mount = format!("mount -t tmpfs -o {options} none \"$STATE\" && exec \"$@\"");
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("STATE", home.state_dir());
    command.args(["--mount", "sh", "-c", &mount, "sh"]).arg(daemon.get_program()).args(daemon.get_args());
    run(home, command)
}

pub(super) fn state_read_only() -> Seen {
    on_a_mount(Home::new(&Config::empty()), "ro,mode=0700")
}

pub(super) fn state_full() -> Seen {
    // Room for two directories and no file.
    on_a_mount(Home::new(&Config::empty()), "size=4k,nr_inodes=1,mode=0700")
}

pub(super) fn store_locked() -> Seen {
    let (home, daemon) = served();
    let result = CliResult::from(Daemon::run(home.daemon_command()));
    Seen::of(&result, home, Some(daemon))
}

pub(super) fn socket_in_use() -> Seen {
    let (home, daemon) = served();
    let other = Home::new(&Config::empty());
    let main = fs::read_to_string(other.config_file()).unwrap();
    let [ours, theirs] = [&other, &home].map(|home| home.socket().display().to_string());
    fs::write(other.config_file(), main.replace(&ours, &theirs)).unwrap();
    let result = CliResult::from(Daemon::run(other.daemon_command()));
    Seen::of(&result, home, Some(daemon))
}

pub(super) fn identity_missing() -> Seen {
    let home = Home::new(&Config::empty());
    Daemon::start(&home).stop();
    fs::remove_file(home.identity_file()).unwrap();
    let daemon = Daemon::start(&home);
    asked(home, daemon, &["token", "corp"])
}

pub(super) fn keyring_missing() -> Seen {
    let home = Home::new(&Config::empty());
    Daemon::start(&home).stop();
    fs::remove_file(home.state_dir().join("keyring.age")).unwrap();
    let daemon = Daemon::start(&home);
    asked(home, daemon, &["token", "corp"])
}

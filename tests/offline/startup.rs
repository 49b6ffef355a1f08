//! What keeps a daemon from starting, and what does not. The reason is one sentence, and nothing is lost.

use std::fs;

use crate::support::home::set_mode;
use crate::support::{CliResult, Config, Daemon, Home, ScriptedProvider};

const CONFIGURATION: i32 = 78;

fn start_fails(home: &Home) -> CliResult {
    let result = CliResult::from(Daemon::run(home.daemon_command()));
    assert_ne!(result.status, 0, "it started: {result:?}");
    assert!(!result.stderr.contains("panicked"), "{result:?}");
    result
}

fn check(home: &Home) -> CliResult {
    let mut command = home.daemon_command();
    command.arg("--check-config");
    Daemon::run(command).into()
}

#[test]
fn a_daemon_without_a_provider_is_ready_and_says_so() {
    let home = Home::new(&Config::empty().rule(&crate::support::config::me(), &["status"], "*", "own"));
    let daemon = Daemon::start(&home);
    assert!(daemon.notify.heard().iter().any(|line| line.starts_with("STATUS=") && line.contains("no provider")));
    home.cli(["status"]).ok();
    home.syslog.wait_for(&["daemon_started"]);
}

#[test]
fn the_first_start_makes_an_identity_that_only_the_daemon_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new(&Config::empty());
    let _daemon = Daemon::start(&home);
    let mode = fs::metadata(home.identity_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    assert!(fs::read_to_string(home.identity_file()).unwrap().contains("AGE-SECRET-KEY-1"));
    let mode = fs::metadata(home.state_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the state directory is open to others: {mode:o}");
}

#[test]
fn a_state_directory_that_lets_others_in_is_refused_with_the_command_that_helps() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new(&Config::empty());
    for mode in [0o755, 0o770, 0o701] {
        fs::set_permissions(home.state_dir(), fs::Permissions::from_mode(mode)).unwrap();
        let started = start_fails(&home);
        assert_eq!(started.status, CONFIGURATION, "{started:?}");
        assert!(started.stderr.contains(&format!("chmod 700 {}", home.state_dir().display())), "{started:?}");
        assert!(!home.identity_file().exists(), "nothing is put where others can get at it");
    }
}

#[test]
fn all_errors_of_the_configuration_are_told_at_once_with_their_places() {
    let home = Home::new(
        &Config::corp("http://id.corp.example")
            .with("clientid = \"shop\"")
            .with("max_age = \"soon\"")
            .more("[[allow]]\nwho = \"user:root\"\nmay = [\"tokn\"]\nprovider = \"crop\"\n"),
    );
    let checked = check(&home);
    assert_eq!(checked.status, CONFIGURATION, "{checked:?}");
    for part in [
        "corp.toml:",
        "unknown key \"clientid\"; did you mean \"client_id\"?",
        "max_age",
        "did you mean \"token\"?",
        "crop",
        "https",
    ] {
        assert!(checked.stderr.contains(part), "{part:?} is missing from {}", checked.stderr);
    }
    let started = start_fails(&home);
    assert_eq!(started.status, CONFIGURATION);
    assert!(started.stderr.contains("clientid"), "{started:?}");
    assert!(!home.identity_file().exists(), "nothing is made before the configuration is right");
}

#[test]
fn a_configuration_that_is_right_passes_the_check_without_a_daemon() {
    let home = Home::new(&Config::corp("https://id.corp.example"));
    let checked = check(&home);
    assert_eq!(checked.status, 0, "{checked:?}");
    assert!(!home.identity_file().exists());
    assert!(fs::read_dir(home.state_dir()).unwrap().next().is_none(), "a check leaves nothing behind");
}

#[test]
fn a_configuration_file_that_is_named_and_missing_is_an_error() {
    let home = Home::new(&Config::empty());
    fs::remove_file(home.config_file()).unwrap();
    let failed = start_fails(&home);
    assert_eq!(failed.status, CONFIGURATION);
    assert!(failed.stderr.contains("tokenkeeper.toml"), "{failed:?}");
}

#[test]
fn a_secret_that_others_can_read_is_refused_without_showing_it() {
    let home = Home::new(&Config::corp("https://id.corp.example"));
    set_mode(&home.path("config/secret"), 0o644);
    let failed = start_fails(&home);
    assert_eq!(failed.status, CONFIGURATION);
    assert!(failed.stderr.contains("config/secret") && failed.stderr.contains("chmod"), "{failed:?}");
    assert!(!failed.stderr.contains(crate::support::config::CLIENT_SECRET));
}

#[test]
fn a_second_daemon_on_the_same_store_gives_up_and_the_first_goes_on() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");

    let failed = start_fails(&home);
    let told = ["another", "already", "in use", "locked"].iter().any(|word| failed.stderr.contains(word));
    assert!(told, "{failed:?}");
    assert!(provider.accepts(&home.token()), "the first one still has its socket and its store");
}

#[test]
fn a_store_without_its_identity_is_not_replaced_by_an_empty_one() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    home.login("alice");
    let token = home.token();
    daemon.stop();
    let identity = fs::read(home.identity_file()).unwrap();
    fs::remove_file(home.identity_file()).unwrap();

    let locked = Daemon::start(&home);
    let why = home.cli(["status"]).stdout;
    assert!(why.contains(&home.identity_file().display().to_string()), "{why}");
    assert!(!home.identity_file().exists(), "a new identity would make the store unreadable for ever");
    locked.stop();

    fs::write(home.identity_file(), identity).unwrap();
    set_mode(&home.identity_file(), 0o400);
    let _daemon = Daemon::start(&home);
    assert_eq!(home.token(), token, "nothing was lost");
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    Daemon::start(&home).stop();
    let store = home.state_dir().join("store");
    let set_schema = |schema: u32| {
        let options = rocksdb::Options::default();
        let families = rocksdb::DB::list_cf(&options, &store).unwrap();
        let database = rocksdb::DB::open_cf(&options, &store, families).unwrap();
        database.put(b"schema", schema.to_le_bytes()).unwrap();
    };
    let schema = || {
        let options = rocksdb::Options::default();
        let families = rocksdb::DB::list_cf(&options, &store).unwrap();
        let database = rocksdb::DB::open_cf_for_read_only(&options, &store, families, false).unwrap();
        u32::from_le_bytes(database.get(b"schema").unwrap().unwrap().try_into().unwrap())
    };
    let written = schema();
    set_schema(999);

    let failed = start_fails(&home);
    assert_eq!(failed.status, CONFIGURATION);
    assert!(failed.stderr.contains("schema 999") && failed.stderr.contains("restore a backup"), "{failed:?}");

    set_schema(written);
    let _daemon = Daemon::start(&home);
    home.login("alice");
}

#[test]
fn a_store_does_not_open_with_the_identity_of_another() {
    let provider = ScriptedProvider::start();
    let (home, other) = (Home::new(&Config::corp(&provider.issuer)), Home::new(&Config::empty()));
    let daemon = Daemon::start(&home);
    home.login("alice");
    let token = home.token();
    daemon.stop();
    Daemon::start(&other).stop();
    let identity = fs::read(home.identity_file()).unwrap();
    let swap = |bytes: &[u8]| {
        set_mode(&home.identity_file(), 0o600);
        fs::write(home.identity_file(), bytes).unwrap();
        set_mode(&home.identity_file(), 0o400);
    };

    let complaint = || {
        let locked = Daemon::start(&home);
        let why = home.cli(["status"]).stdout;
        locked.stop();
        why
    };
    swap(&fs::read(other.identity_file()).unwrap());
    assert!(complaint().contains("does not open with this identity"));
    swap(b"not an identity at all\n");
    assert!(complaint().contains(&home.identity_file().display().to_string()));

    swap(&identity);
    let _daemon = Daemon::start(&home);
    assert_eq!(home.token(), token, "nothing was lost");
}

#[test]
fn an_identity_that_others_can_read_is_refused() {
    let home = Home::new(&Config::empty());
    Daemon::start(&home).stop();
    set_mode(&home.identity_file(), 0o444);
    let locked = Daemon::start(&home);
    let status = home.stderr();
    assert!(status.contains(&format!("chmod 0400 {}", home.identity_file().display())), "{status}");
    set_mode(&home.identity_file(), 0o400);
    locked.reload();
    assert!(
        locked.notify.heard().iter().any(|line| line.starts_with("STATUS=no provider")),
        "mended without a restart"
    );
}

#[test]
fn an_identity_from_a_systemd_credential_is_used() {
    let home = Home::new(&Config::empty());
    Daemon::start(&home).stop();
    let credentials = home.path("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::rename(home.identity_file(), credentials.join("tokenkeeper.identity")).unwrap();
    let mut command = home.daemon_command();
    command.env("CREDENTIALS_DIRECTORY", &credentials);
    let _daemon = Daemon::start_command(&home, command);
    assert!(!home.identity_file().exists());
}

#[test]
fn a_wrong_argument_is_a_matter_of_usage() {
    let home = Home::new(&Config::empty());
    let mut command = home.daemon_command();
    command.arg("--chek-config");
    let failed = CliResult::from(Daemon::run(command));
    assert_eq!(failed.status, 64, "{failed:?}");
}

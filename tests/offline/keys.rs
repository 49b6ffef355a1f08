//! The keys of the store, from outside: rotating them under load and over a kill, and getting them back when the identity is lost.

use std::fs;
use std::path::PathBuf;

use age::secrecy::ExposeSecret as _;

use crate::support::home::set_mode;
use crate::support::{Config, Daemon, Home, ScriptedProvider};

/// As many requests as a rotation under load has to get past.
const SESSIONS: usize = 12;

struct Host {
    provider: ScriptedProvider,
    home: Home,
    recovery: age::x25519::Identity,
}

impl Host {
    /// A person's own daemon, who may do everything, with a recovery recipient.
    fn new(schedule: &str) -> Self {
        let provider = ScriptedProvider::start();
        let mut config = Config::empty().provider("corp", &provider.issuer);
        config.schedule.push(schedule.to_owned());
        let (home, recovery) = (Home::new(&config), age::x25519::Identity::generate());
        let main = fs::read_to_string(home.config_file()).unwrap();
        let line = format!("[daemon]\nrecovery_recipients = [\"{}\"]\n", recovery.to_public());
        fs::write(home.config_file(), main.replacen("[daemon]\n", &line, 1)).unwrap();
        fs::write(home.path("recovery"), recovery.to_string().expose_secret()).unwrap();
        Self { provider, home, recovery }
    }

    fn start(&self) -> Daemon {
        let mut command = self.home.daemon_command();
        command.arg("--user").env("HOME", self.home.path("")).env("XDG_RUNTIME_DIR", self.home.path("run"));
        Daemon::start_command(&self.home, command)
    }

    fn keyring(&self) -> PathBuf {
        self.home.state_dir().join("keyring.age")
    }

    fn keys(&self) -> serde_json::Value {
        self.home.cli(["--json", "keys", "show"]).json()
    }

    /// Waits until no rotation is under way; gives the epoch.
    fn rotated(&self) -> u64 {
        let deadline = crate::support::deadline::Deadline::patient();
        loop {
            let keys = self.keys();
            if keys["rotation"].is_null() {
                return keys["epoch"].as_u64().unwrap();
            }
            assert!(deadline.left().is_some(), "the rotation does not end: {keys}");
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }

    fn recover(&self, file: &str) -> crate::support::CliResult {
        self.home.cli(["keys", "recover", "--identity-file", &self.home.path(file).display().to_string()])
    }

    /// Every epoch that a record in a copy of the store names.
    fn epochs(&self) -> Vec<u32> {
        let options = rocksdb::Options::default();
        let store = self.home.state_dir().join("store");
        let families = rocksdb::DB::list_cf(&options, &store).unwrap();
        let database = rocksdb::DB::open_cf_for_read_only(&options, &store, &families, false).unwrap();
        let mut epochs = Vec::new();
        for family in families {
            let family = database.cf_handle(&family).unwrap();
            for row in database.iterator_cf(family, rocksdb::IteratorMode::Start) {
                let (_, value) = row.unwrap();
                epochs.extend(value.get(8..).and_then(tokenkeeperd::seal::epoch_of));
            }
        }
        epochs.sort_unstable();
        epochs.dedup();
        epochs
    }
}

#[test]
fn keys_are_rotated_while_tokens_are_served_and_refreshed() {
    let host = Host::new("reseal_rate = 50");
    let daemon = host.start();
    let sessions: Vec<_> = (0..SESSIONS).map(|_| host.home.login("alice")).collect();
    let keys = host.keys();
    assert_eq!((&keys["epoch"], &keys["rotation"]), (&1.into(), &serde_json::Value::Null), "{keys}");
    assert_eq!(keys["recovery_recipients"][0], host.recovery.to_public().to_string());
    let before = fs::read(host.keyring()).unwrap();

    assert_eq!(host.home.cli(["--json", "keys", "rotate"]).json()["epoch"], 2);
    let busy = host.home.cli(["keys", "rotate"]).fails_with(75);
    assert!(busy.contains("under way"), "{busy}");
    for session in &sessions {
        let token = host.home.cli(["token", "--session", session, "--min-valid", "1"]).ok();
        assert!(host.provider.accepts(&token));
    }
    assert_eq!(host.rotated(), 2);
    host.home.syslog.wait_for(&["keys_rotating", "epoch=\"2\""]);
    host.home.syslog.wait_for(&["keys_rotated", "epoch=\"2\""]);
    daemon.stop();
    assert_eq!(host.epochs(), [2], "no record of the old epoch is left");

    // Whoever has the keyring of before has no key of these records.
    let after = fs::read(host.keyring()).unwrap();
    fs::write(host.keyring(), before).unwrap();
    let daemon = host.start();
    assert!(host.home.cli(["status"]).stdout.contains("the keys cannot be opened"));
    host.home.cli(["token", "--session", &sessions[0]]).fails_with(78);
    daemon.stop();
    fs::write(host.keyring(), after).unwrap();
    let _daemon = host.start();
    host.home.cli(["token", "--session", &sessions[0]]).ok();
}

#[test]
fn a_rotation_that_was_killed_goes_on_at_the_next_start() {
    let host = Host::new("reseal_rate = 5");
    let daemon = host.start();
    let session = host.home.login("alice");
    (1..SESSIONS).for_each(|_| drop(host.home.login("alice")));
    host.home.cli(["keys", "rotate"]).ok();
    assert!(!host.keys()["rotation"].is_null(), "it takes a while at this rate");
    daemon.kill();
    assert_eq!(host.epochs().len(), 2, "it was killed in the middle");

    let main = fs::read_to_string(host.home.config_file()).unwrap();
    fs::write(host.home.config_file(), main.replace("reseal_rate = 5", "reseal_rate = 5000")).unwrap();
    let daemon = host.start();
    assert_eq!(host.rotated(), 2);
    host.home.cli(["token", "--session", &session]).ok();
    daemon.stop();
    assert_eq!(host.epochs(), [2]);
}

#[test]
fn a_daemon_that_lost_its_identity_tells_and_serves_nothing_until_it_is_recovered() {
    let host = Host::new("");
    let daemon = host.start();
    let session = host.home.login("alice");
    let token = host.home.cli(["token", "--session", &session]).ok();
    daemon.stop();
    fs::remove_file(host.home.identity_file()).unwrap();
    let refreshes = host.provider.count("refresh_token");

    let daemon = host.start();
    assert!(daemon.notify.heard().iter().any(|line| line.starts_with("STATUS=LOCKED")), "{:?}", daemon.notify.heard());
    let status = host.home.cli(["status"]);
    assert_eq!(status.status, 2, "{status:?}");
    assert!(status.stdout.contains("there is no identity") && status.stdout.contains("keys recover"), "{status:?}");
    host.home.cli(["whoami"]).ok();
    for command in [&["token", "--session", &session][..], &["sessions"], &["logout", &session], &["keys", "rotate"]] {
        let refused = host.home.cli(command).fails_with(78);
        assert!(refused.contains("cannot open its keys"), "{refused}");
    }

    // Somebody else's identity changes nothing.
    fs::write(host.home.path("wrong"), age::x25519::Identity::generate().to_string().expose_secret()).unwrap();
    fs::write(host.home.path("nonsense"), "hunter2").unwrap();
    for (file, why) in [("wrong", "does not open with this identity"), ("nonsense", "not an age identity")] {
        let refused = host.recover(file).fails_with(78);
        assert!(refused.contains(why) && !refused.contains("hunter2"), "{refused}");
    }
    assert_eq!(host.home.cli(["status"]).status, 2);
    host.home.syslog.wait_for(&["keys_not_recovered"]);

    let told = host.recover("recovery").ok();
    assert!(told.contains(&host.home.identity_file().display().to_string()), "{told}");
    assert_eq!(host.home.cli(["token", "--session", &session]).ok(), token, "without a restart");
    assert_eq!(host.provider.count("refresh_token"), refreshes);
    host.home.cli(["status"]).ok();
    host.recover("recovery").fails_with(65);
    host.home.syslog.wait_for(&["keys_recovered"]);
    daemon.stop();

    let _daemon = host.start();
    assert_eq!(host.home.cli(["token", "--session", &session]).ok(), token, "it has an identity of its own again");
}

#[test]
fn recovery_recipients_are_those_of_the_configuration_after_a_reload() {
    let host = Host::new("");
    let daemon = host.start();
    let other = age::x25519::Identity::generate();
    let main = fs::read_to_string(host.home.config_file()).unwrap();
    let changed = main.replace(&host.recovery.to_public().to_string(), &other.to_public().to_string());
    fs::write(host.home.config_file(), changed).unwrap();
    daemon.reload();
    assert_eq!(host.keys()["recovery_recipients"][0], other.to_public().to_string());
    let opens = |identity: &age::x25519::Identity| age::decrypt(identity, &fs::read(host.keyring()).unwrap()).is_ok();
    assert!(opens(&other) && !opens(&host.recovery));
}

#[test]
fn setup_makes_an_identity_once_and_replaces_it_when_told_to() {
    let host = Host::new("");
    let setup = |arguments: &[&str]| {
        let mut command = host.home.daemon_command();
        command.arg("--user").env("HOME", host.home.path("")).env("XDG_RUNTIME_DIR", host.home.path("run"));
        command.arg("setup").args(arguments);
        crate::support::CliResult::from(Daemon::run(command))
    };
    assert!(setup(&[]).ok().starts_with("made a new identity: "));
    assert!(setup(&[]).ok().starts_with("the identity is there: "));
    let daemon = host.start();
    let session = host.home.login("alice");
    let first = fs::read(host.home.identity_file()).unwrap();
    assert!(setup(&["--rekey"]).ok().contains("Restart the daemon"));
    assert_ne!(fs::read(host.home.identity_file()).unwrap(), first);
    let told = host.home.cli(["keys", "rotate"]).fails_with(78);
    assert!(told.contains("restart the daemon"), "the daemon does not undo it: {told}");
    daemon.stop();

    let daemon = host.start();
    host.home.cli(["token", "--session", &session]).ok();
    daemon.stop();
    set_mode(&host.home.identity_file(), 0o600);
    fs::write(host.home.identity_file(), first).unwrap();
    set_mode(&host.home.identity_file(), 0o400);
    let _daemon = host.start();
    assert_eq!(host.home.cli(["status"]).status, 2, "the old identity opens nothing any more");
}

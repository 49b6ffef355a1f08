//! Erasing a user, from outside: what is in the files before and after, what others notice, and what a crash in the middle changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_executor::block_on;
use tokenkeeper_protocol::UnixSeconds;
use tokenkeeperd::domain::Session;
use tokenkeeperd::seal::{HostIdentity, Keyring, Place};

mod kills;

#[path = "../long/sample.rs"]
#[allow(dead_code, reason = "the long tests use all of it")]
mod sample;

use super::store::Host;
use crate::support::config::me;
use crate::support::deadline::unix_seconds;
use crate::support::{CliResult, Config, Daemon, Fault, Home, ScriptedProvider};

/// Sessions of others: `TOKENKEEPER_OTHERS`, or enough for several files of the database.
fn others() -> u64 {
    std::env::var("TOKENKEEPER_OTHERS").ok().and_then(|others| others.parse().ok()).unwrap_or(3_000)
}

/// Bytes of a sealed record that are looked for.
const PIECE: usize = 24;

fn config(provider: &ScriptedProvider) -> Config {
    let corp = Config::corp(&provider.issuer).rule(&me(), &["erase", "list", "token", "status"], "*", "all");
    corp.provider("elsewhere", "http://127.0.0.1:9")
}

/// A row as it stands in a file: sealed, and opened.
struct Found {
    table: String,
    key: Vec<u8>,
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

impl Found {
    fn holds(&self, words: &[String]) -> bool {
        let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        words.iter().any(|word| has(&self.plain, word) || has(&self.key, word))
    }

    fn piece(&self) -> Vec<u8> {
        self.sealed[self.sealed.len().saturating_sub(PIECE)..].to_vec()
    }
}

fn keyring(home: &Home) -> Keyring {
    sample::keyring(&home.state_dir(), &home.identity_file())
}

fn store(home: &Home) -> PathBuf {
    home.state_dir().join("store")
}

/// Every sealed row of a store that nobody has open; all of them open.
fn rows(home: &Home) -> Vec<Found> {
    let (keyring, options) = (keyring(home), rocksdb::Options::default());
    let families = rocksdb::DB::list_cf(&options, store(home)).unwrap();
    let database = rocksdb::DB::open_cf_for_read_only(&options, store(home), &families, false).unwrap();
    let mut found = Vec::new();
    for table in families.into_iter().filter(|table| table != "default") {
        let family = database.cf_handle(&table).unwrap();
        for row in database.iterator_cf(family, rocksdb::IteratorMode::Start) {
            let (key, value) = row.unwrap();
            let (version, sealed) = value.split_first_chunk::<8>().unwrap();
            let place = Place { area: &table, key: &key, version: u64::from_le_bytes(*version) };
            let plain = if sealed.is_empty() { Vec::new() } else { keyring.open(&place, sealed).unwrap().to_vec() };
            found.push(Found { table: table.clone(), key: key.to_vec(), sealed: sealed.to_vec(), plain });
        }
    }
    found
}

/// How many of these are in the files of the store.
fn in_files(home: &Home, needles: &BTreeSet<Vec<u8>>) -> Vec<String> {
    let needles: Vec<_> = needles.iter().collect();
    let search = aho_corasick::AhoCorasick::new(&needles).unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir(store(home)).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read(&path).unwrap();
        let hits = search.find_iter(&content).map(|hit| hit.pattern().as_usize()).collect::<BTreeSet<_>>();
        found.extend(
            hits.into_iter().map(|hit| format!("{}: {:?}", path.display(), String::from_utf8_lossy(needles[hit]))),
        );
    }
    found
}

fn write_others(home: &Home) {
    let vault = sample::open(&home.state_dir(), &home.identity_file()).unwrap();
    let now = UnixSeconds(unix_seconds());
    for first in (0..others()).step_by(500) {
        let mut change = vault.change(now);
        for number in first..first + 500 {
            let plain = sample::session(number, 1);
            let later = now + Duration::from_hours(24 * 30);
            let provider = "elsewhere".parse().unwrap();
            change.insert(&Session { provider, due_at: None, ends_at: later, prune_at: later, ..plain }).unwrap();
        }
        block_on(change.commit()).unwrap();
    }
}

fn erase(home: &Home, arguments: &[&str]) -> CliResult {
    home.cli(["--json", "erase", "corp", "--user", "alice", "--yes"].iter().chain(arguments))
}

#[test]
fn no_file_holds_anything_of_an_erased_user_and_nobody_else_notices() {
    let provider = ScriptedProvider::start();
    provider.rotate(true).access_life(1000);
    let home = Home::new(&config(&provider));
    write_others(&home);
    let daemon = Daemon::start(&home);
    let alice = [home.login("alice"), home.login("alice")];
    let bob = home.login("bob");
    let mut words = vec!["alice".to_owned()];
    words.extend(alice.iter().cloned());
    let about_alice = |home: &Home| -> BTreeSet<Vec<u8>> {
        let rows = rows(home).into_iter().filter(|row| row.holds(&words));
        rows.filter(|row| !row.sealed.is_empty()).map(|row| row.piece()).collect()
    };
    daemon.stop();
    let mut sealed = about_alice(&home);
    assert!(sealed.len() >= 5, "two sessions, their histories, a name: {}", sealed.len());
    let daemon = Daemon::start(&home);
    home.age_token();
    home.cli(["token", "--session", &alice[0], "--min-valid", "999s"]).ok();
    let _login = home.begin_login(&["--replaces", &alice[1]]);
    daemon.kill();
    sealed.extend(about_alice(&home));
    assert!(in_files(&home, &sealed).len() >= 5, "all of it is there before");
    let references: BTreeSet<_> = alice.iter().map(|session| session.clone().into_bytes()).collect();
    assert!(!in_files(&home, &references).is_empty());

    let daemon = Daemon::start(&home);
    let others_before = home.cli(["--json", "store", "stats"]).json()["sessions"]["active"].as_u64().unwrap();
    let done = erase(&home, &[]).json();
    assert_eq!((&done["stage"], &done["sessions"], &done["revoked"]), (&"done".into(), &2.into(), &2.into()), "{done}");
    println!("{} other sessions: {} ms", others(), done["milliseconds"]);
    let record = home.syslog.wait_for(&["event=\"erased\"", "sessions=\"2\"", "forced=\"false\""]);
    assert!(!record.contains("alice"), "{record}");
    assert_eq!(home.syslog.matching(&["event=\"removed\""]).len(), 2);
    for session in &alice {
        home.cli(["token", "--session", session]).fails_with(4);
    }
    assert!(provider.accepts(&home.cli(["token", "--session", &bob]).ok()));
    // A crash leaves the log of the database behind.
    daemon.kill();
    assert_eq!(in_files(&home, &sealed), Vec::<String>::new(), "a sealed record of hers is in a file");
    assert_eq!(in_files(&home, &references), Vec::<String>::new(), "a key of hers is in a file");
    let left: Vec<_> = rows(&home).into_iter().filter(|row| row.holds(&words)).map(|row| row.table).collect();
    assert_eq!(left, Vec::<String>::new(), "records that tell of her");

    let _daemon = Daemon::start(&home);
    let status = home.cli(["--json", "status"]);
    assert_eq!((status.status, &status.json()["complaints"]), (0, &serde_json::json!([])), "no rollback is suspected");
    let counts = home.cli(["--json", "store", "stats"]).json();
    assert_eq!(counts["sessions"]["active"].as_u64().unwrap(), others_before - 2);
    assert_eq!(counts["sessions"]["active"].as_u64().unwrap(), others() + 1);
    let gone = erase(&home, &[]).fails_with(4);
    assert!(gone.contains("nothing is kept of that user"), "{gone}");
    home.login("alice");
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_erases_at_its_next_start() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider));
    let daemon = Daemon::start(&home);
    let (session, bob) = (home.login("alice"), home.login("bob"));
    provider.fault("/revoke", Fault::Hold);
    let mut command = home.cli_command();
    command.args(["erase", "corp", "--user", "alice", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = command.spawn().unwrap();
    provider.wait_for("/revoke", 1);
    daemon.kill();
    let told = CliResult::from(waiting.wait_with_output().unwrap());
    assert!(told.status != 0 && !told.stdout.contains("Erased"), "{told:?}");
    provider.forget_faults();
    provider.release();

    let _daemon = Daemon::start(&home);
    home.syslog.wait_for(&["event=\"erased\"", "sessions=\"1\""]);
    home.cli(["token", "--session", &session]).fails_with(4);
    home.cli(["token", "--session", &bob]).ok();
    assert_eq!(home.cli(["status"]).status, 0);
}

#[test]
fn what_is_not_erased_yet_is_said_to_be_there_and_can_be_erased_at_once() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.cli(["erase", "corp", "--user", "alice"]).fails_with(64);
    for _ in 0..50 {
        provider.fault("/revoke", Fault::Answer(503, String::new()));
    }
    let waits = erase(&home, &[]);
    assert_eq!(waits.status, 75, "{waits:?}");
    let waits: serde_json::Value = serde_json::from_str(&waits.stdout).unwrap();
    assert_eq!((&waits["stage"], &waits["sessions"]), (&"revoking".into(), &0.into()), "{waits}");
    assert!(waits["waiting"].as_str().unwrap().starts_with("nothing is removed yet"), "{waits}");
    home.cli(["token", "--session", &session]).fails_with(3);
    let status = home.cli(["status"]);
    assert!(status.status == 1 && status.stdout.contains("an erasure at corp does not go on"), "{status:?}");

    let done = erase(&home, &["--now"]).json();
    assert_eq!((&done["stage"], &done["not_revoked"]), (&"done".into(), &1.into()), "{done}");
    assert_eq!(done["id"], waits["id"]);
}

#[test]
fn a_store_is_not_moved_while_somebody_is_erased_who_would_go_along() {
    let (provider, key) = (ScriptedProvider::start(), age::x25519::Identity::generate());
    let host = Host::new(&provider, &key, "");
    let _daemon = host.start();
    let (session, bob) = (host.home.login("alice"), host.home.login("bob"));
    for _ in 0..50 {
        provider.fault("/revoke", Fault::Answer(503, String::new()));
    }
    let mut command = host.home.cli_command();
    let mut waiting =
        command.args(["erase", "corp", "--user", "alice", "--yes"]).stderr(Stdio::null()).spawn().unwrap();
    provider.wait_for("/revoke", 1);
    waiting.kill().and_then(|()| waiting.wait()).unwrap();
    let file = host.home.path("moved.age");
    let move_out = || host.home.cli(["store", "move-out", "--output", &file.display().to_string()]);
    let refused = move_out().fails_with(75);
    assert!(refused.contains("somebody is being erased"), "{refused}");
    host.home.cli(["token", "--session", &bob]).ok();

    erase(&host.home, &["--now"]).ok();
    move_out().ok();
    let lines = format!("{:?}", host.lines(&file));
    assert!(lines.contains("bob") && !lines.contains("alice") && !lines.contains(&session), "{lines}");
}

#[test]
fn after_a_forced_erasure_and_a_new_identity_nothing_of_before_opens() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::empty().provider("corp", &provider.issuer));
    let user = |home: &Home| {
        let mut command = home.daemon_command();
        command.arg("--user").env("HOME", home.path("")).env("XDG_RUNTIME_DIR", home.path("run"));
        command
    };
    let daemon = Daemon::start_command(&home, user(&home));
    let (alice, bob) = (home.login("alice"), home.login("bob"));
    daemon.stop();
    let before = rows(&home).into_iter().find(|row| row.table == "sessions" && row.key == alice.as_bytes()).unwrap();
    let (old_keyring, old_identity) = (home.path("old.age"), home.path("old"));
    fs::copy(home.state_dir().join("keyring.age"), &old_keyring).unwrap();
    fs::copy(home.identity_file(), &old_identity).unwrap();
    let copied = Command::new("cp").arg("-a").arg(store(&home)).arg(home.state_dir().join("store.before-2")).status();
    assert!(copied.unwrap().success());
    // What an upgrade keeps goes, and what somebody has moved aside is named.
    for kept in ["store-schema-1", "store-schema-1.tmp", "store-schema-3"] {
        fs::create_dir(home.state_dir().join(kept)).unwrap();
        fs::write(home.state_dir().join(kept).join("000001.sst"), "of alice").unwrap();
    }

    let daemon = Daemon::start_command(&home, user(&home));
    let told = home.cli(["erase", "corp", "--user", "alice", "--yes", "--forced"]).ok();
    for part in ["Erased in ", "setup --rekey", "Not reached: backups", "store.before-2", "store-schema-3"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("store-schema-1") && !home.state_dir().join("store-schema-1").exists(), "{told}");
    assert!(!home.state_dir().join("store-schema-1.tmp").exists());
    home.syslog.wait_for(&["event=\"erased\"", "forced=\"true\""]);
    assert_eq!(home.cli(["--json", "keys", "show"]).json()["epoch"], 2);
    let status = home.cli(["status"]);
    assert!(status.status == 1 && status.stdout.contains("setup --rekey"), "{status:?}");
    home.cli(["token", "--session", &bob]).ok();
    daemon.stop();
    let mut setup = user(&home);
    setup.args(["setup", "--rekey"]);
    CliResult::from(Daemon::run(setup)).ok();

    let daemon = Daemon::start_command(&home, user(&home));
    assert_eq!(home.cli(["status"]).status, 0);
    home.cli(["token", "--session", &bob]).ok();
    daemon.stop();
    let (identity, _) = HostIdentity::load(None, &old_identity).unwrap();
    assert!(Keyring::from_file(&fs::read(home.state_dir().join("keyring.age")).unwrap(), &identity).is_err());
    let opens = |version| {
        let place = Place { area: "sessions", key: &before.key, version };
        keyring(&home).open(&place, &before.sealed).is_ok()
    };
    assert!(!(0..20).any(opens), "the old record opens with the new keys");
    // Only who kept a copy of the old keyring and of the old identity, too, can open an old copy of the store.
    assert!(Keyring::from_file(&fs::read(old_keyring).unwrap(), &identity).is_ok());

    fs::remove_dir_all(store(&home)).unwrap();
    fs::rename(home.state_dir().join("store.before-2"), store(&home)).unwrap();
    let _daemon = Daemon::start_command(&home, user(&home));
    assert_eq!(home.cli(["status"]).status, 2, "the copy of the old store opens with no key of this host");
}

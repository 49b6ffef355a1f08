//! The store as a whole, with the real daemon: its numbers, whether it is in order, backups and their return.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use age::secrecy::ExposeSecret as _;
use serde_json::Value;
use tokenkeeper_protocol::reply::BackupSummary;
use tokenkeeper_protocol::{Reply, Request};

use crate::support::home::set_mode;
use crate::support::{Config, Daemon, Home, ScriptedProvider, Wire};

/// A person's own daemon, who may do everything.
pub(crate) struct Host {
    pub(crate) home: Home,
    pub(crate) key: age::x25519::Identity,
}

impl Host {
    pub(crate) fn new(provider: &ScriptedProvider, key: &age::x25519::Identity, more: &str) -> Self {
        let home = Home::new(&Config::empty().provider("corp", &provider.issuer).schedule(more));
        let main = fs::read_to_string(home.config_file()).unwrap();
        let line = format!("[daemon]\nbackup_recipients = [\"{}\"]\n", key.to_public());
        fs::write(home.config_file(), main.replacen("[daemon]\n", &line, 1)).unwrap();
        Self { home, key: key.clone() }
    }

    pub(crate) fn start(&self) -> Daemon {
        Daemon::start_command(&self.home, self.home.as_user())
    }

    pub(crate) fn backup(&self) -> PathBuf {
        let file = self.home.path("backup.age");
        self.home.cli(["store", "backup", "--output", text(&file)]).ok();
        file
    }

    /// The lines of a backup, as stock age opens it.
    pub(crate) fn lines(&self, file: &Path) -> Vec<Value> {
        let decryptor = age::Decryptor::new(fs::File::open(file).unwrap()).unwrap();
        let mut lines = String::new();
        decryptor.decrypt(std::iter::once(&self.key as _)).unwrap().read_to_string(&mut lines).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn restore(&self, file: &Path, more: &[&str]) -> std::process::Output {
        let identity = self.home.path("backup.key");
        fs::write(&identity, self.key.to_string().expose_secret()).unwrap();
        let mut command = self.home.as_user();
        command.args(["restore", text(file), "--identity-file", text(&identity)]).args(more);
        Daemon::run(command)
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sessions_in(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter_map(|line| line.get("session")).collect()
}

#[test]
fn the_numbers_of_the_store_are_told() {
    let (provider, key) = (ScriptedProvider::start(), age::x25519::Identity::generate());
    let host = Host::new(&provider, &key, "");
    let _daemon = host.start();
    host.home.login("alice");
    let stats = host.home.cli(["store", "stats", "--json"]).json();
    assert_eq!(stats["sessions"]["active"], 1);
    assert!(stats["bytes"].as_u64().unwrap() > 0 && stats["disk_free_bytes"].as_u64().unwrap() > 0, "{stats}");
    assert!(stats["generation"].as_u64().unwrap() > 0, "{stats}");
    assert_eq!((&stats["epoch"], &stats["last_backup_at"]), (&Value::from(1), &Value::Null));
    let rows = |name: &str| {
        let tables = stats["tables"].as_array().unwrap();
        tables.iter().find(|table| table["name"] == name).unwrap()["keys"].as_u64().unwrap()
    };
    assert!(rows("sessions") > 0 && rows("names") > 0, "{stats}");
    assert_eq!(stats["last_verified_at"], Value::Null);
    host.home.cli(["store", "verify"]).ok();
    host.backup();
    let stats = host.home.cli(["store", "stats", "--json"]).json();
    assert!(stats["last_backup_at"].is_string() && stats["last_verified_at"].is_string(), "{stats}");
    assert!(host.home.cli(["store", "stats"]).ok().contains("1 active, 0 need login, 0 ended"));
}

#[test]
fn a_backup_is_an_age_file_of_its_owner_with_everything_in_it() {
    let (provider, key) = (ScriptedProvider::start(), age::x25519::Identity::generate());
    let host = Host::new(&provider, &key, "");
    let _daemon = host.start();
    let session = host.home.login("alice");
    let token = host.home.token();
    let file = host.backup();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));

    let lines = host.lines(&file);
    let [only] = sessions_in(&lines)[..] else { panic!("{lines:?}") };
    assert_eq!(only["session"]["id"], session);
    assert_eq!(only["session"]["tokens"]["access"]["token"], token);
    assert!(only["session"]["tokens"]["refresh"].is_string());
    assert_eq!(only["history"].as_array().unwrap().len(), 2, "{only}");
    assert_eq!(lines.last().unwrap()["end"]["bindings"], 1);
    host.home.syslog.wait_for(&["backup_taken"]);
}

#[test]
fn without_recipients_there_is_no_backup_and_the_answer_says_what_to_write() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::empty().provider("corp", &provider.issuer));
    let _daemon = Daemon::start_command(&home, home.as_user());
    let file = home.path("backup.age");
    let told = home.cli(["store", "backup", "--output", text(&file)]).fails_with(78);
    assert!(told.contains("backup_recipients = [\"age1...\"]"), "{told}");
    assert!(!file.exists());
}

#[test]
fn a_backup_that_is_taken_under_load_is_of_one_moment_and_comes_back_whole() {
    let (provider, key) = (ScriptedProvider::start(), age::x25519::Identity::generate());
    provider.access_life(3600);
    let host = Host::new(&provider, &key, "");
    let daemon = host.start();
    let users: Vec<_> = (0..8).map(|number| format!("user{number}")).collect();
    let sessions: Vec<_> = users.iter().map(|user| host.home.login(user)).collect();
    let done = AtomicBool::new(false);
    let (first, file) = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Longer than the token is still good for, so each asks for a new one.
            while !done.load(Ordering::SeqCst) {
                for session in &sessions {
                    host.home.cli(["token", "--session", session, "--min-valid", "3599s"]);
                }
            }
        });
        let first = host.home.cli(["store", "backup", "--output", text(&host.home.path("first.age"))]);
        let file = host.backup();
        done.store(true, Ordering::SeqCst);
        (first, file)
    });
    first.ok();
    let lines = host.lines(&file);
    assert_eq!(sessions_in(&lines).len(), sessions.len());
    host.home.cli(["store", "verify"]).ok();
    daemon.stop();

    let other = Host::new(&provider, &key, "");
    set_mode(&other.home.state_dir(), 0o700);
    let restored = other.restore(&file, &["--try-stale"]);
    assert!(restored.status.success(), "{restored:?}");
    let daemon = other.start();
    let listed: Vec<_> =
        other.home.sessions().iter().map(|session| session["session"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed.len(), sessions.len());
    assert!(sessions.iter().all(|session| listed.contains(session)));
    for line in sessions_in(&lines) {
        let token = other.home.cli(["token", "--session", line["session"]["id"].as_str().unwrap()]).ok();
        assert_eq!(token, line["session"]["tokens"]["access"]["token"].as_str().unwrap());
    }
    other.home.cli(["store", "verify"]).ok();
    // What is there is not overwritten.
    drop(daemon);
    let again = other.restore(&file, &[]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("there are sessions in this store already"), "{again:?}");
}

/// With the program itself: Debian's package `age`, which `scripts/prerequisites backup` installs.
#[test]
fn the_program_age_opens_a_backup() {
    let (provider, key) = (ScriptedProvider::start(), age::x25519::Identity::generate());
    let host = Host::new(&provider, &key, "");
    let _daemon = host.start();
    host.home.login("alice");
    let (file, identity) = (host.backup(), host.home.path("backup.key"));
    fs::write(&identity, key.to_string().expose_secret()).unwrap();
    let opened = std::process::Command::new("age").arg("-d").arg("-i").arg(&identity).arg(&file).output();
    let opened = opened.expect("there is no program `age`: run scripts/prerequisites backup");
    assert!(opened.status.success(), "{opened:?}");
    let lines = String::from_utf8(opened.stdout).unwrap();
    assert_eq!(
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>(),
        host.lines(&file)
    );
}

/// Who reads slowly gets all of it, as it stood when it began, and keeps nobody waiting; who hangs up ends it.
#[test]
fn a_reader_that_is_slow_or_hangs_up_disturbs_nobody() {
    let (provider, key) = (ScriptedProvider::start(), age::x25519::Identity::generate());
    provider.claim("padding", &"x".repeat(20_000)).access_life(1000);
    let host = Host::new(&provider, &key, "");
    let _daemon = host.start();
    // More than sockets hold.
    let sessions: Vec<_> = (0..40).map(|number| host.home.login(&format!("user{number}"))).collect();
    for ends in [false, true] {
        let mut reader = Wire::connect(&host.home.socket());
        let mut bytes = first_part(&mut reader, &Request::StoreBackup);
        host.home.age_token();
        host.home.cli(["token", "--session", &sessions[0], "--min-valid", "999s"]).ok();
        let told = host.home.cli(["store", "backup", "--output", text(&host.home.path("second.age"))]).fails_with(75);
        assert!(told.contains("another backup"), "{told}");
        if ends {
            bytes.extend(rest_of_parts(&mut reader).0);
            let file = host.home.path("slow.age");
            fs::write(&file, bytes).unwrap();
            assert_eq!(sessions_in(&host.lines(&file)).len(), sessions.len());
        }
        drop(reader);
        let deadline = crate::support::deadline::Deadline::patient();
        while host.home.cli(["store", "backup", "--output", text(&host.home.path("third.age"))]).status != 0 {
            assert!(deadline.left().is_some(), "the backup that nobody reads does not end");
        }
    }
}

/// Asks for a stream; the bytes of its first part.
pub(crate) fn first_part(wire: &mut Wire, request: &Request) -> Vec<u8> {
    wire.send(request);
    match wire.receive().1 {
        Reply::BackupPart(part) => part.bytes,
        other => panic!("{other:?}"),
    }
}

/// The rest of it, and its end.
pub(crate) fn rest_of_parts(wire: &mut Wire) -> (Vec<u8>, BackupSummary) {
    let mut bytes = Vec::new();
    loop {
        let Reply::BackupPart(part) = wire.receive().1 else { panic!("this is no part of a backup") };
        bytes.extend(part.bytes);
        if let Some(end) = part.end {
            return (bytes, end);
        }
    }
}

#[test]
fn a_backup_that_was_cut_short_or_is_for_somebody_else_is_not_restored() {
    let (provider, key) = (ScriptedProvider::start(), age::x25519::Identity::generate());
    let host = Host::new(&provider, &key, "");
    let daemon = host.start();
    host.home.login("alice");
    let file = host.backup();
    daemon.stop();
    let other = Host::new(&provider, &age::x25519::Identity::generate(), "");
    let refused = |host: &Host, file: &Path, why: &str| {
        let done = host.restore(file, &[]);
        assert!(!done.status.success() && String::from_utf8_lossy(&done.stderr).contains(why), "{done:?}");
    };
    refused(&other, &file, "is not encrypted to this identity");
    let bytes = fs::read(&file).unwrap();
    let other = Host::new(&provider, &key, "");
    let cut = other.home.path("cut.age");
    fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    refused(&other, &cut, "it was cut short or changed: take another copy of the file");
    refused(&other, Path::new("/etc/passwd"), "it is no age file, or a damaged one");
    // Nothing was begun: neither keys nor a store.
    assert_eq!(fs::read_dir(other.home.state_dir()).unwrap().count(), 0);
}

/// A record whose bytes changed on the disk is found by the command, named, and complained about by the schedule.
#[test]
fn damage_on_the_disk_is_found_and_named() {
    let (provider, key) = (ScriptedProvider::start(), age::x25519::Identity::generate());
    let host = Host::new(&provider, &key, "scrub = \"* * * * * *\"");
    let daemon = host.start();
    for number in 0..5 {
        host.home.login(&format!("user{number}"));
    }
    let answer = host.home.cli(["store", "verify", "--json"]).json();
    assert_eq!(answer["findings"], Value::Array(vec![]), "{answer}");
    assert!(answer["checked"].as_u64().unwrap() > 30, "{answer}");
    daemon.stop();
    // The start brings what is in the log into a file of its table.
    host.start().stop();

    let mut damaged = 0;
    for entry in fs::read_dir(host.home.state_dir().join("store")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sst") {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        // A file tells which table it is of. Without some of them the daemon does not even start.
        if !bytes.windows(7).any(|window| window == b"history") {
            continue;
        }
        if let Some(place) = bytes.windows(22).position(|window| window == b"age-encryption.org/v1\n") {
            bytes[place + 40] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "there is no file with records");
    let _daemon = host.start();
    let found = host.home.cli(["store", "verify"]);
    assert_eq!(found.status, 1, "{found:?}");
    assert!(found.stdout.contains("history") && found.stdout.contains("1 thing is wrong"), "{found:?}");
    assert!(host.home.cli(["status"]).stdout.contains("`tokenkeeper store verify` names them"), "nobody complains");
    // The schedule finds it, too. Its audit record may have to wait: the database takes no writes while it tidies up a damaged file.
    let deadline = crate::support::deadline::Deadline::patient();
    while !host.home.stderr().contains("the store is damaged: history") {
        assert!(deadline.left().is_some(), "the schedule finds nothing: {}", host.home.stderr());
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

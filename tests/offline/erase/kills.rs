//! A forced erasure and the change of the identity behind it, killed at every step: what is left to do is done afterwards, and
//! nothing that opens with a key of before is left.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;
use tokenkeeperd::seal::{HostIdentity, Keyring};

use super::{Found, in_files, rows};
use crate::support::deadline::Deadline;
use crate::support::{CliResult, Config, Daemon, Home, ScriptedProvider};

/// A host on which a user is erased.
struct Host {
    provider: ScriptedProvider,
    home: Home,
    alice: String,
    bob: String,
    old: HostIdentity,
    /// The old identity as it is written down.
    written: Vec<u8>,
    /// Sealed records of the erased user.
    sealed: BTreeSet<Vec<u8>>,
}

impl Host {
    fn new() -> Self {
        let provider = ScriptedProvider::start();
        let home = Home::new(&Config::empty().provider("corp", &provider.issuer));
        let daemon = Daemon::start_command(&home, home.as_user());
        let (alice, bob) = (home.login("alice"), home.login("bob"));
        daemon.stop();
        let (old, _) = HostIdentity::load(None, &home.identity_file()).unwrap();
        let written = fs::read(home.identity_file()).unwrap();
        let mut this = Self { provider, home, alice, bob, old, written, sealed: BTreeSet::new() };
        this.look();
        assert!(this.sealed.len() >= 3, "a session, its history, a name");
        this
    }

    fn words(&self) -> [String; 2] {
        ["alice".to_owned(), self.alice.clone()]
    }

    /// Remembers what there is of her now.
    fn look(&mut self) {
        let words = self.words();
        let hers = rows(&self.home).into_iter().filter(|row| row.holds(&words) && !row.sealed.is_empty());
        self.sealed.extend(hers.map(|row: Found| row.piece()));
    }

    fn start(&self) -> Daemon {
        Daemon::start_command(&self.home, self.home.as_user())
    }

    /// Erases her in a life that ends on the way.
    fn erase_and_die(&mut self, end: &str) {
        let mut daemon = Daemon::start_command(&self.home, self.home.failpoint_command(&[format!("kill@{end}")]));
        let mut command = self.home.cli_command();
        command.args(["erase", "corp", "--user", "alice", "--forced", "--yes"]);
        let mut asking = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let exit = daemon.wait_for_exit();
        // It would wait for the daemon to come back.
        asking.kill().unwrap();
        let told = asking.wait_with_output().unwrap();
        assert_eq!(exit.signal(), Some(Signal::SIGKILL as i32), "{end} is on the way: {told:?}");
        self.look();
    }

    /// Changes the identity in a process that ends on the way, or does not.
    fn rekey(&self, end: Option<&str>) {
        let orders: Vec<_> = end.into_iter().map(|end| format!("kill@{end}")).collect();
        let mut setup = self.home.failpoint_command(&orders);
        setup.args(["setup", "--rekey"]);
        let output = Daemon::run(setup);
        match end {
            None => drop(CliResult::from(output).ok()),
            Some(end) => {
                assert_eq!(output.status.signal(), Some(Signal::SIGKILL as i32), "{end} is on the way: {output:?}");
            }
        }
    }

    /// Waits until a status says so.
    fn status_says(&self, words: &str) {
        let deadline = Deadline::patient();
        while !self.home.cli(["status"]).stdout.contains(words) {
            assert!(deadline.left().is_some(), "{:?}\n{}", self.home.cli(["status"]), self.home.stderr());
        }
    }

    /// After everything: nobody else noticed, and nothing of her or of the keys of before is left.
    fn is_clean(&self, end: &str) {
        let daemon = self.start();
        assert_eq!(self.home.cli(["status"]).status, 0, "{end}: {}", self.home.cli(["status"]).stdout);
        assert!(self.provider.accepts(&self.home.cli(["token", "--session", &self.bob]).ok()), "{end}");
        self.home.cli(["token", "--session", &self.alice]).fails_with(4);
        daemon.stop();
        let words = self.words();
        assert_eq!(in_files(&self.home, &self.sealed), Vec::<String>::new(), "{end}: a record of hers");
        let left: Vec<_> = rows(&self.home).into_iter().filter(|row| row.holds(&words)).map(|row| row.table).collect();
        assert_eq!(left, Vec::<String>::new(), "{end}: records that tell of her");
        self.opens_nothing(end);
    }

    /// The old identity opens nothing, and lies nowhere.
    fn opens_nothing(&self, end: &str) {
        let own =
            |file: &PathBuf| [self.home.identity_file(), self.home.state_dir().join("keyring.age")].contains(file);
        let config = self.home.identity_file().parent().unwrap().to_owned();
        for file in files(&config).into_iter().chain(files(&self.home.state_dir())) {
            let content = fs::read(&file).unwrap();
            assert!(Keyring::from_file(&content, &self.old).is_err(), "{end}: {} opens", file.display());
            assert_ne!(content, self.written, "{end}: {} is the old identity", file.display());
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let is_left = name.contains("keyring.age") || name.contains("identity");
            assert!(own(&file) || !is_left, "{end}: {} is left", file.display());
        }
    }
}

/// The files in a directory and below it, but not those of the store.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(directories.iter().filter(|path| !path.ends_with("store")).flat_map(|path| self::files(path)));
    files
}

fn is_erased_though_killed_at(ends: &[&str]) {
    for end in ends {
        let mut host = Host::new();
        host.erase_and_die(end);
        let daemon = host.start();
        host.status_says("run `tokenkeeperd setup --rekey`");
        host.home.syslog.wait_for(&["event=\"erased\"", "forced=\"true\""]);
        daemon.stop();
        host.rekey(None);
        host.is_clean(end);
    }
}

#[test]
fn an_erasure_that_is_killed_while_it_removes_or_rewrites_is_finished_at_the_next_start() {
    is_erased_though_killed_at(&[
        "erase.before-removal:1",
        "erase.removed:1",
        "erase.before-table:1",
        "erase.before-table:9",
        "erase.before-reopening:1",
        "erase.reopened:1",
        "erase.rewritten:1",
    ]);
}

#[test]
fn an_erasure_that_is_killed_while_it_changes_keys_is_finished_at_the_next_start() {
    // The keyring is written when the daemon starts, with the new key, and without the old one.
    is_erased_though_killed_at(&[
        "rotation.before-new-key:1",
        "file.staged:2",
        "file.renamed:2",
        "rotation.new-key-kept:1",
        "reseal.before-page:1",
        "reseal.page-written:1",
        "rotation.before-old-key-goes:1",
        "file.staged:3",
        "file.renamed:3",
        "rotation.old-key-gone:1",
        "erase.rotated:1",
    ]);
}

#[test]
fn a_change_of_the_identity_that_is_killed_anywhere_is_done_again_and_leaves_nothing_of_the_old_one() {
    // The keyring for both, the identity, the keyring for the new one.
    for end in ["file.staged:1", "file.renamed:1", "file.staged:2", "file.renamed:2", "file.staged:3", "file.renamed:3"]
    {
        let host = Host::new();
        host.rekey(Some(end));
        let daemon = host.start();
        host.home.cli(["token", "--session", &host.alice]).ok();
        daemon.stop();
        host.rekey(None);
        host.opens_nothing(end);
        let _daemon = host.start();
        host.home.cli(["token", "--session", &host.bob]).ok();
    }
}

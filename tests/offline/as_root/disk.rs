//! A disk that is full, and then is not any more: a small file system of its own, which only root can mount.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use tokenkeeper_protocol::request::LoginBegin;
use tokenkeeper_protocol::{Code, Reply, Request};

use super::must_be_root;
use crate::migration::{config, old_host};
use crate::support::deadline::Deadline;
use crate::support::home::set_mode;
use crate::support::{CliResult, Config, Daemon, Home, ScriptedProvider, Wire};

/// Room for the store and for what it holds in reserve.
const SIZE: &str = "size=192m,mode=0700";

/// A small disk under the state directory of a home. It is gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn under(home: &Home) -> Self {
        must_be_root();
        let dir = home.state_dir();
        let mounted = mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), Some(SIZE));
        mounted.expect("root can mount a tmpfs");
        set_mode(&dir, 0o700);
        Self(dir)
    }

    /// Takes every byte that is left.
    fn fill(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        let mut file = File::create(&path).unwrap();
        for piece in [1 << 20, 4096, 1] {
            let bytes = vec![0x5a; piece];
            while file.write_all(&bytes).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn ballast(home: &Home) -> PathBuf {
    home.state_dir().join("ballast")
}

/// Waits until `status` says whether the store takes writes.
fn wait_until_writable(home: &Home, writable: bool) {
    let deadline = Deadline::patient();
    loop {
        let status = home.cli(["--json", "status"]);
        let complains = status.stdout.contains("the store takes no writes");
        if complains != writable && !status.stdout.is_empty() {
            return;
        }
        assert!(
            deadline.left().is_some(),
            "the store did not become writable={writable}: {status:?}\n{}",
            home.stderr()
        );
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Asks for a token that only a refresh can give.
fn renew(home: &Home) -> CliResult {
    loop {
        let result = home.cli(["token", "corp", "--min-valid", "599s"]);
        // 7: a second passed between the refresh and the answer.
        if result.status != 7 {
            return result;
        }
    }
}

/// Begins logins until the store has found out that the disk is full: it may have some room left in its own files.
fn write_until_full(home: &Home) {
    let mut wire = Wire::connect(&home.socket());
    let begin = Request::LoginBegin(LoginBegin {
        provider: "corp".parse().unwrap(),
        redirect_uri: "http://127.0.0.1:9/callback".to_owned(),
        scopes: vec!["openid".to_owned(); 200],
        login_hint: None,
        device: None,
        acr_values: vec![],
        replaces: None,
    });
    for _ in 0..5_000 {
        match wire.ask(&begin) {
            Reply::LoginBegun(_) => {}
            Reply::Problem(problem) => {
                assert_eq!(problem.code, Code::TryLater, "{problem}");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("writes still go through");
}

#[test]
fn a_full_disk_stops_refreshes_but_not_live_tokens_and_all_is_well_once_there_is_room() {
    let provider = ScriptedProvider::start();
    provider.access_life(600).rotate(true);
    let home = Home::new(&Config::corp(&provider.issuer));
    let disk = SmallDisk::under(&home);
    let daemon = Daemon::start(&home);
    home.login("alice");
    assert!(ballast(&home).exists());

    // The first time, the reserve is given up, and it goes on.
    let first = disk.fill("first");
    write_until_full(&home);
    wait_until_writable(&home, true);
    assert!(!ballast(&home).exists(), "{}", home.stderr());
    assert!(provider.accepts(&renew(&home).ok()));

    // With that gone too, nothing can be written, and the provider is not asked.
    let second = disk.fill("second");
    write_until_full(&home);
    let asked = provider.count("refresh_token");
    // The token just renewed is long enough until the second is over.
    let refused = std::iter::repeat_with(|| renew(&home)).find(|result| result.status != 0);
    let refused = refused.expect("tokens age").fails_with(75);
    assert!(refused.contains("the store cannot be"), "{refused}");
    assert_eq!(provider.count("refresh_token"), asked, "no refresh token is spent whose successor could not be kept");
    let live = home.token();
    assert!(provider.accepts(&live), "live tokens are served all the same");
    assert_eq!(home.cli(["status"]).status, 2);

    // Room again: nobody restarts anything.
    fs::remove_file(second).unwrap();
    fs::remove_file(first).unwrap();
    wait_until_writable(&home, true);
    let renewed = renew(&home).ok();
    assert!(renewed != live && provider.accepts(&renewed));
    daemon.kill();
    let _daemon = Daemon::start(&home);
    assert_eq!(home.token(), renewed, "what was written since is there after a crash");
}

#[test]
fn without_room_for_a_copy_an_older_store_is_left_as_it_is() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider));
    let disk = SmallDisk::under(&home);
    old_host(&provider, &home);
    let full = disk.fill("full");
    // Enough to open the store, and not to keep it and change it.
    let size = fs::metadata(&full).unwrap().len();
    File::options().write(true).open(&full).unwrap().set_len(size - 450_000).unwrap();
    for _ in 0..2 {
        let refused = Daemon::run(home.daemon_command());
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains("store-schema-1, which cannot be made"), "{refused:?}");
        assert!(told.contains("The store is as it was; make room"), "{told}");
    }
    assert!(!home.state_dir().join("store-schema-1").exists());
    fs::remove_file(full).unwrap();
    let _daemon = Daemon::start(&home);
    home.cli(["store", "verify"]).ok();
    assert_eq!(home.cli(["--json", "store", "stats"]).json()["sessions"]["active"], 3);
}

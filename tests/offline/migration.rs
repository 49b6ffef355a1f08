//! A store of another version: an older one is changed and goes on, and a newer one is refused with the way back.

use std::fs;
use std::path::Path;
use std::process::Command;

use rocksdb::{DB, Options};
use tokenkeeper_protocol::SessionRef;

use crate::support::config::me;
use crate::support::home::set_mode;
use crate::support::{Config, Daemon, Home, ScriptedProvider};

/// A host whose daemon was of schema 1, with the provider that its sessions are of.
pub(crate) fn old_host(provider: &ScriptedProvider, home: &Home) {
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema-1/state.tar.gz");
    let done = Command::new("tar").arg("xzf").arg(packed).arg("-C").arg(home.state_dir()).status().unwrap();
    assert!(done.success());
    fs::copy(home.state_dir().join("identity"), home.identity_file()).unwrap();
    fs::remove_file(home.state_dir().join("identity")).unwrap();
    set_mode(&home.identity_file(), 0o400);
    set_mode(&home.state_dir(), 0o700);
    for user in ["alice", "bob", "carol"] {
        provider.gave(&format!("refresh-of-{user}"), user);
    }
}

pub(crate) fn config(provider: &ScriptedProvider) -> Config {
    let at = |key: &str, path: &str| format!("{key} = \"{}{path}\"", provider.issuer);
    Config::empty()
        .provider("corp", "https://id.schema-1.example")
        .with("kind = \"oauth2\"")
        .with(&at("authorization_endpoint", "/authorize"))
        .with(&at("token_endpoint", "/token"))
        .with(&at("userinfo_endpoint", "/userinfo"))
        .rule(&me(), &["token", "list", "logout", "login", "status", "manage"], "*", "all")
}

fn token(home: &Home, number: u8) -> String {
    home.cli(["token", "--session", SessionRef::from_random([number; 5]).as_str()]).ok()
}

#[test]
fn a_store_of_schema_1_goes_on_as_if_nothing_had_happened() {
    let provider = ScriptedProvider::start();
    provider.rotate(true);
    let home = Home::new(&config(&provider));
    old_host(&provider, &home);
    let daemon = Daemon::start(&home);
    let heard = daemon.notify.heard();
    for told in [
        "EXTEND_TIMEOUT_USEC=",
        "STATUS=changing the store from schema 1 to 2",
        "STATUS=changing the store from schema 2 to 3",
    ] {
        assert!(heard.iter().any(|line| line.starts_with(told)), "{heard:?}");
    }
    home.syslog.wait_for(&["migrated", "from=\"1\"", "to=\"3\""]);
    assert_eq!(token(&home, 1), "access-of-alice", "a live token is served");
    // Its refresh was interrupted, and its token is long expired.
    provider.wait_for("refresh_token", 1);
    assert!(provider.accepts(&token(&home, 2)));
    home.cli(["store", "verify"]).ok();
    let stats = home.cli(["--json", "store", "stats"]).json();
    assert_eq!((&stats["schema"], &stats["sessions"]["active"]), (&3.into(), &3.into()), "{stats}");
    let lost = home.cli(["session", SessionRef::from_random([4; 5]).as_str()]).ok();
    assert!(lost.contains("the grant was revoked"), "{lost}");
    assert!(home.state_dir().join("store-schema-1/CURRENT").exists());
    daemon.kill();

    let daemon = Daemon::start(&home);
    assert!(!daemon.notify.heard().iter().any(|line| line.starts_with("EXTEND_TIMEOUT_USEC=")), "it is done once");
    assert!(provider.accepts(&token(&home, 2)));
    assert_eq!(home.cli(["status"]).status, 0);
}

#[test]
fn the_way_back_from_a_newer_version_is_as_the_refusal_says() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).rule(&me(), &["manage"], "*", "all"));
    let store = home.state_dir().join("store");
    let daemon = Daemon::start(&home);
    let alice = home.login("alice");
    daemon.stop();
    // What a newer version does when it is installed: keeps what was, changes the store, and goes on with it.
    let kept = home.state_dir().join("store-schema-3");
    assert!(Command::new("cp").arg("-a").arg(&store).arg(&kept).status().unwrap().success());
    let daemon = Daemon::start(&home);
    let bob = home.login("bob");
    daemon.stop();
    make_newer(&store);

    let refused = Daemon::run(home.daemon_command());
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    let told = String::from_utf8(refused.stderr).unwrap();
    let this = concat!("this is tokenkeeperd ", env!("CARGO_PKG_VERSION"));
    for part in ["the store has schema 4, written by tokenkeeperd 9.9.9", this, "schemas up to 3"] {
        assert!(told.contains(part), "{told}");
    }
    let steps: Vec<_> = told.lines().filter(|line| line.starts_with("  mv ")).collect();
    assert_eq!(steps.len(), 2, "{told}");
    assert!(Command::new("sh").arg("-ec").arg(steps.join("\n")).status().unwrap().success());

    let _daemon = Daemon::start(&home);
    assert!(provider.accepts(&home.cli(["token", "--session", &alice]).ok()));
    home.cli(["token", "--session", &bob]).fails_with(4);
    let status = home.cli(["status"]);
    assert!(status.stdout.contains("an old copy of the store was put back"), "{status:?}");
    assert!(home.state_dir().join("store-schema-4").exists(), "what the newer version wrote is still there");
}

/// Has a store say that a newer version wrote it.
fn make_newer(store: &Path) {
    let options = Options::default();
    let tables = DB::list_cf(&options, store).unwrap();
    let database = DB::open_cf(&options, store, tables).unwrap();
    database.put(b"schema", 4_u32.to_le_bytes()).unwrap();
    database.put(b"writer", "9.9.9").unwrap();
}

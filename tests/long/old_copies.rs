//! Old copies of the state directory that are put back are noticed, every one of them; a crash is never taken for one.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::extent;
use crate::support::config::me;
use crate::support::{Config, Daemon, Home, ScriptedProvider};

/// A daemon that is anchored outside of its state directory.
fn anchored(provider: &ScriptedProvider) -> Home {
    let config = Config::corp(&provider.issuer).rule(&me(), &["manage"], "*", "all");
    let home = Home::new(&config);
    home.configure(&config.daemon(&format!("anchor_file = {:?}", home.path("run/anchor").display().to_string())));
    home
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

fn is_noticed(home: &Home) -> bool {
    let status: serde_json::Value = serde_json::from_str(&home.cli(["--json", "status"]).stdout).unwrap();
    status["complaints"].to_string().contains("old copy of the store was put back")
}

#[test]
fn every_old_copy_that_is_put_back_is_noticed() {
    let rounds = extent::times(10, 100);
    let provider = ScriptedProvider::start();
    let home = anchored(&provider);
    let copies = home.path("copies");
    fs::create_dir(&copies).unwrap();
    for round in 0..rounds {
        let daemon = Daemon::start(&home);
        home.login(&format!("user-{round}"));
        assert!(!is_noticed(&home), "round {round}: nothing was put back yet");
        daemon.stop();
        copy(&home.state_dir(), &copies.join(round.to_string()));
    }
    // One more start, so that even the newest copy is an old one.
    Daemon::start(&home).stop();
    for round in (0..rounds).rev() {
        copy(&copies.join(round.to_string()), &home.state_dir());
        let daemon = Daemon::start(&home);
        assert!(is_noticed(&home), "copy {round} went unnoticed");
        assert_eq!(home.sessions().len(), round + 1, "what is live is there");
        daemon.stop();
    }
    println!("{rounds} old copies were put back, and all noticed");
}

#[test]
fn a_daemon_that_is_killed_is_never_taken_for_a_rollback() {
    let rounds = extent::times(10, 100);
    let provider = ScriptedProvider::start();
    provider.rotate(true);
    let home = anchored(&provider);
    for round in 0..rounds {
        let daemon = Daemon::start(&home);
        assert!(!is_noticed(&home), "round {round}");
        home.login(&format!("user-{round}"));
        daemon.kill();
    }
    let _daemon = Daemon::start(&home);
    assert!(!is_noticed(&home));
    assert_eq!(home.sessions().len(), rounds);
}

//! A store that is moved to another host: its sessions go on there, and here nothing is served or refreshed any more.

use std::fs;

use age::x25519::Identity;
use tokenkeeper_protocol::Request;
use tokenkeeper_protocol::request::MoveOut;

use super::store::{Host, first_part, rest_of_parts, text};
use crate::support::deadline::Deadline;
use crate::support::home::set_mode;
use crate::support::{CliResult, Daemon, ScriptedProvider, Wire};

const BEGIN: Request = Request::StoreMoveOut(MoveOut::Begin);

fn new_token(host: &Host, session: &str) -> CliResult {
    host.home.age_token();
    host.home.cli(["token", "--session", session, "--min-valid", "999s"])
}

/// Whether nothing is served, and everybody is told why.
fn is_fenced(host: &Host, session: &str) -> bool {
    let token = host.home.cli(["token", "--session", session]);
    if token.status == 0 {
        return false;
    }
    for refused in
        [token, host.home.cli(["sessions"]), host.home.cli(["logout", session]), host.home.cli(["keys", "rotate"])]
    {
        let told = refused.fails_with(78);
        assert!(told.contains("the store was moved out at 20"), "{told}");
    }
    let status = host.home.cli(["status"]);
    assert_eq!(status.status, 2, "{status:?}");
    assert!(status.stdout.contains("move-out --cancel"), "{status:?}");
    true
}

/// Two hosts at a provider that ends a session whose refresh token comes twice.
fn hosts() -> (ScriptedProvider, Host, Host) {
    let (provider, key) = (ScriptedProvider::start(), Identity::generate());
    provider.access_life(1000).rotate(true);
    let (source, destination) = (Host::new(&provider, &key, ""), Host::new(&provider, &key, ""));
    (provider, source, destination)
}

#[test]
fn sessions_that_are_moved_go_on_at_the_other_host_and_the_old_one_asks_nobody_any_more() {
    let (provider, source, destination) = hosts();
    let daemon = source.start();
    let (alice, bob) = (source.home.login("alice"), source.home.login("bob"));
    new_token(&source, &alice).ok();
    let file = source.home.path("moved.age");
    let moved = source.home.cli(["--json", "store", "move-out", "--output", text(&file)]).json();
    assert_eq!((&moved["sessions"], &moved["cancelled"]), (&2.into(), &false.into()), "{moved}");
    let asked = provider.count("refresh_token");
    assert!(is_fenced(&source, &alice));
    assert!(!source.home.cli(["status"]).stdout.contains("did not say that it is safe"));
    source.home.syslog.wait_for(&["moved_out", "sessions=\"2\""]);
    source.home.syslog.wait_for(&["move_out_confirmed"]);
    source.home.cli(["store", "backup", "--output", text(&source.home.path("no.age"))]).fails_with(78);
    daemon.kill();

    let daemon = source.start();
    assert!(is_fenced(&source, &alice));
    assert!(
        daemon.notify.heard().iter().any(|line| line.starts_with("STATUS=MOVED OUT")),
        "{:?}",
        daemon.notify.heard()
    );
    daemon.reload();

    set_mode(&destination.home.state_dir(), 0o700);
    let restored = destination.restore(&file, &[]);
    assert!(restored.status.success(), "{restored:?}");
    assert!(!String::from_utf8_lossy(&restored.stdout).contains("spent"), "{restored:?}");
    let _other = destination.start();
    for session in [&alice, &bob, &alice] {
        assert!(provider.accepts(&new_token(&destination, session).ok()));
    }
    assert_eq!(destination.home.cli(["status"]).status, 0);
    assert_eq!(provider.count("refresh_token"), asked + 3, "nobody else asked");
    assert!(is_fenced(&source, &alice));
    assert_eq!(provider.violations(), Vec::<String>::new());
}

#[test]
fn who_hangs_up_before_the_end_has_nothing_and_everything_goes_on() {
    let (provider, source, destination) = hosts();
    provider.claim("padding", &"x".repeat(20_000));
    let daemon = source.start();
    // More than sockets hold.
    let sessions: Vec<_> = (0..40).map(|number| source.home.login(&format!("user{number}"))).collect();
    let hang_on = || {
        let mut reader = Wire::connect(&source.home.socket());
        let bytes = first_part(&mut reader, &BEGIN);
        let told = source.home.cli(["token", "--session", &sessions[0]]).fails_with(75);
        assert!(told.contains("being moved to another host"), "{told}");
        let file = source.home.path("part.age");
        fs::write(&file, bytes).unwrap();
        assert!(!destination.restore(&file, &[]).status.success(), "what is not whole is not restored");
        reader
    };
    drop(hang_on());
    let deadline = Deadline::patient();
    while source.home.cli(["token", "--session", &sessions[0]]).status != 0 {
        assert!(deadline.left().is_some(), "it does not go on: {}", source.home.stderr());
    }
    new_token(&source, &sessions[0]).ok();

    // Nor is anything lost when the daemon ends before the end.
    let _reader = hang_on();
    daemon.kill();
    let _daemon = source.start();
    new_token(&source, &sessions[1]).ok();
}

#[test]
fn a_file_that_may_have_left_fences_the_store_until_it_is_taken_again_or_cancelled() {
    let (provider, source, _) = hosts();
    let daemon = source.start();
    let session = source.home.login("alice");
    let live = source.home.cli(["token", "--session", &session]).ok();
    source.home.cli(["store", "move-out", "--cancel"]).fails_with(4);

    // A command that dies before it says that the file is safe.
    let mut reader = Wire::connect(&source.home.socket());
    first_and_rest(&mut reader);
    drop(reader);
    daemon.kill();
    let daemon = source.start();
    assert!(is_fenced(&source, &session));
    assert!(source.home.cli(["status"]).stdout.contains("did not say that it is safe"));
    let wrong = Request::StoreMoveOut(MoveOut::Confirm { generation: 1 });
    Wire::connect(&source.home.socket()).problem(&wrong);

    let file = source.home.path("moved.age");
    source.home.cli(["store", "move-out", "--output", text(&file)]).ok();
    assert!(!source.home.cli(["status"]).stdout.contains("did not say that it is safe"));
    daemon.kill();
    let daemon = source.start();
    source.home.cli(["store", "move-out", "--cancel"]).ok();
    assert!(source.home.syslog.wait_for(&["move_out_cancelled"]).contains("peer="));
    assert_eq!(source.home.cli(["token", "--session", &session]).ok(), live);
    let asked = provider.count("refresh_token");
    let told = new_token(&source, &session).fails_with(75);
    assert!(told.contains("accept-rollback"), "{told}");
    assert_eq!(provider.count("refresh_token"), asked);
    daemon.kill();
    let _daemon = source.start();
    source.home.cli(["store", "accept-rollback"]).ok();
    new_token(&source, &session).ok();
    source.home.login("bob");
}

/// All of a file that nobody keeps.
fn first_and_rest(reader: &mut Wire) {
    reader.send(&BEGIN);
    rest_of_parts(reader);
}

#[test]
fn a_refresh_on_its_way_is_waited_for_and_what_it_brings_goes_along() {
    let (provider, source, destination) = hosts();
    let _daemon = source.start();
    let session = source.home.login("alice");
    provider.fault("refresh_token", crate::support::Fault::Hold);
    let file = source.home.path("moved.age");
    std::thread::scope(|scope| {
        let refreshed = scope.spawn(|| new_token(&source, &session));
        provider.wait_for("refresh_token", 1);
        let moved = scope.spawn(|| source.home.cli(["store", "move-out", "--output", text(&file)]));
        let deadline = Deadline::patient();
        while source.home.cli(["sessions"]).status == 0 {
            assert!(deadline.left().is_some(), "the move does not begin");
        }
        provider.release();
        moved.join().unwrap().ok();
        drop(refreshed.join());
    });
    set_mode(&destination.home.state_dir(), 0o700);
    assert!(destination.restore(&file, &[]).status.success());
    let _other = destination.start();
    assert!(provider.accepts(&new_token(&destination, &session).ok()));
    assert_eq!((provider.count("refresh_token"), provider.violations()), (2, vec![]));
}

#[test]
fn a_file_that_cannot_be_written_moves_nothing() {
    let (_provider, source, _) = hosts();
    let _daemon: Daemon = source.start();
    let session = source.home.login("alice");
    source.home.cli(["store", "move-out", "--output", "/nowhere/moved.age"]).fails_with(74);
    assert!(!is_fenced(&source, &session));
    source.home.cli(["store", "move-out"]).fails_with(64);
}

//! What systemd sees and gives: readiness, status, watchdog, a socket.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Command;

use tokenkeeper_protocol::{Reply, Request};

use crate::support::config::me;
use crate::support::deadline::Deadline;
use crate::support::{Backend, Config, Daemon, Home, Wire};

#[test]
fn readiness_comes_with_a_line_for_people() {
    let home = Home::new(&Config::corp("https://id.corp.example"));
    let daemon = Daemon::start(&home);
    let heard = daemon.notify.heard();
    let status =
        heard.iter().find(|line| line.starts_with("STATUS=")).unwrap_or_else(|| panic!("no status: {heard:?}"));
    assert!(status.len() > "STATUS=".len() + 5, "{status}");
}

#[test]
fn a_reload_says_when_it_began() {
    let home = Home::new(&Config::empty());
    let daemon = Daemon::start(&home);
    daemon.reload();
    let heard = daemon.notify.heard();
    assert!(heard.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{heard:?}");
}

#[test]
fn the_watchdog_is_fed() {
    let home = Home::new(&Config::empty());
    let mut command = home.daemon_command();
    command.env("WATCHDOG_USEC", "400000");
    let daemon = Daemon::start_command(&home, command);
    for _ in 0..3 {
        let mark = daemon.notify.mark();
        assert!(daemon.notify.wait_for_after(mark, "WATCHDOG=1", Deadline::patient(), || false));
    }
}

#[test]
fn nobody_is_told_of_a_watchdog_that_is_not_there() {
    let home = Home::new(&Config::empty());
    let daemon = Daemon::start(&home);
    daemon.reload();
    assert!(!daemon.notify.heard().iter().any(|line| line.starts_with("WATCHDOG=")));
}

#[test]
fn a_socket_that_systemd_hands_over_is_served_and_left_in_place() {
    let home = Home::new(&Config::empty().rule(&me(), &["status"], "*", "own"));
    let path = home.path("run/activated");
    let listener = UnixListener::bind(&path).unwrap();
    // What systemd does: the socket is descriptor 3, and LISTEN_PID is the process that is going to be the daemon.
    let daemon = home.daemon_command();
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg("exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"");
    command.arg(daemon.get_program()).args(daemon.get_args()).env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(OwnedFd::from(listener));
    // A request that came before the daemon was there is answered by it.
    let mut early = Wire::silent(&path).unwrap();
    early.send_bytes(&tokenkeeper_protocol::frame::Version::CURRENT.hello());

    let daemon = Daemon::start_command(&home, command);

    let mut hello = [0; tokenkeeper_protocol::frame::HELLO_LEN];
    early.read_exact(&mut hello);
    let mut cli = home.cli_command();
    cli.env("TOKENKEEPER_SOCKET", &path).arg("status");
    assert!(cli.status().unwrap().success());
    assert!(!home.socket().exists(), "its own socket is not made as well");
    assert!(!home.http_socket().exists(), "nor one that systemd did not want");
    daemon.stop();
    assert!(path.exists(), "the socket is systemd's");
}

#[test]
fn sockets_that_systemd_hands_over_are_told_apart_by_their_names() {
    let home = Home::new(&Config::empty().rule(&me(), &["status"], "*", "own"));
    let (native, http) = (home.path("run/activated"), home.path("run/activated-http"));
    let first = UnixListener::bind(&http).unwrap();
    // Unlike the others, a duplicate is inherited by the shell, which puts it where systemd would.
    let second = nix::unistd::dup(UnixListener::bind(&native).unwrap()).unwrap();
    let script = format!(
        "exec 3<&0 4<&{} </dev/null; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:tokenkeeperd.socket exec \"$0\" \"$@\"",
        std::os::fd::AsRawFd::as_raw_fd(&second)
    );
    let daemon = home.daemon_command();
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(daemon.get_program()).args(daemon.get_args());
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(OwnedFd::from(first));
    let _daemon = Daemon::start_command(&home, command);

    assert_eq!(Backend::connect(&http).get("/v1/status").status, 200);
    assert!(matches!(Wire::connect(&native).ask(&Request::Status), Reply::Status(_)));
    assert!(!home.socket().exists() && !home.http_socket().exists(), "its own sockets are not made as well");
}

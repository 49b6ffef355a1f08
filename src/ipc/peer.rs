//! Who is at the other end: what the kernel recorded when the peer connected.
//!
//! The unit is read from the peer's control group while a descriptor of the process is held, so that a process which
//! took over a number is not mistaken for the one that connected.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::net::UnixStream;

use crate::domain::Peer;

/// What the kernel shows for users that do not exist in our user namespace.
const OVERFLOW_UID: u32 = 65534;

/// Identifies the peer of a connection.
pub(super) fn identify(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    let (uid, pid) = (credentials.uid(), credentials.pid().unwrap_or(0));
    if uid == OVERFLOW_UID {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "your user is not known on this system (uid 65534)",
        ));
    }
    let mut gids = tokenkeeper_sys::peer_groups(stream.as_fd())?;
    if !gids.contains(&credentials.gid()) {
        gids.push(credentials.gid());
    }
    Ok(Peer { uid, gids, pid, unit: unit(stream, pid) })
}

/// The system service that the peer runs in. Nothing, if it runs in none or that cannot be known for sure.
fn unit(stream: &UnixStream, pid: i32) -> Option<String> {
    let process = tokenkeeper_sys::peer_pidfd(stream.as_fd()).ok()?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mut exited = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    let alive = poll(&mut exited, PollTimeout::ZERO) == Ok(0);
    groups.lines().find_map(|line| line.strip_prefix("0::")).filter(|_| alive).and_then(unit_of_cgroup)
}

/// The service in the path of a control group. Below `user.slice` users choose names, so nothing there counts.
fn unit_of_cgroup(path: &str) -> Option<String> {
    let mut parts = path.strip_prefix('/')?.split('/').peekable();
    if *parts.peek()? == "user.slice" {
        return None;
    }
    let (service, ".service") = parts.map(split_suffix).find(|(_, suffix)| *suffix != ".slice")? else { return None };
    Some(format!("{service}.service"))
}

/// The name of a unit, and its type from the last dot on.
fn split_suffix(unit: &str) -> (&str, &str) {
    unit.split_at(unit.rfind('.').unwrap_or(unit.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_service_at_the_end_of_a_chain_of_slices() {
        let unit = |path| unit_of_cgroup(path);
        assert_eq!(unit("/system.slice/shop.service"), Some("shop.service".to_owned()));
        assert_eq!(unit("/system.slice/shop.service/worker"), Some("shop.service".to_owned()));
        assert_eq!(unit("/system.slice/system-getty.slice/getty@tty1.service"), Some("getty@tty1.service".to_owned()));
        assert_eq!(unit("/batch.slice/nightly.service"), Some("nightly.service".to_owned()));
    }

    #[test]
    fn what_users_can_name_is_no_unit() {
        assert_eq!(unit_of_cgroup("/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service"), None);
        assert_eq!(unit_of_cgroup("/system.slice/docker-0.scope/system.slice/shop.service"), None);
        assert_eq!(unit_of_cgroup("/"), None);
        assert_eq!(unit_of_cgroup("system.slice/shop.service"), None);
    }
}

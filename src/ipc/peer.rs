//! Who is at the other end: what the kernel recorded when the peer connected.
//!
//! The unit is read from the peer's control group while a descriptor of the process is held, so that a process which
//! took over a number is not mistaken for the one that connected.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::net::UnixStream;

use crate::config::Nobody;
use crate::domain::Peer;

/// Identifies the peer of a connection.
///
/// # Errors
/// When it cannot be said for sure who it is: a process in a service that hangs up on us must not pass as one outside of it. Of the
/// kinds of error, `PermissionDenied` and `NotFound` are about the peer, and all others about us.
pub(super) fn identify(stream: &UnixStream, nobody: Nobody) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    let (uid, pid) = (credentials.uid(), credentials.pid().unwrap_or(0));
    if nobody.is_user(uid) {
        let why = format!("your user is not known on this system (uid {uid})");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut gids = tokenkeeper_sys::peer_groups(stream.as_fd())?;
    gids.push(credentials.gid());
    gids.sort_unstable();
    gids.dedup();
    // Groups of another user namespace all look like this one.
    gids.retain(|gid| !nobody.is_group(*gid));
    Ok(Peer { uid, gids, pid, unit: unit(stream.as_fd(), pid)? })
}

/// Why units cannot be told on this host, if so: a rule about one then never matches.
pub fn why_no_units() -> Option<&'static str> {
    let (here, _there) = std::os::unix::net::UnixStream::pair().ok()?;
    if tokenkeeper_sys::peer_pidfd(here.as_fd()).is_err_and(|error| is_unsupported(&error)) {
        return Some("the kernel cannot pin the process at the other end of a socket; Linux 6.5 can");
    }
    // PID 1 stands for the processes of others.
    match fs::read_to_string("/proc/1/cgroup") {
        Err(_) => Some("/proc hides the processes of others (hidepid)"),
        Ok(groups) if !groups.lines().any(|line| line.starts_with("0::")) => {
            Some("the kernel has no unified control groups (cgroup v2)")
        }
        Ok(_) => None,
    }
}

/// The system service that the peer runs in. Nothing, if it runs in none, or on a host that cannot tell.
fn unit(stream: BorrowedFd<'_>, pid: i32) -> io::Result<Option<String>> {
    let process = match tokenkeeper_sys::peer_pidfd(stream) {
        Ok(process) => process,
        Err(error) if is_unsupported(&error) => return Ok(None),
        Err(error) if is_our_lack(&error) => return Err(error),
        Err(_) => return Err(gone()),
    };
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"));
    // Looked at afterwards: as long as the process lives, nothing else has its number.
    let mut exited = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    if poll(&mut exited, PollTimeout::ZERO) != Ok(0) {
        return Err(gone());
    }
    unit_in(groups)
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "your process is gone")
}

/// The unit in what `/proc` tells of a process that lives.
fn unit_in(groups: io::Result<String>) -> io::Result<Option<String>> {
    match groups {
        Ok(groups) => Ok(groups.lines().find_map(|line| line.strip_prefix("0::")).and_then(unit_of_cgroup)),
        // The process may well run in a service.
        Err(error) if is_our_lack(&error) => Err(error),
        // It is out of sight: no process of a service is, unless /proc hides all of them.
        Err(_) => Ok(None),
    }
}

/// Whether it is we who have no descriptor or memory left.
fn is_our_lack(error: &io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM].iter().any(|lack| error.raw_os_error() == Some(*lack as i32))
}

fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOPROTOOPT as i32)
}

/// The service in the path of a control group: the first part that is no slice.
///
/// Slices are made by the system's manager alone, and each stands in the one that its name begins with. What is below a service
/// or a scope may have been named by whoever runs in it, and below `user.slice` by users: nothing there counts.
fn unit_of_cgroup(path: &str) -> Option<String> {
    let mut outer = None;
    for part in path.strip_prefix('/')?.split('/') {
        match part.rsplit_once('.')? {
            (slice, "slice") if slice != "user" && stands_in(slice, outer) => outer = Some(slice),
            // systemd puts "_" before names that would clash with files of the control group, and before those with "_".
            (service, "service") => return Some(format!("{}.service", service.strip_prefix('_').unwrap_or(service))),
            _ => return None,
        }
    }
    None
}

/// Whether a slice of this name stands directly in `outer`: `a-b.slice` in `a.slice`, and `a.slice` in none.
fn stands_in(slice: &str, outer: Option<&str>) -> bool {
    match outer {
        None => !slice.contains('-'),
        Some(outer) => slice.rsplit_once('-').is_some_and(|(parent, _)| parent == outer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELPER_SOCKET: &str = "TOKENKEEPER_TEST_PEER_SOCKET";

    #[test]
    fn a_unit_is_the_service_at_the_end_of_a_chain_of_slices() {
        let unit = |path| unit_of_cgroup(path);
        assert_eq!(unit("/system.slice/shop.service"), Some("shop.service".to_owned()));
        assert_eq!(unit("/system.slice/shop.service/worker"), Some("shop.service".to_owned()));
        assert_eq!(unit("/system.slice/system-getty.slice/getty@tty1.service"), Some("getty@tty1.service".to_owned()));
        assert_eq!(unit("/batch.slice/nightly.service"), Some("nightly.service".to_owned()));
        assert_eq!(unit("/a.slice/a-b.slice/a-b-c.slice/x.service"), Some("x.service".to_owned()));
        assert_eq!(unit("/system.slice/_memory.service"), Some("memory.service".to_owned()));
        assert_eq!(unit("/system.slice/__x.service"), Some("_x.service".to_owned()));
    }

    #[test]
    fn what_users_can_name_is_no_unit() {
        assert_eq!(unit_of_cgroup("/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service"), None);
        assert_eq!(unit_of_cgroup("/system.slice/docker-0.scope/system.slice/shop.service"), None);
        // A service that may make control groups below its own, and a user's manager that was moved out of user.slice.
        let delegated = unit_of_cgroup("/system.slice/build.service/x.slice/shop.service");
        assert_eq!(delegated, Some("build.service".to_owned()));
        let manager = unit_of_cgroup("/system.slice/user@1000.service/app.slice/shop.service");
        assert_eq!(manager, Some("user@1000.service".to_owned()));
        // Containers.
        assert_eq!(unit_of_cgroup("/machine.slice/libpod-1.scope/container/system.slice/shop.service"), None);
        let nspawn = unit_of_cgroup("/machine.slice/systemd-nspawn@box.service/payload/system.slice/shop.service");
        assert_eq!(nspawn, Some("systemd-nspawn@box.service".to_owned()));
        for path in [
            "/lxc.payload.box/system.slice/shop.service",
            "/lxc.payload.x.slice/system.slice/shop.service",
            "/docker/0123/shop.service",
            "/box/shop.service",
            "/system.slice/other.slice/shop.service",
            "/a-b.slice/shop.service",
            "/user.slice/shop.service",
            "/init.scope",
            "/../../system.slice/shop.service",
            "/system.slice/shop.service (deleted)",
            "/system.slice",
        ] {
            assert_eq!(unit_of_cgroup(path), None, "{path}");
        }
        assert_eq!(unit_of_cgroup("/"), None);
        assert_eq!(unit_of_cgroup("system.slice/shop.service"), None);
    }

    #[test]
    fn a_service_is_not_taken_for_a_process_outside_of_it_when_we_cannot_look() {
        let failed = |errno: Errno| unit_in(Err(errno.into()));
        assert_eq!(unit_in(Ok("0::/system.slice/shop.service\n".to_owned())).unwrap().as_deref(), Some("shop.service"));
        assert_eq!(failed(Errno::ENOENT).unwrap(), None);
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM] {
            assert!(failed(errno).is_err(), "{errno}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_nobody_rather_than_somebody_without_a_unit() {
        if why_no_units().is_some() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ipc::peer::tests::helper_that_connects_and_waits", "--ignored"])
            .env(HELPER_SOCKET, &path)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let nobody = Nobody::of_host();
        assert_eq!(identify(&stream, nobody).unwrap().pid, i32::try_from(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(identify(&stream, nobody).unwrap_err().to_string().contains("your process is gone"));
    }

    #[test]
    #[ignore = "runs as the other process of the test above"]
    fn helper_that_connects_and_waits() {
        let Some(path) = std::env::var_os(HELPER_SOCKET) else { return };
        let _connection = std::os::unix::net::UnixStream::connect(path).unwrap();
        io::stdin().read_line(&mut String::new()).unwrap();
    }
}

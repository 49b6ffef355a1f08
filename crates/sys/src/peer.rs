//! Questions to the kernel about the process at the other end of a socket.
//!
//! Invariant: every function here is safe to call with any open descriptor. Both answers were frozen by the kernel when the
//! peer connected, so a peer cannot change them afterwards.

#![allow(unsafe_code, reason = "getsockopt has no safe wrapper for these two options")]

use std::ffi::c_int;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Groups asked for at first; nearly every process is in fewer, so one call is enough.
const USUAL_GROUPS: usize = 64;

/// How often the list may turn out longer than the kernel said a moment ago. It is frozen, so once would do.
const ATTEMPTS: usize = 3;

/// The supplementary groups of the process at the other end of a connected Unix socket (`SO_PEERGROUPS`, Linux 4.13).
///
/// The effective group is not among them unless the process also has it as a supplementary one.
///
/// # Errors
///
/// What the kernel says: `ENOTSOCK` for something that is no socket, `ENODATA` for a socket without a peer.
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    groups_into(socket, vec![0; USUAL_GROUPS])
}

/// As [`peer_groups`], with the buffer to try first.
fn groups_into(socket: BorrowedFd<'_>, mut groups: Vec<u32>) -> io::Result<Vec<u32>> {
    for _ in 0..ATTEMPTS {
        let mut length = byte_length(&groups)?;
        // SAFETY: `groups` is a live buffer of exactly `length` bytes, exclusively borrowed for the call; every bit
        // pattern is a valid `u32`; `length` is a live `socklen_t`. The descriptor is open for as long as it is borrowed.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        // On success the bytes that were written, on ERANGE the bytes that are needed.
        let count = usize::try_from(length).map_or(0, |bytes| bytes / mem::size_of::<u32>());
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) {
            return Err(error);
        }
        groups.resize(count, 0);
    }
    Err(io::Error::from_raw_os_error(libc::ERANGE))
}

/// A descriptor of the process at the other end of a connected Unix socket (`SO_PEERPIDFD`, Linux 6.5).
///
/// Unlike a process number it never comes to mean another process. It is closed on exec.
///
/// # Errors
///
/// What the kernel says: `ENOPROTOOPT` when it is older than 6.5, `ENODATA` for a socket without a peer, `ESRCH` or
/// `EINVAL` when the process is gone.
pub fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut pidfd: c_int = -1;
    let mut length = byte_length(std::slice::from_ref(&pidfd))?;
    // SAFETY: `pidfd` is a live, exclusively borrowed `c_int` and `length` its size, also live. The descriptor is open
    // for as long as it is borrowed.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut pidfd).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if pidfd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the kernel has just made this descriptor for us and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

fn byte_length<T>(buffer: &[T]) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(mem::size_of_val(buffer)).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::process;

    use super::*;

    /// `Groups:` of our own status: an independent witness.
    fn own_groups() -> BTreeSet<u32> {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        line.split_whitespace().map(|group| group.parse().unwrap()).collect()
    }

    #[test]
    fn the_groups_of_a_peer_are_those_the_kernel_lists_for_its_process() {
        let (here, _there) = UnixStream::pair().unwrap();
        let groups: BTreeSet<u32> = peer_groups(here.as_fd()).unwrap().into_iter().collect();
        assert_eq!(groups, own_groups());
    }

    #[test]
    fn a_list_longer_than_the_buffer_is_still_complete() {
        let (here, _there) = UnixStream::pair().unwrap();
        let groups: BTreeSet<u32> = groups_into(here.as_fd(), Vec::new()).unwrap().into_iter().collect();
        assert_eq!(groups, own_groups());
    }

    #[test]
    fn the_pidfd_of_a_peer_names_its_process() {
        let (here, _there) = UnixStream::pair().unwrap();
        let pidfd = peer_pidfd(here.as_fd()).unwrap();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim();
        assert_eq!(pid, process::id().to_string());
    }

    #[test]
    fn the_pidfd_is_not_inherited_by_programs_that_are_started() {
        let (here, _there) = UnixStream::pair().unwrap();
        let pidfd = peer_pidfd(here.as_fd()).unwrap();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = c_int::from_str_radix(flags, 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0);
    }

    #[test]
    fn a_descriptor_that_is_no_socket_is_an_error_and_not_an_empty_list() {
        let file = fs::File::open("/proc/self/status").unwrap();
        assert_eq!(peer_groups(file.as_fd()).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
        assert_eq!(peer_pidfd(file.as_fd()).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
    }

    #[test]
    fn a_socket_without_a_peer_is_an_error() {
        let datagram = std::os::unix::net::UnixDatagram::unbound().unwrap();
        assert!(peer_groups(datagram.as_fd()).is_err());
        assert!(peer_pidfd(datagram.as_fd()).is_err());
    }
}

//! The process at the other end of a socket: who it is, and what it may not send.
//!
//! Invariant: every function here is safe to call with any open descriptor. What is told of a peer was frozen by the kernel when it
//! connected, so a peer cannot change it afterwards.

#![allow(unsafe_code, reason = "getsockopt and setsockopt have no safe wrappers for these options")]

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

/// `SO_PASSRIGHTS` of the kernel; on SPARC, options have numbers of their own.
const SO_PASSRIGHTS: Option<c_int> =
    if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { None } else { Some(83) };

/// Lets nobody send descriptors over a Unix socket; on a listening one, over any connection to it (`SO_PASSRIGHTS`, Linux 6.16).
///
/// Whoever reads and does not want them has to close them, which takes as long as the sender likes: a TCP socket that lingers
/// stops the thread that reads.
///
/// # Errors
///
/// What the kernel says: `ENOPROTOOPT` when it is older than 6.16.
pub fn refuse_descriptors(socket: BorrowedFd<'_>) -> io::Result<()> {
    let option = SO_PASSRIGHTS.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOPROTOOPT))?;
    let off: c_int = 0;
    let length = byte_length(std::slice::from_ref(&off))?;
    // SAFETY: `off` is a live `c_int` of `length` bytes, which the kernel only reads. The descriptor is open for as long as it is
    // borrowed.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const off).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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

    /// Sends a byte, and a descriptor with it.
    fn send_with_descriptor(socket: &UnixStream) -> io::Result<()> {
        let (mut byte, null) = ([7_u8], fs::File::open("/dev/null").unwrap());
        let mut piece = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        let mut control = [0_u64; 4];
        // SAFETY: a message of zeros is one without anything. Its parts are live until it was sent; `control` has room for a header
        // and one descriptor, and is aligned for both.
        let sent = unsafe {
            let mut message: libc::msghdr = mem::zeroed();
            message.msg_iov = &raw mut piece;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(4) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as _;
            libc::CMSG_DATA(header).cast::<c_int>().write_unaligned(null.as_raw_fd());
            libc::sendmsg(socket.as_raw_fd(), &raw const message, 0)
        };
        if sent == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[test]
    fn who_connects_to_a_socket_that_refuses_descriptors_can_send_bytes_alone() {
        use std::io::{Read, Write};
        let path = std::env::temp_dir().join(format!("tokenkeeper-sys-{}", process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let refused = refuse_descriptors(listener.as_fd());
        let mut client = UnixStream::connect(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        match refused {
            Ok(()) => assert_eq!(send_with_descriptor(&client).unwrap_err().raw_os_error(), Some(libc::EPERM)),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT), "an older kernel");
                send_with_descriptor(&client).unwrap();
                accepted.read_exact(&mut [0]).unwrap();
            }
        }
        client.write_all(b"x").unwrap();
        let mut byte = [0];
        accepted.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
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

//! The priority of one thread among those of its process.
//!
//! Invariant: only the thread that calls is touched.

#![allow(unsafe_code, reason = "no safe library wraps setpriority")]

use std::ffi::c_int;
use std::io;

/// Sets the nice value of the calling thread: from -20, the most urgent, to 19. On Linux each thread has its own.
///
/// # Errors
///
/// What the kernel says: `EACCES` where the thread would become more urgent and may not.
pub fn set_nice(nice: c_int) -> io::Result<()> {
    // SAFETY: the call takes three numbers and touches no memory; 0 means the calling thread.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn nice() -> c_int {
        // SAFETY: as above.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn a_thread_that_stands_back_leaves_the_others_as_they_were() {
        let before = nice();
        let there = thread::spawn(|| set_nice(19).map(|()| nice())).join().unwrap();
        assert_eq!((there.unwrap(), nice()), (19, before));
    }
}

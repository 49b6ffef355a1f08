//! How the kernel schedules one thread among all others.
//!
//! Invariant: only the thread that calls is touched, and threads that it starts later.

#![allow(unsafe_code, reason = "no safe library wraps sched_setscheduler")]

use std::io;

/// Lets the calling thread, and those that it starts from now on, interrupt nobody who is at work when they wake up; they get as
/// much of a processor as before (`SCHED_BATCH`, sched(7)).
///
/// # Errors
///
/// What the kernel says: `EPERM` where a filter of system calls forbids it.
pub fn interrupt_nobody() -> io::Result<()> {
    let normal = libc::sched_param { sched_priority: 0 };
    // SAFETY: `normal` lives for the call, which only reads it; 0 means the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const normal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn policy() -> i32 {
        // SAFETY: the call takes a number and touches no memory; 0 means the calling thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn it_goes_for_the_thread_and_those_it_starts_and_for_nobody_else() {
        let before = policy();
        let there = thread::spawn(|| {
            interrupt_nobody().unwrap();
            thread::spawn(policy).join().unwrap()
        });
        assert_eq!((there.join().unwrap(), policy()), (libc::SCHED_BATCH, before));
        assert_ne!(before, libc::SCHED_BATCH);
    }
}

//! Memory for keys: never swapped out, in no core dump, and not inherited by a child process.

#![allow(unsafe_code, reason = "mmap and mlock work on raw memory")]

use std::io;
use std::ptr::{self, NonNull};

/// `N` bytes in pages of their own, zeroed at first and wiped when dropped.
///
/// If the system does not allow them to be locked, they are there all the same, and [`Locked::is_locked`] says so.
#[derive(Debug)]
pub struct Locked<const N: usize> {
    bytes: NonNull<[u8; N]>,
    locked: bool,
}

// SAFETY: the pages belong to this value alone, and it hands them out by the usual rules of references.
unsafe impl<const N: usize> Send for Locked<N> {}
// SAFETY: as above; shared references only read.
unsafe impl<const N: usize> Sync for Locked<N> {}

impl<const N: usize> Locked<N> {
    /// Fresh zeroed memory.
    ///
    /// # Errors
    /// When the system has no memory at all.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a new private mapping of its own; nothing else is changed by it.
        let pages = unsafe {
            libc::mmap(
                ptr::null_mut(),
                N.max(1),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if pages == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is ours and `N` bytes long. Each call only changes how the kernel treats it; where an older
        // kernel refuses, nothing has changed.
        let locked = unsafe {
            libc::madvise(pages, N.max(1), libc::MADV_DONTDUMP);
            libc::madvise(pages, N.max(1), libc::MADV_WIPEONFORK);
            libc::mlock(pages, N.max(1)) == 0
        };
        let bytes = NonNull::new(pages.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { bytes, locked })
    }

    /// Whether it can never be swapped out.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// The bytes.
    pub fn get(&self) -> &[u8; N] {
        // SAFETY: the mapping lives as long as `self`, holds `N` initialised bytes, and pages are aligned for bytes.
        unsafe { self.bytes.as_ref() }
    }

    /// The bytes, to be written.
    pub fn get_mut(&mut self) -> &mut [u8; N] {
        // SAFETY: as in `get`, and `self` is borrowed exclusively.
        unsafe { self.bytes.as_mut() }
    }
}

impl<const N: usize> Drop for Locked<N> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nobody can use it any more. Unmapping unlocks.
        unsafe {
            libc::explicit_bzero(self.bytes.as_ptr().cast(), N);
            libc::munmap(self.bytes.as_ptr().cast(), N.max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel notes about the mapping that holds `address`.
    fn flags_of(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let range = range.and_then(|(from, to)| {
                Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
            });
            if let Some((from, to)) = range {
                inside = (from..to).contains(&address);
            } else if let (true, Some(flags)) = (inside, line.strip_prefix("VmFlags:")) {
                return flags.to_owned();
            }
        }
        panic!("no mapping holds {address:x}");
    }

    #[test]
    fn keys_are_locked_into_memory_and_left_out_of_core_dumps_and_children() {
        let mut memory = Locked::<32>::new().unwrap();
        memory.get_mut().fill(7);
        assert_eq!(memory.get(), &[7; 32]);
        let flags = flags_of(memory.get().as_ptr() as usize);
        for flag in ["dd", "wf"] {
            assert!(flags.split_whitespace().any(|it| it == flag), "{flag} is missing in {flags}");
        }
        assert_eq!(flags.split_whitespace().any(|it| it == "lo"), memory.is_locked());
    }
}

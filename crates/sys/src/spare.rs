//! Memory that was freed and that the allocator keeps for later.

#![allow(unsafe_code, reason = "malloc_trim has no safe wrapper")]

/// Gives it back to the system, as far as it is made of whole pages. Takes about a millisecond for some megabytes.
///
/// Only the allocator of glibc can be told; with another this does nothing.
pub fn give_back_spare_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches only what is free, under the locks of the allocator.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    /// Kilobytes of memory that are resident and belong to no file.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    #[test]
    fn what_was_freed_between_things_in_use_goes_back_to_the_system() {
        const BLOCK: usize = 16 * 1024;
        let mut blocks: Vec<_> = (0..2048).map(|_| Some(vec![1_u8; BLOCK])).collect();
        // What stays in use at the end keeps the allocator from shrinking by itself.
        blocks[..2047].fill(None);
        let before = resident();
        give_back_spare_memory();
        let after = resident();
        assert!(after + 20 * 1024 < before, "{before} KiB, then {after} KiB");
        drop(blocks);
    }
}

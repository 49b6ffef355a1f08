//! An allocator that wipes what is given back to it.
//!
//! Tokens pass through buffers of libraries that wipe nothing: the plaintext buffer of age, the bodies of the HTTP client, a
//! vector that grew. With this allocator none of them is found in memory after it was freed.

#![allow(unsafe_code, reason = "an allocator is an unsafe trait by nature")]

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, except that memory is zeroed before it is freed.
#[derive(Debug)]
pub struct Wiping;

// SAFETY: every call goes to the system's allocator with the arguments it came with, and what that promises holds here too.
// Before memory is freed it is written to within its layout, while it still belongs to the caller. `realloc` is left as the
// trait has it: allocate, copy, free; so the memory that was grown out of is wiped as well.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps what `alloc` asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps what `alloc_zeroed` asks of it.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block of this layout that nobody uses any more. `explicit_bzero` is not
        // optimised away, as a plain write before `free` may be.
        unsafe {
            libc::explicit_bzero(memory.cast(), layout.size());
            System.dealloc(memory, layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_is_gone_from_the_memory_it_stood_in() {
        let layout = Layout::from_size_align(4096, 16).unwrap();
        // SAFETY: the layout is not empty; the block is written within its size and freed once.
        let address = unsafe {
            let block = Wiping.alloc(layout);
            block.write_bytes(0x5a, 4096);
            Wiping.dealloc(block, layout);
            block as u64
        };
        assert_wiped(address);
    }

    #[test]
    fn what_moved_because_it_grew_or_shrank_is_gone_from_where_it_stood() {
        let layout = Layout::from_size_align(4096, 16).unwrap();
        for size in [65_536, 2_048] {
            // SAFETY: the layout is not empty; the block is written within its size, and freed with the size it has then.
            let (address, moved) = unsafe {
                let block = Wiping.alloc(layout);
                block.write_bytes(0x5a, 4096);
                let moved = Wiping.realloc(block, layout, size);
                (block as u64, moved)
            };
            assert_ne!(address, moved as u64, "a block that stays where it is would keep what was cut off");
            assert_wiped(address);
            // SAFETY: as above.
            unsafe { Wiping.dealloc(moved, Layout::from_size_align(size, 16).unwrap()) };
        }
    }

    /// Looks through the process's own memory file, which is no access that the language knows of.
    fn assert_wiped(address: u64) {
        let mut seen = [0_u8; 1024];
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        // The head of a free block belongs to the allocator's lists.
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut seen, address + 1024).unwrap();
        assert!(!seen.contains(&0x5a));
    }
}

//! The only unsafe code of tokenkeeper: what the kernel and the allocator offer and no safe library wraps.
//!
//! Invariant: everything public here is safe to use, whatever it is given; each `unsafe` block says why it is sound.

mod locked;
mod peer;
mod scheduling;
mod wiping;

pub use locked::Locked;
pub use peer::{peer_groups, peer_pidfd, refuse_descriptors};
pub use scheduling::interrupt_nobody;
pub use wiping::Wiping;

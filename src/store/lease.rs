//! Leases of a store that one process has to itself: they live and die with the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Who has which lease until when, in boot time.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<Vec<u8>, Lease>>);

#[derive(Debug)]
struct Lease {
    holder: u64,
    until: Duration,
}

impl Leases {
    /// As [`Store::lease`](super::Store::lease).
    pub(super) fn take(&self, name: &[u8], holder: u64, now: Duration, length: Duration) -> bool {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // There are as many as there are refreshes under way: few.
        leases.retain(|_, lease| lease.until > now);
        if leases.get(name).is_some_and(|lease| lease.holder != holder) {
            return false;
        }
        leases.insert(name.to_vec(), Lease { holder, until: now.saturating_add(length) });
        true
    }

    /// As [`Store::release`](super::Store::release).
    pub(super) fn release(&self, name: &[u8], holder: u64) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.get(name).is_some_and(|lease| lease.holder == holder) {
            leases.remove(name);
        }
    }
}

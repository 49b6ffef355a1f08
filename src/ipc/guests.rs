//! How many connections each user has, so that one user cannot take them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of one user at a time: many times what a pool of workers needs.
const PER_USER: usize = 256;
/// Connections at a time: stays below the usual limit of 1024 descriptors.
const IN_ALL: usize = 768;

/// Everybody who is connected.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<HashMap<u32, usize>>>);

/// One connection; ends when dropped.
pub(super) struct Guest {
    guests: Guests,
    uid: u32,
}

impl Guests {
    /// Lets a connection of `uid` in, unless that would be too many.
    pub(super) fn admit(&self, uid: u32) -> Option<Guest> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let own = counts.entry(uid).or_default();
        if *own >= PER_USER || all >= IN_ALL {
            return None;
        }
        *own += 1;
        Some(Guest { guests: self.clone(), uid })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = counts.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_all_connections_and_those_that_end_are_free_again() {
        let guests = Guests::default();
        let mut greedy: Vec<_> = (0..PER_USER).map(|_| guests.admit(1).unwrap()).collect();
        assert!(guests.admit(1).is_none());
        assert!(guests.admit(2).is_some());
        greedy.pop();
        assert!(guests.admit(1).is_some());
    }
}

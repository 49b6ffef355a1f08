//! Denials by peer, action and target, each with the reference its peer was told to quote.
//!
//! Targets are what peers choose to ask for, so a peer has room for only so many of its own: one that asks for everything cannot
//! push the denials of others out of the trail.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::What;
use super::tally::identity;
use super::text::fit;
use crate::domain::Peer;

/// Peers remembered one by one.
const PEERS: usize = 256;
/// Denials remembered for each peer one by one: more is a peer gone wrong, and the first of them tell how.
const DENIALS_PER_PEER: usize = 64;
/// Stands for the rest of the peers, and for the rest of what one peer asked for.
const OTHER_PEERS: &str = "(other peers)";
const OTHER_TARGETS: &str = "(other targets)";

#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<HashMap<String, OfPeer>>);

/// By action and target.
type OfPeer = HashMap<(String, String), Denial>;

#[derive(Debug)]
struct Denial {
    reference: String,
    repeats: u64,
}

impl Denials {
    pub(super) fn note(
        &self,
        peer: &Peer,
        action: &str,
        target: &str,
        new_reference: impl FnOnce() -> String,
    ) -> (String, bool) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut name = identity(peer);
        if peers.len() >= PEERS && !peers.contains_key(&name) {
            OTHER_PEERS.clone_into(&mut name);
        }
        let of_peer = peers.entry(name).or_default();
        // What a record would cut is cut before it takes memory.
        let mut key = (fit(action), fit(target));
        if of_peer.len() >= DENIALS_PER_PEER && !of_peer.contains_key(&key) {
            OTHER_TARGETS.clone_into(&mut key.1);
        }
        if let Some(denial) = of_peer.get_mut(&key) {
            denial.repeats += 1;
            return (denial.reference.clone(), false);
        }
        let reference = new_reference();
        of_peer.insert(key, Denial { reference: reference.clone(), repeats: 0 });
        (reference, true)
    }

    /// What was drained is still known, at zero.
    pub(super) fn put_back(&self, peer: &str, action: &str, target: &str, count: u64) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let denial = peers.get_mut(peer).and_then(|of_peer| of_peer.get_mut(&(action.to_owned(), target.to_owned())));
        if let Some(denial) = denial {
            denial.repeats += count;
        }
    }

    pub(super) fn drain(&self) -> Vec<What> {
        let mut counted = Vec::new();
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|peer, denials| {
            denials.retain(|(action, target), denial| {
                let count = std::mem::take(&mut denial.repeats);
                if count > 0 {
                    let (peer, action, target) = (peer.clone(), action.clone(), target.clone());
                    counted.push(What::Denied { peer, action, target, reference: denial.reference.clone(), count });
                }
                count > 0
            });
            !denials.is_empty()
        });
        peers.shrink_to_fit();
        counted
    }
}

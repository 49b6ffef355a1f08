//! Counts hand-outs and denials that repeat, so that the trail tells all of them without a record for each.
//!
//! Invariant: the counts of the records written at once and of all drains add up to what happened, whatever the memory bounds drop.
//! A SIGKILL loses the counts since the last drain, never a first record.

use std::sync::Arc;

use tokenkeeper_protocol::SessionRef;

use super::What;
use super::denials::Denials;
use super::hand_outs::HandOuts;
use crate::domain::Peer;

/// The counts since the last drain. Bounded: at most some megabytes, however many ask for however much.
#[derive(Debug, Default)]
pub struct Tally {
    hand_outs: HandOuts,
    denials: Denials,
}

impl Tally {
    /// Notes that `peer` is given a token. Returns whether it is the first since this was forgotten: then the caller writes the
    /// event, with a count of 1; otherwise it is counted here. Peers of the same user and unit are the same. Allocates only for what
    /// is new.
    pub fn hand_out(&self, peer: &Arc<Peer>, session: SessionRef, generation: u64) -> bool {
        self.hand_outs.note(peer, session, generation)
    }

    /// The same, if it is not the first; returns whether that was so. Nothing is noted of a first one.
    pub fn repeat(&self, peer: &Arc<Peer>, session: SessionRef, generation: u64) -> bool {
        self.hand_outs.repeat(peer, session, generation)
    }

    /// Notes that `peer` is refused `action` on `target`. Returns what the peer is to quote, which stays the same while the denial
    /// repeats, and whether it is the first: then the caller writes the event, with a count of 1; otherwise it is counted here.
    pub fn denied(
        &self,
        peer: &Peer,
        action: &str,
        target: &str,
        new_reference: impl FnOnce() -> String,
    ) -> (String, bool) {
        self.denials.note(peer, action, target, new_reference)
    }

    /// What was counted since the last call, for the caller to write: to be called once a minute and at shutdown. Forgets what was
    /// not repeated in the meantime.
    pub fn drain(&self) -> Vec<What> {
        let mut counted = self.hand_outs.drain();
        counted.extend(self.denials.drain());
        counted
    }

    /// Counts again what a drain gave and the caller could not write. To be called before the next drain.
    pub fn put_back(&self, what: &What) {
        match what {
            What::TokenHandedOut { peer, session, generation, count } => {
                self.hand_outs.put_back(peer, *session, *generation, *count);
            }
            What::TokensHandedOutUnlisted { peer, count } => self.hand_outs.count_unlisted(peer, *count),
            What::Denied { peer, action, target, count, .. } => self.denials.put_back(peer, action, target, *count),
            _ => {}
        }
    }
}

/// Whom counts are about: all processes of a user in a unit, so there is no process id in it.
pub(super) fn identity(peer: &Peer) -> String {
    match &peer.unit {
        Some(unit) => format!("{unit} (uid {})", peer.uid),
        None => format!("uid {}", peer.uid),
    }
}

#[cfg(test)]
mod tests;

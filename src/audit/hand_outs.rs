//! Hand-outs by peer, session and token generation: a station of the hot path, so it neither allocates nor reads a clock there.
//!
//! Sharded by session: connections that ask for different sessions do not wait for each other. One session asked for by many costs a
//! lock held for one lookup.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenkeeper_protocol::SessionRef;

use super::What;
use super::tally::identity;
use crate::domain::Peer;

/// Enough that cores seldom meet, few enough to be walked once a minute.
const SHARDS: usize = 32;
/// Keys remembered in each shard: 131,072 in all, about 8 MiB.
const KEYS_PER_SHARD: usize = 4096;
/// Peers whose hand-outs beyond that are counted apart.
const UNLISTED_PEERS: usize = 1024;
/// Whom the rest is counted for.
const OTHER_PEERS: &str = "(other peers)";

#[derive(Debug)]
pub(super) struct HandOuts {
    shards: [Mutex<HashMap<Key, u64>>; SHARDS],
    /// What found its shard full: by peer, without the session.
    unlisted: Mutex<HashMap<String, u64>>,
}

/// Holds a peer so that looking one up allocates nothing.
#[derive(Clone, Debug)]
struct Key {
    peer: Arc<Peer>,
    session: SessionRef,
    generation: u64,
}

impl Key {
    fn parts(&self) -> (SessionRef, u64, u32, Option<&str>) {
        (self.session, self.generation, self.peer.uid, self.peer.unit.as_deref())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl Default for HandOuts {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), unlisted: Mutex::default() }
    }
}

impl HandOuts {
    pub(super) fn note(&self, peer: &Arc<Peer>, session: SessionRef, generation: u64) -> bool {
        let key = Key { peer: Arc::clone(peer), session, generation };
        let mut shard = lock(&self.shards[shard_of(session)]);
        if let Some(repeats) = shard.get_mut(&key) {
            *repeats += 1;
            return false;
        }
        if shard.len() < KEYS_PER_SHARD {
            shard.insert(key, 0);
            return true;
        }
        drop(shard);
        self.count_unlisted(&identity(peer), 1);
        false
    }

    pub(super) fn repeat(&self, peer: &Arc<Peer>, session: SessionRef, generation: u64) -> bool {
        let key = Key { peer: Arc::clone(peer), session, generation };
        let mut shard = lock(&self.shards[shard_of(session)]);
        shard.get_mut(&key).map(|repeats| *repeats += 1).is_some()
    }

    pub(super) fn count_unlisted(&self, peer: &str, count: u64) {
        let mut unlisted = lock(&self.unlisted);
        let is_one_too_many = unlisted.len() >= UNLISTED_PEERS && !unlisted.contains_key(peer);
        let name = if is_one_too_many { OTHER_PEERS } else { peer };
        *unlisted.entry(name.to_owned()).or_default() += count;
    }

    /// What was drained is still known, at zero.
    pub(super) fn put_back(&self, peer: &str, session: SessionRef, generation: u64, count: u64) {
        let mut shard = lock(&self.shards[shard_of(session)]);
        let is_it = |key: &Key| (key.session, key.generation) == (session, generation) && identity(&key.peer) == peer;
        match shard.iter_mut().find(|(key, _)| is_it(key)) {
            Some((_, repeats)) => *repeats += count,
            None => self.count_unlisted(peer, count),
        }
    }

    pub(super) fn drain(&self) -> Vec<What> {
        let mut counted = Vec::new();
        for shard in &self.shards {
            let mut repeated = Vec::new();
            let mut shard = lock(shard);
            shard.retain(|key, repeats| {
                let count = std::mem::take(repeats);
                if count > 0 {
                    repeated.push((key.clone(), count));
                }
                count > 0
            });
            // A busy minute's memory is given back; a steady load keeps its own.
            let room = shard.len() * 2;
            shard.shrink_to(room);
            drop(shard);
            counted.extend(repeated.into_iter().map(|(Key { peer, session, generation }, count)| {
                What::TokenHandedOut { peer: identity(&peer), session, generation, count }
            }));
        }
        let unlisted = std::mem::take(&mut *lock(&self.unlisted));
        counted.extend(unlisted.into_iter().map(|(peer, count)| What::TokensHandedOutUnlisted { peer, count }));
        counted
    }
}

/// By the end of the reference, which is random.
fn shard_of(session: SessionRef) -> usize {
    let [.., a, b] = *session.as_bytes();
    (usize::from(a) * 31 + usize::from(b)) % SHARDS
}

/// Counts stay whole whatever panics elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

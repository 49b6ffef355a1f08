//! A map with a limit, for what is in use.
//!
//! Invariant: it is the only place that it keeps a value in. What is replaced, removed or pushed out is dropped before the call
//! returns, or else by the last reader that still has it. A cache that notes its readers for later, or frees when nobody can be
//! looking any more, would keep tokens that nobody can ask for (docs/decisions/0024).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokenkeeper_protocol::SessionRef;

/// Parts that are locked one by one, so that a writer keeps few readers waiting.
const STRIPES: usize = 64;
/// Smaller parts would push out what is in use for no other reason than how references fall.
const SMALLEST: usize = 64;

/// Values by session.
pub(super) struct Shelf<V> {
    stripes: Vec<RwLock<Stripe<V>>>,
}

struct Stripe<V> {
    items: HashMap<SessionRef, Item<V>>,
    /// The keys of all items, in a ring.
    ring: Vec<SessionRef>,
    /// Where in the ring the next item to be pushed out is looked for.
    hand: usize,
    limit: usize,
}

struct Item<V> {
    value: Arc<V>,
    /// Where its key is in the ring.
    at: usize,
    /// Whether somebody asked for it since the hand came by.
    used: AtomicBool,
}

impl<V> Shelf<V> {
    /// Room for `limit` values, at least one.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let count = (limit / SMALLEST).clamp(1, STRIPES);
        let stripe = || Stripe { items: HashMap::new(), ring: Vec::new(), hand: 0, limit: (limit / count).max(1) };
        Self { stripes: (0..count).map(|_| RwLock::new(stripe())).collect() }
    }

    /// The value of a session.
    pub(super) fn get(&self, session: SessionRef) -> Option<Arc<V>> {
        let stripe = self.read(self.number(session));
        let item = stripe.items.get(&session)?;
        // Written only when it changes: most readers of one item then share its memory.
        if !item.used.load(Ordering::Relaxed) {
            item.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(&item.value))
    }

    /// Puts a value in the place of the one before, or of one that was not asked for lately.
    pub(super) fn put(&self, session: SessionRef, value: Arc<V>) {
        self.write(self.number(session)).put(session, value);
    }

    /// Forgets a session.
    pub(super) fn remove(&self, session: SessionRef) {
        self.write(self.number(session)).remove(session);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for number in 0..self.stripes.len() {
            let mut stripe = self.write(number);
            stripe.items.clear();
            stripe.ring.clear();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        (0..self.stripes.len()).map(|number| self.read(number).items.len()).sum()
    }

    fn number(&self, session: SessionRef) -> usize {
        spread(session, self.stripes.len())
    }

    // No code that can panic runs while these are held, so that they cannot be poisoned half way through a change.
    fn read(&self, number: usize) -> RwLockReadGuard<'_, Stripe<V>> {
        self.stripes[number].read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, number: usize) -> RwLockWriteGuard<'_, Stripe<V>> {
        self.stripes[number].write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Stripe<V> {
    fn put(&mut self, session: SessionRef, value: Arc<V>) {
        if let Some(item) = self.items.get_mut(&session) {
            item.value = value;
            return;
        }
        if self.ring.len() >= self.limit {
            let victim = self.victim();
            self.remove(victim);
        }
        let item = Item { value, at: self.ring.len(), used: AtomicBool::new(false) };
        self.ring.push(session);
        self.items.insert(session, item);
    }

    fn remove(&mut self, session: SessionRef) {
        let Some(item) = self.items.remove(&session) else { return };
        self.ring.swap_remove(item.at);
        // The last of the ring has taken its place.
        if let Some(moved) = self.ring.get(item.at).and_then(|key| self.items.get_mut(key)) {
            moved.at = item.at;
        }
    }

    /// The first that was not asked for since the hand came by; it comes by all of a full ring twice at most.
    fn victim(&mut self) -> SessionRef {
        loop {
            self.hand = if self.hand + 1 < self.ring.len() { self.hand + 1 } else { 0 };
            let key = self.ring[self.hand];
            if !self.items.get_mut(&key).is_some_and(|item| std::mem::take(item.used.get_mut())) {
                return key;
            }
        }
    }
}

/// Which of `parts` a session falls to. References are random, and those that are there are ours: no hash has to keep them apart.
pub(super) fn spread(session: SessionRef, parts: usize) -> usize {
    session.as_bytes().iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u32) -> SessionRef {
        let [a, b, c, d] = number.to_be_bytes();
        SessionRef::from_random([b, c, d, a, d])
    }

    #[test]
    fn what_is_replaced_removed_pushed_out_or_cleared_is_dropped_at_once() {
        let shelf = Shelf::new(2);
        let kept: Vec<_> = (0..5).map(Arc::new).collect();
        let is_dropped = |number: usize| Arc::strong_count(&kept[number]) == 1;
        shelf.put(session(1), Arc::clone(&kept[0]));
        for _ in 0..1000 {
            shelf.get(session(1));
        }
        shelf.put(session(1), Arc::clone(&kept[1]));
        assert!(is_dropped(0), "replaced");
        shelf.remove(session(1));
        assert!(is_dropped(1), "removed");
        for number in 2..5 {
            shelf.put(session(number), Arc::clone(&kept[number as usize]));
        }
        assert_eq!((2..5).filter(|number| is_dropped(*number)).count(), 1, "pushed out");
        shelf.clear();
        assert!((2..5).all(is_dropped), "cleared");
    }

    #[test]
    fn a_reader_keeps_what_it_has_until_it_is_done() {
        let shelf = Shelf::new(2);
        shelf.put(session(1), Arc::new("old"));
        let read = shelf.get(session(1)).unwrap();
        shelf.put(session(1), Arc::new("new"));
        assert_eq!((*read, Arc::strong_count(&read)), ("old", 1));
        assert_eq!(shelf.get(session(1)).as_deref(), Some(&"new"));
    }

    #[test]
    fn there_are_never_more_than_the_limit() {
        for limit in [1, 5, 63, 64, 1_000, 10_000] {
            let shelf = Shelf::new(limit);
            for number in 0..20_000 {
                shelf.put(session(number), Arc::new(number));
            }
            let there = shelf.len() as u64;
            assert!(there <= limit && there > limit * 9 / 10, "{there} of {limit}");
        }
    }

    #[test]
    fn what_is_asked_for_stays_while_others_come_and_go() {
        let shelf = Shelf::new(100);
        for number in 0..50 {
            shelf.put(session(number), Arc::new(number));
        }
        for number in 50..2_000 {
            for wanted in 0..50 {
                assert_eq!(shelf.get(session(wanted)).as_deref(), Some(&wanted));
            }
            shelf.put(session(number), Arc::new(number));
            if number % 3 == 0 {
                shelf.remove(session(number));
            }
        }
    }
}

//! Leases, which whoever refreshes a session takes so that nobody else does.

use std::time::Duration;

use crate::store::Store;

const MINUTE: Duration = Duration::from_secs(60);

pub(in crate::store) fn a_lease_has_one_holder(store: &dyn Store) {
    assert!(store.lease(b"session", 1, MINUTE, MINUTE).unwrap());
    assert!(!store.lease(b"session", 2, MINUTE, MINUTE).unwrap());
    assert!(store.lease(b"another", 2, MINUTE, MINUTE).unwrap());
}

pub(in crate::store) fn a_lease_is_renewed_by_its_holder_and_ends_when_it_is_not(store: &dyn Store) {
    assert!(store.lease(b"session", 1, Duration::ZERO, MINUTE).unwrap());
    assert!(store.lease(b"session", 1, MINUTE / 2, MINUTE).unwrap());
    assert!(!store.lease(b"session", 2, MINUTE, MINUTE).unwrap(), "renewed until 1:30");
    assert!(store.lease(b"session", 2, MINUTE * 3 / 2, MINUTE).unwrap(), "ended at 1:30");
    assert!(!store.lease(b"session", 1, MINUTE * 2, MINUTE).unwrap());
}

pub(in crate::store) fn a_lease_is_given_back_by_its_holder_only(store: &dyn Store) {
    assert!(store.lease(b"session", 1, Duration::ZERO, MINUTE).unwrap());
    store.release(b"session", 2).unwrap();
    assert!(!store.lease(b"session", 2, Duration::ZERO, MINUTE).unwrap());
    store.release(b"session", 1).unwrap();
    assert!(store.lease(b"session", 2, Duration::ZERO, MINUTE).unwrap());
    store.release(b"unknown", 1).unwrap();
}

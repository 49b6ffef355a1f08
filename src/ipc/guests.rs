//! How many connections there are, and on whose account, so that nobody can take them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections at a time: stays below the usual limit of 1024 descriptors.
const IN_ALL: usize = 768;

/// On whose account a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Account {
    /// A user whom some rule is about.
    User(u32),
    /// All others together: whoever can make user namespaces has thousands of users.
    Strangers,
    /// Those on their way out.
    TurnedAway,
}

impl Account {
    /// Connections at a time.
    fn limit(self) -> usize {
        match self {
            // Many times what a pool of workers needs.
            Self::User(_) => 256,
            // They get nothing but a refusal.
            Self::Strangers => 128,
            Self::TurnedAway => 32,
        }
    }
}

/// Everybody who is connected.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<HashMap<Account, usize>>>);

/// One connection; ends when dropped.
pub(super) struct Guest {
    guests: Guests,
    account: Account,
}

impl Guests {
    /// Lets a connection in, unless that would be too many.
    pub(super) fn admit(&self, account: Account) -> Option<Guest> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let own = counts.get(&account).copied().unwrap_or_default();
        if own >= account.limit() || all >= IN_ALL {
            return None;
        }
        counts.insert(account, own + 1);
        Some(Guest { guests: self.clone(), account })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = counts.get_mut(&self.account) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(guests: &Guests, account: Account) -> Vec<Guest> {
        std::iter::from_fn(|| guests.admit(account)).collect()
    }

    #[test]
    fn one_user_cannot_take_all_connections_and_those_that_end_are_free_again() {
        let guests = Guests::default();
        let mut greedy = take_all(&guests, Account::User(1));
        assert!(guests.admit(Account::User(2)).is_some());
        greedy.pop();
        assert!(guests.admit(Account::User(1)).is_some());
    }

    #[test]
    fn those_without_a_rule_leave_room_whoever_helps_them() {
        let guests = Guests::default();
        let _greedy = [Account::Strangers, Account::TurnedAway, Account::User(1), Account::User(2)]
            .map(|account| take_all(&guests, account));
        assert!(guests.admit(Account::User(3)).is_some());
    }

    #[test]
    fn nobody_is_remembered_who_has_left() {
        let guests = Guests::default();
        drop(take_all(&guests, Account::Strangers));
        assert!(guests.0.lock().unwrap().is_empty());
    }
}

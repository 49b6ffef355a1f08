//! Counts what is answered, and who is connected. A station of the hot path: one relaxed addition for each answer, no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokenkeeper_protocol::{Code, Request};

/// Ways for a request to end: well, or with one of the codes.
const ENDS: usize = 1 + Code::ALL.len();

macro_rules! kinds {
    ($($variant:ident = $name:literal,)+) => {
        /// A kind of request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind {
            $($variant,)+
        }

        impl Kind {
            /// Every kind.
            pub(super) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(super) fn of(request: &Request) -> Self {
                match request {
                    $(Request::$variant { .. } => Self::$variant,)+
                }
            }

            /// Its name in metrics.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

kinds! {
    Token = "token",
    LoginBegin = "login_begin",
    LoginComplete = "login_complete",
    Sessions = "sessions",
    Session = "session",
    Logout = "logout",
    Status = "status",
    TokenFor = "token_for",
    DeviceBegin = "device_begin",
    DeviceWait = "device_wait",
    History = "history",
    WhoAmI = "who_am_i",
    Explain = "explain",
    Providers = "providers",
    ProviderTest = "provider_test",
    Metrics = "metrics",
    StoreStats = "store_stats",
    StoreVerify = "store_verify",
    StoreBackup = "store_backup",
    StoreMoveOut = "store_move_out",
    KeysShow = "keys_show",
    KeysRotate = "keys_rotate",
    KeysRecover = "keys_recover",
    AcceptRollback = "accept_rollback",
    Erase = "erase",
}

/// The counters, from zero at the start of the process.
#[derive(Debug, Default)]
pub struct Meter {
    answers: [[AtomicU64; ENDS]; Kind::ALL.len()],
    connections: AtomicU64,
}

/// A connection that is open, for as long as this lives.
#[derive(Debug)]
pub struct Connected(Arc<Meter>);

impl Meter {
    /// A request was answered: well, or with a problem of this code.
    pub(super) fn answered(&self, kind: Kind, code: Option<Code>) {
        self.answers[kind as usize][end(code)].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests of a kind that ended so.
    pub(super) fn answers(&self, kind: Kind, code: Option<Code>) -> u64 {
        self.answers[kind as usize][end(code)].load(Ordering::Relaxed)
    }

    /// Counts a connection until what this returns is dropped.
    pub fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(self))
    }

    /// Connections that are open.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Codes are numbered from 1 without gaps; the daemon gives none that it does not know.
fn end(code: Option<Code>) -> usize {
    code.map_or(0, |code| usize::from(u16::from(code)).min(ENDS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_every_end_has_a_counter_of_its_own() {
        let meter = Meter::default();
        let ends: Vec<_> = [None].into_iter().chain(Code::ALL.iter().copied().map(Some)).collect();
        let all: Vec<_> = Kind::ALL.iter().flat_map(|kind| ends.iter().map(|end| (*kind, *end))).collect();
        for (times, (kind, end)) in all.iter().enumerate() {
            (0..times).for_each(|_| meter.answered(*kind, *end));
        }
        for (times, (kind, end)) in all.iter().enumerate() {
            assert_eq!(meter.answers(*kind, *end), times as u64, "{kind:?} {end:?}");
        }
    }

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let meter = Arc::new(Meter::default());
        let two = [meter.connected(), meter.connected()];
        assert_eq!(meter.connections(), 2);
        drop(two);
        assert_eq!(meter.connections(), 0);
    }
}

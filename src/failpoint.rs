//! Points at which a test kills the process, or makes an operation fail. They exist with the feature `failpoints` alone.
//!
//! Invariant: without the feature [`failpoint!`] is nothing at all, and a release build with it does not compile. What is to
//! happen stands in `TOKENKEEPER_FAILPOINTS`: `kill@NAME:N`, `panic@NAME:N` or `fail@NAME:N`, for the N-th pass of the point,
//! with commas between them; `*` is every point. Each pass is written to the file `TOKENKEEPER_FAILPOINTS_LOG`, before anything
//! happens at it.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` is for tests, and does not belong into a release build");

/// At `failpoint!("NAME")` the process can end. `failpoint!("NAME" => ERROR)` can return the error as well. A session behind the
/// name stands in the log. `after DEED` is done first, if it comes to either.
macro_rules! failpoint {
    ($name:literal $(, $session:expr)?) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::pass($name, failpoint!(@ $($session)?));
    };
    ($name:literal $(, $session:expr)? => $error:expr) => {
        #[cfg(feature = "failpoints")]
        if $crate::failpoint::pass_or_fail($name, failpoint!(@ $($session)?)) {
            return Err($error);
        }
    };
    ($name:literal, after $deed:expr => $error:expr) => {
        #[cfg(feature = "failpoints")]
        if $crate::failpoint::do_and_fail($name, &mut || $deed) {
            return Err($error);
        }
    };
    (@) => { &"-" };
    (@ $session:expr) => { &$session };
}

pub(crate) use failpoint;
#[cfg(feature = "failpoints")]
pub(crate) use switched_on::{do_and_fail, pass, pass_or_fail};

#[cfg(feature = "failpoints")]
mod switched_on {
    use std::fmt::Display;
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::sys::signal::{Signal, raise};
    use nix::time::{ClockId, clock_gettime};

    /// What is to happen.
    static ORDERS: LazyLock<Vec<Order>> = LazyLock::new(|| {
        let orders = std::env::var("TOKENKEEPER_FAILPOINTS").unwrap_or_default();
        orders.split(',').filter(|order| !order.is_empty()).map(Order::read).collect()
    });

    static LOG: LazyLock<Option<File>> = LazyLock::new(|| {
        let path = std::env::var_os("TOKENKEEPER_FAILPOINTS_LOG")?;
        Some(OpenOptions::new().append(true).create(true).open(path).expect("a test that wants a log has room for it"))
    });

    struct Order {
        deed: Deed,
        name: String,
        pass: u64,
        passed: AtomicU64,
    }

    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Deed {
        Fail,
        Panic,
        Kill,
    }

    impl Order {
        /// A test that misspells one would prove nothing.
        fn read(text: &str) -> Self {
            let read = || {
                let (deed, rest) = text.split_once('@')?;
                let (name, pass) = rest.split_once(':')?;
                let deed = match deed {
                    "kill" => Deed::Kill,
                    "panic" => Deed::Panic,
                    "fail" => Deed::Fail,
                    _ => return None,
                };
                Some(Self { deed, name: name.to_owned(), pass: pass.parse().ok()?, passed: AtomicU64::new(0) })
            };
            read().expect("an order is kill@NAME:N, panic@NAME:N or fail@NAME:N")
        }

        /// Counts a pass; whether it is the one.
        fn is_due(&self, name: &str) -> bool {
            (self.name == name || self.name == "*") && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.pass
        }
    }

    /// Passes a point at which nothing can fail, but the process or the thread can end.
    pub(crate) fn pass(name: &str, session: &dyn Display) {
        note_and_do(name, session, Deed::Panic, &mut || ());
    }

    /// Passes a point at which an operation can fail; whether it does.
    pub(crate) fn pass_or_fail(name: &str, session: &dyn Display) -> bool {
        note_and_do(name, session, Deed::Fail, &mut || ()) == Some(Deed::Fail)
    }

    /// The same, for a point that has to be made first.
    pub(crate) fn do_and_fail(name: &str, make: &mut dyn FnMut()) -> bool {
        note_and_do(name, &"-", Deed::Fail, make) == Some(Deed::Fail)
    }

    fn note_and_do(name: &str, session: &dyn Display, least: Deed, make: &mut dyn FnMut()) -> Option<Deed> {
        let due = ORDERS.iter().filter(|order| order.deed >= least && order.is_due(name));
        let deed = due.map(|order| order.deed).max();
        if deed.is_some() {
            make();
        }
        let said = match deed {
            None => "",
            Some(Deed::Fail) => " failed",
            Some(Deed::Panic) => " panicked",
            Some(Deed::Kill) => " killed",
        };
        if let Some(mut log) = LOG.as_ref() {
            let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
            // In one write, so that lines of several threads do not mix.
            let line = format!("{}.{:09} {name} {session}{said}\n", now.tv_sec(), now.tv_nsec());
            log.write_all(line.as_bytes()).expect("a test that wants a log has room for it");
        }
        if deed == Some(Deed::Kill) {
            raise(Signal::SIGKILL).expect("a process may kill itself");
        }
        assert!(deed != Some(Deed::Panic), "as it was told to");
        deed
    }
}

//! Something fetched from a provider and kept for a while: discovery document and key set.
//!
//! One caller fetches while the others wait for what it brings, be it a failure. What is old is still used when no newer can be
//! had, and is not asked for again for a while then, nor before the provider wants it: a thousand sessions that come due together
//! do not each wait for the same dead server. What turns out not to be enough is fetched anew, however young it is, but only now
//! and then.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;
use tokio::sync::Mutex;

use super::Fault;

/// How long something is taken for current: a provider that moves an endpoint keeps the old one at least as long.
const FRESH: Duration = Duration::from_hours(1);

/// How long something is used when no newer can be had. A key that the provider withdrew is not trusted for longer.
const USABLE: Duration = Duration::from_hours(24);

/// How long a failure stands for the next try at least.
const FAILURE_STANDS: Duration = Duration::from_secs(1);

/// The same where something old will do: whoever wants it does not wait for a server that says nothing, but now and then.
const FAILURE_STANDS_BY_OLD: Duration = Duration::from_mins(1);

/// What is known not to be enough is fetched anew at most this often: a provider may go on sending what no key of its fits.
const RENEWAL_INTERVAL: Duration = Duration::from_mins(1);

/// A cached value.
#[derive(Debug)]
pub(super) struct Cached<T> {
    slot: Mutex<Slot<T>>,
    /// How many fetches have come to their end.
    fetches: AtomicU64,
}

#[derive(Debug)]
struct Slot<T> {
    held: Option<Held<T>>,
    failure: Option<(Fault, UnixSeconds)>,
}

#[derive(Debug)]
struct Held<T> {
    value: Arc<T>,
    fetched_at: UnixSeconds,
    /// It was fetched by [`Cached::renew`].
    is_renewal: bool,
}

/// What [`Cached::renew`] comes to.
#[derive(Debug)]
pub(super) struct Renewed<T> {
    pub(super) value: Arc<T>,
    /// It was fetched for this, or for the same reason less than a minute ago. Else it is what there was: no newer can be had.
    pub(super) is_new: bool,
}

/// Why a value is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// Any that is current.
    Current,
    /// Another one.
    Renewal,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { slot: Mutex::new(Slot { held: None, failure: None }), fetches: AtomicU64::new(0) }
    }
}

impl<T> Cached<T> {
    /// Whether [`Cached::obtain`] would begin no fetch and wait for none.
    pub(super) fn is_fresh(&self, now: UnixSeconds) -> bool {
        self.slot.try_lock().is_ok_and(|slot| slot.younger_than(FRESH, now).is_some())
    }

    /// The value; `fetch` is only begun when there is none that will do.
    pub(super) async fn obtain(
        &self,
        now: UnixSeconds,
        fetch: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        self.get(Want::Current, now, fetch).await.map(|got| got.value)
    }

    /// A newer value than the one at hand, however young that is, unless it was renewed less than a minute ago.
    pub(super) async fn renew(
        &self,
        now: UnixSeconds,
        fetch: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Renewed<T>, Fault> {
        self.get(Want::Renewal, now, fetch).await
    }

    async fn get(
        &self,
        want: Want,
        now: UnixSeconds,
        fetch: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Renewed<T>, Fault> {
        let before = self.fetches.load(Ordering::Relaxed);
        let mut slot = self.slot.lock().await;
        let has_waited = self.fetches.load(Ordering::Relaxed) != before;
        if let Some(held) = &slot.held
            && (held.will_do(want, now) || (has_waited && slot.failure.is_none()))
        {
            return Ok(Renewed { value: Arc::clone(&held.value), is_new: held.is_renewal });
        }
        if let Some(fault) = slot.standing(has_waited, now) {
            return slot.old(now).ok_or(fault);
        }
        let fetched = fetch.await;
        self.fetches.fetch_add(1, Ordering::Relaxed);
        match fetched {
            Ok(value) => {
                let (value, is_renewal) = (Arc::new(value), want == Want::Renewal);
                let held = Held { value: Arc::clone(&value), fetched_at: now, is_renewal };
                *slot = Slot { held: Some(held), failure: None };
                Ok(Renewed { value, is_new: is_renewal })
            }
            Err(fault) => {
                slot.failure = Some((fault.clone(), now));
                slot.old(now).ok_or(fault)
            }
        }
    }
}

impl<T> Held<T> {
    fn will_do(&self, want: Want, now: UnixSeconds) -> bool {
        match want {
            Want::Current => is_within(FRESH, self.fetched_at, now),
            Want::Renewal => self.is_renewal && is_within(RENEWAL_INTERVAL, self.fetched_at, now),
        }
    }
}

impl<T> Slot<T> {
    /// The failure that stands for another try. For who `has_waited` for it, that is the one that was waited for.
    fn standing(&self, has_waited: bool, now: UnixSeconds) -> Option<Fault> {
        let (fault, at) = self.failure.as_ref()?;
        let by_old = self.younger_than(USABLE, now).map_or(FAILURE_STANDS, |_| FAILURE_STANDS_BY_OLD);
        let stands = fault.retry_after().unwrap_or_default().max(by_old);
        (has_waited || is_within(stands, *at, now)).then(|| fault.later(now.since(*at)))
    }

    /// What will do while no newer can be had.
    fn old(&self, now: UnixSeconds) -> Option<Renewed<T>> {
        let value = self.younger_than(USABLE, now)?;
        Some(Renewed { value, is_new: false })
    }

    fn younger_than(&self, age: Duration, now: UnixSeconds) -> Option<Arc<T>> {
        let held = self.held.as_ref()?;
        is_within(age, held.fetched_at, now).then(|| Arc::clone(&held.value))
    }
}

/// Whether `at` is less than `span` ago. A time to come is not: the clock was set back, and nothing is known of the age.
fn is_within(span: Duration, at: UnixSeconds, now: UnixSeconds) -> bool {
    at <= now && now.since(at) < span
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::provider::Place;

    const NO: Fault = Fault::NoRefreshToken;

    async fn obtain(cache: &Cached<u8>, now: i64, answer: Result<u8, Fault>, asked: &Cell<u32>) -> Result<u8, Fault> {
        let fetch = async {
            asked.set(asked.get() + 1);
            answer
        };
        cache.obtain(UnixSeconds(now), fetch).await.map(|value| *value)
    }

    #[tokio::test]
    async fn a_value_is_fetched_once_an_hour_and_outlives_a_failing_provider_for_a_day() {
        let (cache, asked) = (Cached::default(), Cell::new(0));
        assert_eq!(obtain(&cache, 1000, Ok(1), &asked).await, Ok(1));
        assert_eq!(obtain(&cache, 4599, Ok(2), &asked).await, Ok(1));
        assert_eq!(asked.get(), 1);
        assert_eq!(obtain(&cache, 4600, Err(NO), &asked).await, Ok(1));
        assert_eq!(obtain(&cache, 4659, Ok(2), &asked).await, Ok(1), "nobody waits for it again so soon");
        assert_eq!(obtain(&cache, 4660, Ok(2), &asked).await, Ok(2));
        assert_eq!(obtain(&cache, 4660 + 86_400, Err(NO), &asked).await, Err(NO));
    }

    #[tokio::test]
    async fn a_provider_that_asks_to_wait_is_not_asked_before_and_whoever_asks_is_told_how_long() {
        let busy = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            Err(Fault::Busy { place: Place::Discovery, status: 429, retry_after })
        };
        let (cache, asked) = (Cached::default(), Cell::new(0));
        assert_eq!(obtain(&cache, 1000, busy(300), &asked).await, busy(300));
        assert_eq!(obtain(&cache, 1299, Ok(1), &asked).await, busy(1));
        assert_eq!(obtain(&cache, 1300, Ok(1), &asked).await, Ok(1));
        assert_eq!(obtain(&cache, 5000, busy(300), &asked).await, Ok(1));
        assert_eq!(obtain(&cache, 5299, Ok(2), &asked).await, Ok(1));
        assert_eq!((obtain(&cache, 5300, Ok(2), &asked).await, asked.get()), (Ok(2), 4));
    }

    #[tokio::test]
    async fn whoever_waits_while_a_dead_server_is_asked_does_not_ask_it_again() {
        let (cache, asked) = (Cached::default(), Cell::new(0));
        let answered = tokio::sync::Notify::new();
        let first = cache.obtain(UnixSeconds(1000), async {
            answered.notified().await;
            Err::<u8, _>(NO)
        });
        // They come while the first one waits for its timeout: much later than the failure stands.
        let second = obtain(&cache, 1010, Ok(1), &asked);
        let third = obtain(&cache, 1015, Ok(1), &asked);
        let dead = async {
            tokio::task::yield_now().await;
            answered.notify_one();
        };
        let (first, second, third, ()) = tokio::join!(first, second, third, dead);
        assert_eq!((first.map(|value| *value), second, third, asked.get()), (Err(NO), Err(NO), Err(NO), 0));
        assert_eq!(obtain(&cache, 1016, Ok(1), &asked).await, Ok(1));
    }

    #[tokio::test]
    async fn a_failure_is_not_repeated_for_every_caller() {
        let (cache, asked) = (Cached::default(), Cell::new(0));
        assert_eq!(obtain(&cache, 1000, Err(NO), &asked).await, Err(NO));
        assert_eq!(obtain(&cache, 1000, Ok(1), &asked).await, Err(NO));
        assert_eq!(asked.get(), 1);
        assert_eq!(obtain(&cache, 1001, Ok(1), &asked).await, Ok(1));
    }

    /// The value, and whether it is new.
    async fn renew(cache: &Cached<u8>, now: i64, answer: Result<u8, Fault>) -> Result<(u8, bool), Fault> {
        cache.renew(UnixSeconds(now), async { answer }).await.map(|got| (*got.value, got.is_new))
    }

    #[tokio::test]
    async fn what_is_not_enough_is_fetched_anew_however_young_it_is_and_then_not_for_a_minute() {
        let (cache, asked) = (Cached::default(), Cell::new(0));
        assert_eq!(obtain(&cache, 1000, Ok(1), &asked).await, Ok(1));
        assert_eq!(renew(&cache, 1000, Ok(2)).await, Ok((2, true)));
        assert_eq!(renew(&cache, 1059, Ok(3)).await, Ok((2, true)));
        assert_eq!(obtain(&cache, 1059, Ok(3), &asked).await, Ok(2));
        assert_eq!(renew(&cache, 1060, Ok(3)).await, Ok((3, true)));
        assert_eq!(obtain(&cache, 4660, Ok(4), &asked).await, Ok(4));
        assert_eq!(renew(&cache, 4661, Ok(5)).await, Ok((5, true)), "that was not fetched because it was not enough");
    }

    #[tokio::test]
    async fn a_renewal_that_fails_leaves_what_there_was_and_is_not_tried_again_for_a_minute() {
        let (cache, asked) = (Cached::default(), Cell::new(0));
        assert_eq!(obtain(&cache, 1000, Ok(1), &asked).await, Ok(1));
        assert_eq!(renew(&cache, 1010, Err(NO)).await, Ok((1, false)));
        assert_eq!(renew(&cache, 1069, Ok(2)).await, Ok((1, false)));
        assert_eq!(renew(&cache, 1070, Ok(2)).await, Ok((2, true)));
        assert_eq!(renew(&cache, 1130, Err(NO)).await, Ok((2, false)), "what was new once is not for ever");
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_makes_nothing_fresh_or_new() {
        let (cache, asked) = (Cached::default(), Cell::new(0));
        assert_eq!(renew(&cache, 1000, Ok(1)).await, Ok((1, true)));
        assert_eq!(renew(&cache, 500, Ok(2)).await, Ok((2, true)));
        assert_eq!(obtain(&cache, 400, Ok(3), &asked).await, Ok(3));
        assert_eq!(renew(&cache, 400, Ok(4)).await, Ok((4, true)));
    }

    #[tokio::test]
    async fn many_who_find_it_not_enough_at_once_have_it_fetched_once() {
        let cache = Cached::default();
        assert_eq!(obtain(&cache, 1000, Ok(1), &Cell::new(0)).await, Ok(1));
        let answered = tokio::sync::Notify::new();
        let first = cache.renew(UnixSeconds(1000), async {
            answered.notified().await;
            Ok(2)
        });
        let answer = async {
            tokio::task::yield_now().await;
            answered.notify_one();
        };
        // One of them began to wait before the first did, by its own clock; one comes when it is long over.
        let (first, second, third, ()) =
            tokio::join!(first, renew(&cache, 999, Ok(3)), renew(&cache, 1100, Ok(4)), answer);
        assert_eq!((first.map(|got| *got.value), second, third), (Ok(2), Ok((2, true)), Ok((2, true))));
    }
}

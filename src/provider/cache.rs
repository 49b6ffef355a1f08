//! Something fetched from a provider and kept for a while: discovery document and key set.
//!
//! One caller fetches while the others wait for what it brings, be it a failure. What is old is still used when no newer can be
//! had, and is not asked for again for a while then, nor before the provider wants it: a thousand sessions that come due together
//! do not each wait for the same dead server.

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

/// What is known not to be enough is fetched anew at most this often: anyone can make up an ID token with an unknown key.
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
    value: Option<(Arc<T>, UnixSeconds)>,
    failure: Option<(Fault, UnixSeconds)>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { slot: Mutex::new(Slot { value: None, failure: None }), fetches: AtomicU64::new(0) }
    }
}

impl<T> Cached<T> {
    /// Whether [`Cached::obtain`] would begin no fetch and wait for none.
    pub(super) fn is_fresh(&self, now: UnixSeconds) -> bool {
        self.slot.try_lock().is_ok_and(|slot| slot.younger_than(FRESH, now).is_some())
    }

    /// Whether the value at hand is as new as [`Cached::renew`] makes it.
    pub(super) fn is_renewed(&self, now: UnixSeconds) -> bool {
        self.slot.try_lock().is_ok_and(|slot| slot.younger_than(RENEWAL_INTERVAL, now).is_some())
    }

    /// The value; `fetch` is only begun when there is none that will do.
    pub(super) async fn obtain(
        &self,
        now: UnixSeconds,
        fetch: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        self.younger_than(FRESH, now, fetch).await
    }

    /// A newer value than the one at hand, unless that was fetched less than a minute ago.
    pub(super) async fn renew(
        &self,
        now: UnixSeconds,
        fetch: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        self.younger_than(RENEWAL_INTERVAL, now, fetch).await
    }

    async fn younger_than(
        &self,
        age: Duration,
        now: UnixSeconds,
        fetch: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        let before = self.fetches.load(Ordering::Relaxed);
        let mut slot = self.slot.lock().await;
        let has_waited = self.fetches.load(Ordering::Relaxed) != before;
        if let Some((value, at)) = &slot.value
            && (is_within(age, *at, now) || (has_waited && slot.failure.is_none()))
        {
            return Ok(Arc::clone(value));
        }
        if let Some(fault) = slot.standing(has_waited, now) {
            return slot.younger_than(USABLE, now).ok_or(fault);
        }
        let fetched = fetch.await;
        self.fetches.fetch_add(1, Ordering::Relaxed);
        match fetched {
            Ok(value) => {
                let value = Arc::new(value);
                *slot = Slot { value: Some((Arc::clone(&value), now)), failure: None };
                Ok(value)
            }
            Err(fault) => {
                slot.failure = Some((fault.clone(), now));
                slot.younger_than(USABLE, now).ok_or(fault)
            }
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

    fn younger_than(&self, age: Duration, now: UnixSeconds) -> Option<Arc<T>> {
        let (value, at) = self.value.as_ref()?;
        is_within(age, *at, now).then(|| Arc::clone(value))
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

    #[tokio::test]
    async fn a_renewal_waits_a_minute_and_a_clock_set_back_makes_nothing_fresh() {
        let (cache, asked) = (Cached::default(), Cell::new(0));
        assert_eq!(obtain(&cache, 1000, Ok(1), &asked).await, Ok(1));
        let renew = |now, value| cache.renew(UnixSeconds(now), async move { Ok(value) });
        assert_eq!(renew(1059, 2).await.map(|value| *value), Ok(1));
        assert_eq!(renew(1060, 3).await.map(|value| *value), Ok(3));
        assert_eq!(obtain(&cache, 500, Ok(4), &asked).await, Ok(4));
    }
}

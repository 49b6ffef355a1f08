//! Something fetched from a provider and kept for a while: discovery document and key set.
//!
//! One caller fetches while the others wait for what it brings. What is old is still used when no newer can be had; a failure
//! is remembered for a moment, so that a thousand sessions that come due together do not each wait for the same dead server.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;
use tokio::sync::Mutex;

use super::Fault;

/// How long something is taken for current: a provider that moves an endpoint keeps the old one at least as long.
const FRESH: Duration = Duration::from_hours(1);

/// How long something is used when no newer can be had. A key that the provider withdrew is not trusted for longer.
const USABLE: Duration = Duration::from_hours(24);

/// How long a failure stands for the next try.
const FAILURE_STANDS: Duration = Duration::from_secs(1);

/// What is known not to be enough is fetched anew at most this often: anyone can make up an ID token with an unknown key.
const RENEWAL_INTERVAL: Duration = Duration::from_mins(1);

/// A cached value.
#[derive(Debug)]
pub(super) struct Cached<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    value: Option<(Arc<T>, UnixSeconds)>,
    failure: Option<(Fault, UnixSeconds)>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot { value: None, failure: None }))
    }
}

impl<T> Cached<T> {
    /// Whether [`Cached::obtain`] would begin no fetch and wait for none.
    pub(super) fn is_fresh(&self, now: UnixSeconds) -> bool {
        self.0.try_lock().is_ok_and(|slot| slot.younger_than(FRESH, now).is_some())
    }

    /// The value; `fetch` is only begun when there is none that will do.
    pub(super) async fn obtain(
        &self,
        now: UnixSeconds,
        fetch: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        let mut slot = self.0.lock().await;
        match slot.younger_than(FRESH, now) {
            Some(value) => Ok(value),
            None => slot.fill(now, fetch).await,
        }
    }

    /// A newer value than the one at hand, unless that was fetched less than a minute ago.
    pub(super) async fn renew(
        &self,
        now: UnixSeconds,
        fetch: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        let mut slot = self.0.lock().await;
        match slot.younger_than(RENEWAL_INTERVAL, now) {
            Some(value) => Ok(value),
            None => slot.fill(now, fetch).await,
        }
    }
}

impl<T> Slot<T> {
    async fn fill(&mut self, now: UnixSeconds, fetch: impl Future<Output = Result<T, Fault>>) -> Result<Arc<T>, Fault> {
        let standing = self.failure.as_ref().filter(|(_, at)| is_within(FAILURE_STANDS, *at, now));
        let fault = match standing {
            Some((fault, _)) => fault.clone(),
            None => match fetch.await {
                Ok(value) => {
                    let value = Arc::new(value);
                    *self = Self { value: Some((Arc::clone(&value), now)), failure: None };
                    return Ok(value);
                }
                Err(fault) => {
                    self.failure = Some((fault.clone(), now));
                    fault
                }
            },
        };
        self.younger_than(USABLE, now).ok_or(fault)
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
        assert_eq!(obtain(&cache, 4606, Ok(2), &asked).await, Ok(2));
        assert_eq!(obtain(&cache, 4606 + 86_400, Err(NO), &asked).await, Err(NO));
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

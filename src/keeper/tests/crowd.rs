//! Ten thousand sessions that come to one provider, and what is expected of them: one after the other at the configured rate, so
//! many at a time, whose token expires soonest first.
//!
//! The clock is set by hand. It goes on by one turn of the rate at a time, and only when the request has left that this turn lets
//! go: so the machine may be as slow as it likes.

use super::*;
use crate::config::settings::Courtesy;

pub(super) const SESSIONS: u32 = 10_000;
pub(super) const HOUR: u64 = 3600;
/// What the provider may be asked: once in so long, and so many at a time. It is longer than what the gate makes up for late timers.
pub(super) const GAP: Duration = Duration::from_millis(10);
pub(super) const AT_ONCE: usize = 8;
/// Sessions that are attended to at a time: some of them ask nobody yet, or no more.
pub(super) const IN_THE_AIR: usize = AT_ONCE + AT_ONCE / 4;

/// The reference of session `number`.
pub(super) fn reference(number: u32) -> SessionRef {
    let [a, b, c, d] = number.to_be_bytes();
    // In no order.
    SessionRef::from_random([d, c, b, a, 9])
}

/// Sessions that fall due in the hour after `first`. The first of them is the last to expire; all have three hours at least.
pub(super) async fn home(first: UnixSeconds) -> Home {
    let courtesy = Courtesy { concurrency: AT_ONCE, per_minute: Some(6_000) };
    let home = Home::with(|settings| settings.courtesy = courtesy, |session| session.due_at = None).await;
    let model = home.session();
    for numbers in (0..SESSIONS).collect::<Vec<_>>().chunks(500) {
        let mut change = home.vault.change(NOW);
        for number in numbers {
            let mut session = Session { id: reference(*number), ..model.clone() };
            let after = u64::from(SESSIONS - number) * HOUR / u64::from(SESSIONS);
            session.due_at = Some(first + Duration::from_secs(after));
            let tokens = session.tokens.as_mut().unwrap();
            tokens.access.expires_at = at(3 * HOUR + u64::from(*number));
            tokens.refresh = Some(Secret::from(format!("rt-{number:05}-0123456789")));
            change.insert(&session).unwrap();
        }
        change.commit().await.unwrap();
    }
    home
}

/// The numbers of the sessions whose refresh tokens were sent, in their order.
pub(super) fn sent(home: &Home) -> Vec<u32> {
    let requests = home.server.requests("/token");
    requests.iter().map(|request| request.field("refresh_token").unwrap()[3..8].parse().unwrap()).collect()
}

/// Lets much time pass while all answers but the first `answered` are held: so many are on their way then, and no more.
pub(super) async fn assert_so_many_at_once(home: &Home, answered: usize) {
    for _ in 0..100 {
        home.clock.advance(GAP);
        tokio::time::sleep(GAP).await;
    }
    until(|| home.posts() >= answered + AT_ONCE).await;
    assert_eq!(home.posts(), answered + AT_ONCE);
}

/// Lets all come, one in each turn of the rate.
pub(super) async fn let_all_come(home: &Home) {
    let before = home.posts();
    for turn in 1.. {
        tokio::select! {
            biased;
            () = home.keeper.lanes_at_rest() => return,
            () = until(|| home.posts() >= before + turn) => {}
        }
        assert!(home.posts() <= before + turn, "{} have left in {turn} turns", home.posts() - before);
        home.clock.advance(GAP);
    }
}

/// These came once each, in this order: but those that are on their way at once may pass each other.
pub(super) fn assert_in_order(came: &[u32], expected: &[u32]) {
    assert_eq!(came.len(), expected.len());
    for (place, number) in came.iter().enumerate() {
        let right = expected.binary_search(number).unwrap();
        assert!(place.abs_diff(right) < IN_THE_AIR, "number {right} came as number {place}");
    }
    let mut all = came.to_vec();
    all.sort_unstable();
    assert_eq!(all, expected);
}

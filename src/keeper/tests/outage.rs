//! A provider that is away for an hour while ten thousand sessions fall due, and comes back.
//!
//! The clock is set by hand. Once the provider is back it goes on by one turn of the rate at a time, and only when the request
//! has left that this turn lets go: so the machine may be as slow as it likes.

use super::*;
use crate::config::settings::Courtesy;
use crate::keeper::Served;

const SESSIONS: u32 = 10_000;
/// As many are watched as they come back.
const WATCHED: usize = 1_000;
const HOUR: u64 = 3600;
/// How far apart the looks at the agenda are during the outage, in seconds.
const STEP: u64 = 120;
/// What the provider may be asked: once in so long, and so many at a time. It is longer than what the gate makes up for late timers.
const GAP: Duration = Duration::from_millis(10);
const AT_ONCE: usize = 8;

/// The reference of session `number`.
fn reference(number: u32) -> SessionRef {
    let [a, b, c, d] = number.to_be_bytes();
    // In no order.
    SessionRef::from_random([d, c, b, a, 9])
}

/// The first to fall due is the last to expire; all have three hours at least.
async fn home() -> Home {
    let courtesy = Courtesy { concurrency: AT_ONCE, per_minute: Some(6_000) };
    let home = Home::with(|settings| settings.courtesy = courtesy, |session| session.due_at = None).await;
    let model = home.session();
    for numbers in (0..SESSIONS).collect::<Vec<_>>().chunks(500) {
        let mut change = home.vault.change(NOW);
        for number in numbers {
            let mut session = Session { id: reference(*number), ..model.clone() };
            session.due_at = Some(at(u64::from(SESSIONS - number) * HOUR / u64::from(SESSIONS)));
            let tokens = session.tokens.as_mut().unwrap();
            tokens.access.expires_at = at(3 * HOUR + u64::from(*number));
            tokens.refresh = Some(Secret::from(format!("rt-{number:05}-0123456789")));
            change.insert(&session).unwrap();
        }
        change.commit().await.unwrap();
    }
    home
}

fn is_served(home: &Home, number: u32) -> bool {
    let Look::Live(live) = home.keeper.look(reference(number)).unwrap() else { return false };
    matches!(home.keeper.serve(&permit(Action::Token), &live, None).unwrap(), Served::Now(_))
}

/// Has everything done that can be done now, and lets as much time pass as that takes at the rate.
async fn attend_to_what_can_be_done(home: &Home) {
    home.keeper.line_up(home.clock.now()).await.unwrap();
    let mut tick = tokio::time::interval(GAP);
    loop {
        tokio::select! {
            biased;
            () = home.keeper.lanes_at_rest() => return,
            _ = tick.tick() => home.clock.advance(GAP),
        }
    }
}

/// The numbers of the sessions whose refresh tokens were sent, in their order.
fn sent(home: &Home) -> Vec<u32> {
    let requests = home.server.requests("/token");
    requests.iter().map(|request| request.field("refresh_token").unwrap()[3..8].parse().unwrap()).collect()
}

#[tokio::test]
async fn after_an_hour_without_a_provider_ten_thousand_sessions_come_back_in_order_and_no_faster_than_allowed() {
    let home = home().await;
    home.server.script("/token", Reply::text(503, "text/html", ""));
    for step in 0..=HOUR / STEP {
        home.sleep_until(step * STEP);
        attend_to_what_can_be_done(&home).await;
        assert!(
            (0..SESSIONS).step_by(1000).all(|number| is_served(&home, number)),
            "live tokens are served throughout"
        );
    }
    let needs_more = home.keeper.attend(reference(SESSIONS - 1), Wish::NewToken).outcome().await.unwrap_err();
    assert!(needs_more.to_string().contains("try again in"), "{needs_more}");
    let tried = sent(&home);
    assert!(tried.len() < 100, "it was left alone, but for one try now and then: {}", tried.len());

    // It is back: the next try finds out, and nobody is sent after it before.
    let bell = home.hold(renewal());
    home.clock.advance(Duration::from_mins(1));
    home.keeper.line_up(home.clock.now()).await.unwrap();
    until(|| home.posts() > tried.len()).await;
    bell.notify_one();
    // Those that follow are kept waiting for their answers: more than that are not asked for at once.
    let before = home.posts();
    for _ in 0..100 {
        home.clock.advance(GAP);
        tokio::time::sleep(GAP).await;
    }
    until(|| home.posts() >= before + AT_ONCE).await;
    assert_eq!((before, home.posts()), (tried.len() + 1, before + AT_ONCE));

    home.server.script("/token", renewal());
    bell.notify_waiters();
    let before = home.posts();
    for turn in 1..=WATCHED {
        until(|| home.posts() >= before + turn).await;
        assert!(home.posts() <= before + turn, "{} have left in {turn} turns", home.posts() - before);
        home.clock.advance(GAP);
    }
    home.stop.cancel();
    // What was tried in vain waits for its own next try; everybody else comes in the order in which tokens expire.
    let order: Vec<_> = sent(&home).into_iter().filter(|number| !tried.contains(number)).collect();
    let others: Vec<_> = (0..SESSIONS).filter(|number| !tried.contains(number)).collect();
    for (place, number) in order.iter().enumerate() {
        let right = others.binary_search(number).unwrap();
        assert!(place.abs_diff(right) < AT_ONCE, "number {right} came as number {place}");
    }
}

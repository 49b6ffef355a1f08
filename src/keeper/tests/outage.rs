//! A provider that is away for an hour while ten thousand sessions fall due, and comes back.

use super::*;
use crate::config::settings::Courtesy;

const SESSIONS: u32 = 10_000;
/// As many are watched as they come back.
const WATCHED: usize = 1_500;
const HOUR: u64 = 3600;
/// What the provider may be asked: so many in a second, and at once.
const RATE: u32 = 100;
const AT_ONCE: usize = 8;

/// Session `number`: due within the hour, its token the `number`th to expire after it.
fn one(home: &Home, number: u32) -> Session {
    let [a, b, c, d] = number.to_be_bytes();
    let mut session = Session { id: SessionRef::from_random([9, a, b, c, d]), ..home.session() };
    session.due_at = Some(at(u64::from(number) * HOUR / u64::from(SESSIONS)));
    let tokens = session.tokens.as_mut().unwrap();
    tokens.access.expires_at = at(3 * HOUR + u64::from(number));
    tokens.refresh = Some(Secret::from(format!("rt-{number:05}-0123456789")));
    session
}

async fn home() -> Home {
    let courtesy = Courtesy { concurrency: AT_ONCE, per_minute: Some(RATE * 60) };
    let home = Home::with(|settings| settings.courtesy = courtesy, |session| session.due_at = None).await;
    // Those that expire last come first.
    for numbers in (0..SESSIONS).rev().collect::<Vec<_>>().chunks(500) {
        let mut change = home.vault.change(NOW);
        for number in numbers {
            change.insert(&one(&home, *number)).unwrap();
        }
        change.commit().await.unwrap();
    }
    home
}

fn is_served(home: &Home, number: u32) -> bool {
    let Look::Live(live) = home.keeper.look(one(home, number).id).unwrap() else { return false };
    matches!(home.keeper.serve(&permit(Action::Token), &live, None).unwrap(), super::super::Served::Now(_))
}

/// Lets time pass until nothing is on its way and nobody waits for a turn.
async fn come_to_rest(home: &Home) {
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            biased;
            () = home.keeper.lanes_at_rest() => return,
            _ = tick.tick() => home.clock.advance(Duration::from_millis(10)),
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
    while home.clock.now() < at(HOUR) {
        home.keeper.line_up(home.clock.now()).await.unwrap();
        come_to_rest(&home).await;
        let number = u32::try_from(home.clock.now().since(NOW).as_secs()).unwrap();
        assert!(is_served(&home, number), "live tokens are served throughout");
        let nap = home.keeper.next_try().unwrap_or(Duration::from_secs(1));
        home.clock.advance(nap.min(Duration::from_secs(20)));
    }
    let provider = home.keeper.providers().values().next().cloned().unwrap();
    assert!(provider.gate().is_broken());
    let needs_more = home.keeper.attend(one(&home, SESSIONS - 1).id, Wish::NewToken).outcome().await.unwrap_err();
    assert!(needs_more.to_string().contains("try again in"), "{needs_more}");
    let tried = sent(&home);
    assert!(tried.len() < 200, "it was left alone, but for one try now and then: {}", tried.len());

    home.server.script("/token", renewal());
    let mut seen = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while home.posts() < tried.len() + WATCHED {
        home.keeper.line_up(home.clock.now()).await.unwrap();
        tick.tick().await;
        home.clock.advance(Duration::from_millis(10));
        assert!(home.vault.unsettled().unwrap().len() <= AT_ONCE, "no more at once than allowed");
        seen.push((home.clock.boot(), home.posts()));
        assert!(seen.len() < 1_000_000, "{} of {WATCHED} came back", home.posts());
    }
    home.stop.cancel();
    come_to_rest(&home).await;
    for window in seen.windows(100) {
        let (from, to) = (window[0], window[99]);
        let (span, left) = (to.0.saturating_sub(from.0), to.1 - from.1);
        let allowed = span.as_millis() * u128::from(RATE) / 1000;
        assert!(left as u128 <= allowed + AT_ONCE as u128, "{left} in {span:?}");
    }
    // What was tried in vain waits for its own next try; everybody else comes in the order in which tokens expire.
    let order: Vec<_> = sent(&home).into_iter().filter(|number| !tried.contains(number)).collect();
    let others: Vec<_> = (0..SESSIONS).filter(|number| !tried.contains(number)).collect();
    let place = |number: &u32| others.binary_search(number).unwrap();
    let furthest = order.iter().enumerate().map(|(at, number)| at.abs_diff(place(number))).max().unwrap();
    assert!(furthest <= 2 * AT_ONCE, "somebody came {furthest} places too early or too late");
}

//! A provider that is away for an hour while ten thousand sessions fall due, and comes back.

use super::crowd::{GAP, HOUR, SESSIONS, assert_in_order, assert_so_many_at_once, let_all_come, reference, sent};
use super::*;
use crate::keeper::Served;

/// How far apart the looks at the agenda are during the outage, in seconds.
const STEP: u64 = 120;

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

#[tokio::test]
async fn after_an_hour_without_a_provider_ten_thousand_sessions_come_back_in_order_and_no_faster_than_allowed() {
    let home = crowd::home(at(0)).await;
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
    assert_so_many_at_once(&home, tried.len() + 1).await;

    home.server.script("/token", renewal());
    bell.notify_waiters();
    let_all_come(&home).await;
    // What was tried in vain waits for its own next try; everybody else comes in the order in which tokens expire.
    let came: Vec<_> = sent(&home).into_iter().filter(|number| !tried.contains(number)).collect();
    let others: Vec<_> = (0..SESSIONS).filter(|number| !tried.contains(number)).collect();
    assert_in_order(&came, &others);
}

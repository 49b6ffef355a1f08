//! A wall clock that jumps: nobody gets an expired token, nobody is asked to log in, and no provider is overrun.

use tokio_util::sync::CancellationToken;

use super::crowd::{HOUR, IN_THE_AIR, SESSIONS, assert_in_order, assert_so_many_at_once, let_all_come, sent};
use super::*;
use crate::clock::Turn;

const DAY: i64 = 86_400;
const TEN_YEARS: i64 = 3650 * DAY;

/// Everything that the schedule does, at this moment.
async fn schedule(home: &Home) -> (usize, usize) {
    home.keeper.look_at_clock().await;
    let pruned = home.keeper.prune(&CancellationToken::new()).await.unwrap();
    (home.attend_to_all_due().await, pruned)
}

fn is_served(home: &Home) -> bool {
    let Look::Live(live) = home.keeper.look(home.id).unwrap() else { panic!("the session is not live") };
    matches!(home.keeper.serve(&permit(Action::Token), &live, None).unwrap(), super::super::Served::Now(_))
}

#[tokio::test]
async fn nothing_becomes_due_and_nothing_ends_for_a_jump_and_its_return() {
    for by in [DAY, -DAY, TEN_YEARS, -TEN_YEARS] {
        let home = Home::new().await;
        home.sleep_until(10);
        home.clock.set_wall_by(by);
        assert_eq!(schedule(&home).await, (0, 0), "{by}");
        home.sleep_until(100);
        assert_eq!(schedule(&home).await, (0, 0), "{by}");
        home.clock.set_wall_by(-by);
        assert_eq!(schedule(&home).await, (0, 0), "{by}");
        assert!(is_served(&home), "the token is as good as it was");
        assert_eq!(home.posts(), 0);
        home.sleep_until(200);
        assert_eq!(schedule(&home).await, (1, 0), "due when it was due");
    }
}

#[tokio::test]
async fn after_a_jump_forward_a_token_of_before_is_replaced_once_by_one_that_is_served() {
    let home = Home::new().await;
    home.sleep_until(10);
    home.clock.set_wall_by(TEN_YEARS);
    assert!(!is_served(&home), "it may have expired");
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    assert!(is_served(&home));
    assert_eq!(home.token().as_deref(), Some("at-new"));
    assert!(home.session().state.is_active());
    home.clock.set_wall_by(-TEN_YEARS);
    home.keeper.look_at_clock().await;
    home.sleep_until(309);
    assert!(!is_served(&home), "it is not thought to live for years");
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn after_a_jump_back_a_token_expires_when_it_expires() {
    for by in [-DAY, -TEN_YEARS] {
        let home = Home::new().await;
        home.sleep_until(10);
        home.clock.set_wall_by(by);
        home.sleep_until(230);
        assert!(is_served(&home));
        home.sleep_until(300);
        assert!(!is_served(&home));
        home.keeper.look_at_clock().await;
        assert!(!is_served(&home));
        home.sleep_until(950);
        home.keeper.look_at_clock().await;
        assert!(home.clock.doubt().is_none(), "ten minutes confirm it");
        assert!(!is_served(&home), "nor does it come to life when the jump is followed");
        assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
        assert!(is_served(&home));
    }
}

/// A clock that was ahead by so much until 10 s after the beginning, and ten minutes more.
async fn set_back(home: &Home, by: i64) {
    home.clock.set_wall_by(-by);
    home.keeper.look_at_clock().await;
    home.clock.advance(Duration::from_secs(650));
    home.keeper.look_at_clock().await;
    assert!(home.clock.doubt().is_none(), "ten minutes confirm it");
}

#[tokio::test]
async fn what_was_held_back_by_a_clock_that_was_ahead_is_not_held_back_for_as_long() {
    for (by, reply) in [(DAY, Reply::text(503, "text/html", "")), (TEN_YEARS, Reply::HangUpAfter)] {
        let home = Home::new().await;
        home.sleep_until(10);
        home.server.script("/token", reply);
        assert!(home.attend(Wish::NewToken).await.is_err());
        set_back(&home, by).await;
        assert!(home.attend(Wish::NewToken).await.is_err(), "it is tried at once");
        assert_eq!(home.posts(), 2);
        assert!(home.attend(Wish::NewToken).await.is_err());
        assert_eq!(home.posts(), 2, "but not without a pause");
        home.server.script("/token", renewal());
        home.clock.advance(Duration::from_secs(2));
        assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    }
}

#[tokio::test]
async fn what_was_due_by_a_clock_that_was_ahead_is_due_when_it_is_set_back_and_ends_no_later_than_it_would() {
    for by in [DAY, TEN_YEARS] {
        let home = Home::with(|settings| settings.max_age = Duration::from_hours(1), |_| {}).await;
        home.sleep_until(10);
        set_back(&home, by).await;
        until(|| home.session().due_at <= Some(home.clock.now())).await;
        let now = home.clock.now();
        assert_eq!(
            (home.session().ends_at, home.session().prune_at),
            (now + Duration::from_hours(1), now + Duration::from_hours(1))
        );
        assert_eq!(home.attend_to_all_due().await, 1);
        assert_eq!(home.posts(), 1);
        assert!(is_served(&home));
    }
}

#[tokio::test]
async fn what_a_stop_kept_from_being_due_when_the_clock_was_set_back_is_so_after_the_next_start() {
    let home = Home::new().await;
    home.sleep_until(10);
    home.stop.cancel();
    set_back(&home, DAY).await;
    let home = home.restarted().await;
    let by_the_clock_of_before = home.session().due_at;
    assert_eq!((by_the_clock_of_before, home.vault.called_up().unwrap()), (Some(at(200)), 0));
    home.keeper.look_at_clock().await;
    until(|| home.vault.called_up().unwrap() == 1).await;
    assert_eq!(home.session().due_at, Some(home.clock.now()));
    // Once.
    home.edit(|session| session.due_at = by_the_clock_of_before).await;
    home.keeper.look_at_clock().await;
    home.keeper.tasks.close();
    home.keeper.tasks.wait().await;
    assert_eq!(home.session().due_at, by_the_clock_of_before);
}

#[tokio::test]
async fn a_session_ends_by_a_jump_only_when_that_is_confirmed() {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    home.clock.set_wall_by(TEN_YEARS);
    assert_eq!(schedule(&home).await, (0, 0));
    home.sleep_until(599);
    assert_eq!(schedule(&home).await, (0, 0));
    home.sleep_until(602);
    assert_eq!(schedule(&home).await.1, 1);
}

#[tokio::test]
async fn when_a_jump_forward_is_followed_ten_thousand_sessions_come_in_order_and_no_faster_than_allowed() {
    let home = crowd::home(at(HOUR)).await;
    home.clock.set_wall_by(DAY);
    assert_eq!(schedule(&home).await, (0, 0));
    home.sleep_until(602);
    let bell = home.hold(renewal());
    home.keeper.look_at_clock().await;
    assert_eq!((home.clock.doubt(), home.posts()), (None, 0));
    assert_eq!(home.keeper.line_up(home.clock.now()).await.unwrap(), SESSIONS as usize, "all of them are due");
    assert_so_many_at_once(&home, 0).await;
    home.server.script("/token", renewal());
    bell.notify_waiters();
    let_all_come(&home).await;
    // Those that are read first do not wait until all are.
    let came = sent(&home);
    let (first, then) = came.split_at(IN_THE_AIR);
    assert_in_order(then, &(0..SESSIONS).filter(|number| !first.contains(number)).collect::<Vec<_>>());
    assert_eq!(home.attend_to_all_due().await, 0, "that is all that a jump costs");
}

#[tokio::test]
async fn a_mark_of_before_a_jump_is_written_anew_however_often_that_fails() {
    let home = Home::new().await;
    home.clock.set_wall_by(-DAY);
    home.keeper.look_at_clock().await;
    home.sleep_until(602);
    home.store.take_only(0);
    home.keeper.look_at_clock().await;
    home.store.recover();
    assert_eq!((home.clock.doubt(), home.vault.clock_mark().unwrap().unwrap().era), (None, 0));
    home.keeper.look_at_clock().await;
    let mark = home.vault.clock_mark().unwrap().unwrap();
    assert_eq!((mark.now, mark.era), (home.clock.now(), 1));
}

#[tokio::test]
async fn a_jump_is_told_once_and_the_next_start_knows_the_time() {
    let home = Home::new().await;
    home.keeper.look_at_clock().await;
    home.clock.set_wall_by(-DAY);
    home.keeper.look_at_clock().await;
    home.keeper.look_at_clock().await;
    assert_eq!(home.vault.outbox_waiting().unwrap(), 1);
    assert_eq!(home.clock.take_turns(), [] as [Turn; 0]);
    let mark = home.vault.clock_mark().unwrap().unwrap();
    assert_eq!(mark.now, at(0));
    home.sleep_until(290);
    home.keeper.look_at_clock().await;
    assert_eq!(home.vault.clock_mark().unwrap(), Some(mark), "not at every look");
    home.sleep_until(310);
    home.keeper.look_at_clock().await;
    assert_eq!(home.vault.clock_mark().unwrap().unwrap().now, at(310));
}

#[tokio::test]
async fn after_a_night_asleep_what_is_overdue_is_refreshed_soonest_to_expire_first_and_is_no_jump() {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    let mut change = home.vault.change(NOW);
    for number in 0..40_u8 {
        let id = SessionRef::from_random([number + 100; 5]);
        let mut session = Session { id, due_at: Some(at(200 + u64::from(number))), ..home.session() };
        let refresh = format!("rt-{number:02}-0123456789");
        session.tokens.as_mut().unwrap().refresh = Some(refresh.as_str().into());
        change.insert(&session).unwrap();
    }
    change.commit().await.unwrap();
    home.clock.advance(Duration::from_hours(9));
    assert_eq!(schedule(&home).await, (40, 0));
    assert_eq!(home.clock.doubt(), None);
    let sent: Vec<_> =
        home.server.requests("/token").iter().map(|request| request.field("refresh_token").unwrap()).collect();
    let place = |number: usize| sent.iter().position(|it| it.starts_with(&format!("rt-{number:02}"))).unwrap();
    assert!((0..8).all(|soon| (32..40).all(|late| place(soon) < place(late))), "{sent:?}");
}

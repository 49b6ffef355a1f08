//! What is told of a session while it is kept.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::audit::What;

const DAY: u64 = 86_400;

fn told(home: &Home) -> Vec<What> {
    let page = home.vault.history(&home.session(), None, usize::MAX).unwrap();
    page.events.into_iter().map(|event| event.what).collect()
}

#[tokio::test]
async fn a_history_keeps_the_last_hundred_changes_of_a_session_that_is_refreshed_often() {
    let home = Home::new().await;
    for _ in 0..120 {
        assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    }
    let generations: Vec<_> = told(&home)
        .into_iter()
        .map(|what| match what {
            What::RefreshDone { generation, .. } => generation,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(generations, (22..=121).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_that_grows_old_tells_each_step_and_that_it_was_revoked() {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    let prune = async || home.keeper.prune(&CancellationToken::new()).await.unwrap();
    home.sleep_until(30 * DAY);
    assert_eq!((prune().await, home.attend_to_all_due().await), (1, 1));
    home.sleep_until(37 * DAY);
    assert_eq!(prune().await, 1);
    let told = told(&home);
    let [What::Expired { state: ended, .. }, What::Revoked { outcome, .. }, What::Expired { state, .. }] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!([ended, outcome, state], ["ended", "done", "needs_login"]);
    home.sleep_until(44 * DAY);
    assert_eq!(prune().await, 1);
    let gone = home.vault.history(&crate::domain::Session { told: 3, ..home_session(&home) }, None, 10).unwrap();
    assert_eq!(gone.events, []);
}

/// The session as it was made: by its reference, its history would still be found.
fn home_session(home: &Home) -> Session {
    Session { id: home.id, ..session(home.server.url()) }
}

//! The timer that wakes at the earliest due session.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::BootTimer;
use crate::keeper::{Keeper, KeeperError};

/// The longest sleep: bounds what a change of the wall clock can do to a wait that was computed before it.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Attends to what is due, whenever it is, until `stop`.
///
/// # Errors
/// When the kernel gives no timer.
pub async fn run_due_timer(keeper: Arc<Keeper>, stop: CancellationToken) -> std::io::Result<()> {
    let timer = BootTimer::new()?;
    while !stop.is_cancelled() {
        let attended = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            attended = attend(&keeper) => attended,
        };
        let sleep = match attended {
            Ok(sleep) => sleep,
            Err(error) => {
                tracing::error!(%error, "what is due cannot be looked up");
                LONGEST_SLEEP
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            waited = timer.wait(sleep) => waited?,
            () = keeper.agenda_changed() => {}
        }
    }
    Ok(())
}

async fn attend(keeper: &Arc<Keeper>) -> Result<Duration, KeeperError> {
    let now = keeper.clock().now();
    keeper.attend_to_all_due(now).await?;
    // Behind `now`, not behind the present: what became due in between is next.
    let next = keeper.vault().next_due(now)?;
    Ok(next.map_or(LONGEST_SLEEP, |at| at.since(keeper.clock().now())).min(LONGEST_SLEEP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::tests::{Home, at, renewal, until};

    #[tokio::test]
    async fn what_becomes_due_during_a_pass_is_attended_to_right_after_it() {
        let home = Home::new().await;
        home.sleep_until(200);
        let bell = home.hold(renewal());
        let mut change = home.vault.change(at(0));
        let id = tokenkeeper_protocol::SessionRef::from_random([8; 5]);
        change.insert(&crate::domain::Session { id, due_at: Some(at(201)), ..home.session() }).unwrap();
        change.commit().await.unwrap();
        let (sleep, ()) = tokio::join!(attend(&home.keeper), async {
            until(|| home.posts() == 1).await;
            home.sleep_until(202);
            bell.notify_one();
        });
        assert_eq!((home.posts(), sleep.unwrap()), (1, Duration::ZERO));
        home.server.script("/token", renewal());
        let sleep = attend(&home.keeper).await.unwrap();
        assert_eq!((home.posts(), sleep), (2, LONGEST_SLEEP));
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_not_tried_without_a_pause() {
        let home = Home::new().await;
        home.sleep_until(200);
        home.store.take_only(0);
        for _ in 0..2 {
            assert_eq!(attend(&home.keeper).await.unwrap(), LONGEST_SLEEP);
        }
        home.store.recover();
        home.keeper.replace_providers(crate::keeper::Providers::new(), Duration::ZERO);
        assert_eq!(attend(&home.keeper).await.unwrap(), LONGEST_SLEEP);
        assert_eq!(home.session().due_at, Some(at(500)));
    }

    #[tokio::test]
    async fn once_told_to_stop_it_begins_no_refresh_and_waits_for_none() {
        let home = Home::new().await;
        let bell = home.hold(renewal());
        let mut change = home.vault.change(at(0));
        for number in 0..40 {
            let id = tokenkeeper_protocol::SessionRef::from_random([number; 5]);
            if id != home.id {
                change.insert(&crate::domain::Session { id, ..home.session() }).unwrap();
            }
        }
        change.commit().await.unwrap();
        home.sleep_until(200);
        let stop = CancellationToken::new();
        let (ran, ()) = tokio::join!(run_due_timer(Arc::clone(&home.keeper), stop.clone()), async {
            until(|| home.posts() == 16).await;
            stop.cancel();
        });
        ran.unwrap();
        bell.notify_waiters();
        until(|| home.vault.unsettled().unwrap().is_empty()).await;
        assert_eq!(home.posts(), 16, "those in flight are finished, and no other is begun");
    }
}

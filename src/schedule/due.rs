//! The timer that wakes at the earliest due session.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::BootTimer;
use crate::keeper::{Keeper, KeeperError};

/// The longest sleep: bounds what a change of the wall clock can do to a wait that was computed before it.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// The pause before the agenda is read because it was changed: changes that come together are seen in one reading.
const TOGETHER: Duration = Duration::from_millis(50);

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
            () = keeper.agenda_changed() => {
                if let Some(waited) = stop.run_until_cancelled(timer.wait(TOGETHER.min(sleep))).await {
                    waited?;
                }
            }
        }
    }
    Ok(())
}

async fn attend(keeper: &Arc<Keeper>) -> Result<Duration, KeeperError> {
    let now = keeper.clock().now();
    keeper.line_up(now).await?;
    // Behind `now`, not behind the present: what became due in between is next.
    let next = keeper.vault().next_due(now)?.map(|at| at.since(keeper.clock().now()));
    Ok(next.into_iter().chain(keeper.next_try()).fold(LONGEST_SLEEP, Duration::min))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::tests::{Home, at, renewal, until};

    #[tokio::test]
    async fn what_becomes_due_while_a_refresh_is_on_its_way_does_not_wait_for_it() {
        let home = Home::new().await;
        home.sleep_until(200);
        let bell = home.hold(renewal());
        let mut change = home.vault.change(at(0));
        let id = tokenkeeper_protocol::SessionRef::from_random([8; 5]);
        change.insert(&crate::domain::Session { id, due_at: Some(at(201)), ..home.session() }).unwrap();
        change.commit().await.unwrap();
        assert_eq!(attend(&home.keeper).await.unwrap(), Duration::from_secs(1), "the refresh is not waited for");
        until(|| home.posts() == 1).await;
        home.sleep_until(202);
        home.server.script("/token", renewal());
        let sleep = attend(&home.keeper).await.unwrap();
        until(|| home.posts() == 2).await;
        assert_eq!(sleep, LONGEST_SLEEP);
        bell.notify_one();
        home.keeper.lanes_at_rest().await;
        assert_eq!(home.vault.unsettled().unwrap(), []);
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_not_tried_without_a_pause() {
        let home = Home::new().await;
        home.sleep_until(200);
        home.store.take_only(0);
        for _ in 0..2 {
            assert_eq!(attend(&home.keeper).await.unwrap(), LONGEST_SLEEP);
            home.keeper.lanes_at_rest().await;
        }
        home.store.recover();
        home.keeper.replace_providers(crate::keeper::Providers::new(), Duration::ZERO);
        home.sleep_until(210);
        assert_eq!(attend(&home.keeper).await.unwrap(), LONGEST_SLEEP);
        home.keeper.lanes_at_rest().await;
        assert_eq!(home.session().due_at, Some(at(510)));
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
        let (ran, ()) = tokio::join!(run_due_timer(Arc::clone(&home.keeper), home.stop.clone()), async {
            until(|| home.posts() == 8).await;
            home.stop.cancel();
        });
        ran.unwrap();
        bell.notify_waiters();
        until(|| home.vault.unsettled().unwrap().is_empty()).await;
        assert_eq!(home.posts(), 8, "those in flight are finished, and no other is begun");
    }
}

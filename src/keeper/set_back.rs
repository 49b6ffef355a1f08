//! What was written by a clock that was ahead, and was set back since: by its times nobody would look at a session for as long as
//! it was ahead, and its refresh token could die of that.

use std::sync::Arc;

use futures_util::future::join_all;
use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use super::{Keeper, KeeperError};
use crate::domain::Session;
use crate::vault::VaultError;

/// Sessions that are changed at the same time.
const PAGE: usize = 64;

/// One at a time calls sessions up.
pub(super) type OneAtATime = Arc<tokio::sync::Mutex<()>>;

impl Keeper {
    /// Lets every session that is due by a clock of before be due now, and end no later than one that is opened now. The gates of
    /// the providers spread what follows. What is cut short, by whatever, is done again from its beginning, in this run or in the
    /// next one.
    pub(super) fn call_up_who_is_left(self: &Arc<Self>) {
        let era = self.clock.era();
        // If that does not open, it is written anew.
        let is_done = self.vault.called_up().unwrap_or_default() == era;
        if !is_done && let Ok(turn) = Arc::clone(&self.calling_up).try_lock_owned() {
            let keeper = Arc::clone(self);
            self.spawn(async move {
                keeper.call_up(era).await;
                drop(turn);
            });
        }
    }

    async fn call_up(&self, era: u32) {
        match self.call_up_all(era).await {
            Ok(0) => {}
            Ok(sessions) => {
                tracing::info!(sessions, "the clock was set back, and what was due by it is due now");
                self.agenda.notify_one();
            }
            Err(error) => {
                tracing::error!(%error, "the clock was set back, and not everything is due now that was due by it");
            }
        }
    }

    async fn call_up_all(&self, era: u32) -> Result<usize, KeeperError> {
        let (mut called, mut after) = (0, Some((self.clock.now(), SessionRef::from_random([0xff; 5]))));
        while !self.stop.is_cancelled()
            && let Ok(_work) = self.begin_work()
        {
            let items = self.vault.due(UnixSeconds::NEVER, after, PAGE)?;
            let Some(last) = items.last() else {
                self.vault.keep_called_up(era).await?;
                break;
            };
            after = Some(*last);
            for called_up in join_all(items.iter().map(|(_, id)| self.call_one_up(*id))).await {
                match called_up {
                    Ok(is_called_up) => called += usize::from(is_called_up),
                    Err(error @ VaultError::Store(_)) => return Err(error.into()),
                    // One record that is damaged stands in nobody's way.
                    Err(error) => tracing::error!(%error, "a session cannot be made due"),
                }
            }
        }
        Ok(called)
    }

    async fn call_one_up(&self, id: SessionRef) -> Result<bool, VaultError> {
        let is_of_before = |session: &Session| session.state.is_active() && session.era != self.clock.era();
        let Some(old) = self.vault.session(id)?.filter(|found| is_of_before(&found.value)) else { return Ok(false) };
        let now = self.clock.now();
        let mut new = Session { due_at: Some(now), ..old.value.clone() };
        if let Ok(provider) = self.provider(&new.provider)
            && new.account().is_none()
        {
            new.ends_at = new.ends_at.min(now + provider.settings().max_age);
            new.prune_at = new.prune_at.min(new.ends_at);
        }
        let mut change = self.vault.change(now);
        change.update(&old, &new)?;
        match change.commit().await {
            // Whoever changed it meanwhile gave it times of now.
            Err(VaultError::Conflict) => Ok(false),
            written => written.map(|()| true),
        }
    }
}

//! Moving the store to another host: a backup, and behind it a fence that is durable before the backup is of any use.
//!
//! Invariant: while it streams, nothing is served, begun or changed. The last bytes of the file, without which nothing opens it,
//! leave when the fence is on the disk. Whatever goes wrong before that leaves the store in use here; whatever goes wrong after
//! that leaves it fenced, until somebody takes it again, or cancels.

use std::sync::Arc;

use tokenkeeper_protocol::reply::{self, BackupPart, BackupSummary};
use tokenkeeper_protocol::request::MoveOut;
use tokenkeeper_protocol::{Code, Problem, Reply, Request};

use super::backup::{Written, told, write};
use super::store::STORE;
use super::{Answer, Kind, Service};
use crate::domain::Peer;
use crate::keeper::KeeperError;
use crate::policy::{Action, Target};
use crate::vault::MovedOut;

impl Service {
    /// Moves the store out. `send` is as for [`Service::back_up`], and so is the end.
    ///
    /// # Cancel safety
    /// Not safe to drop: run it as a task of its own. It ends when `send` says so.
    pub async fn move_out(&self, peer: &Peer, send: impl FnMut(Reply) -> bool + Send + 'static) -> Answer {
        let answer = match self.try_move_out(peer, send).await {
            Ok(last) => Answer::Reply(Box::new(Reply::BackupPart(last))),
            Err(problem) => Answer::from(problem),
        };
        self.meter.answered(Kind::StoreMoveOut, answer.code());
        answer
    }

    async fn try_move_out(
        &self,
        peer: &Peer,
        send: impl FnMut(Reply) -> bool + Send + 'static,
    ) -> Result<BackupPart, Problem> {
        let request = Request::StoreMoveOut(MoveOut::Begin);
        if let Some(refused) = self.refuse(&request) {
            return Err(refused);
        }
        self.permit_to_move(peer).await?;
        let recipients = self.backup_recipients()?;
        let _turn = self.backup_turn()?;
        let leaving = self.keeper.leave().await.map_err(|error| error.to_problem())?;
        self.nobody_is_being_erased()?;
        let (keeper, peer) = (Arc::clone(&self.keeper), peer.to_string());
        let moving = tokio::task::spawn_blocking(move || {
            let Written { encrypting, done } = write(&keeper, &recipients, true, send)?;
            let (at, sessions, generation) = (keeper.clock().now(), done.sessions, done.generation);
            let moved = MovedOut { at, peer, sessions, generation, confirmed: false };
            futures_executor::block_on(keeper.vault().move_out(moved))?;
            // From here on the file may be whole at whoever takes it.
            let rest = encrypting.finish();
            // Not before: nothing goes on between the end of the copy and the fence.
            drop(leaving);
            Ok((rest?.bytes, done))
        });
        let moved = moving.await.map_err(|_| KeeperError::Internal.to_problem())?;
        let (rest, done) = moved.map_err(|error| {
            tracing::warn!(%error, "moving the store out was not finished");
            told(error)
        })?;
        tracing::warn!(sessions = done.sessions, "the store was moved out; nothing is served from it any more");
        let end = BackupSummary { sessions: done.sessions, generation: done.generation };
        Ok(BackupPart { bytes: rest, end: Some(end) })
    }

    /// An erasure stays behind when the store leaves, and nothing is removed or written anew in a store that is gone.
    fn nobody_is_being_erased(&self) -> Result<(), Problem> {
        let erasures = self.keeper.vault().erasures().map_err(|error| KeeperError::from(error).to_problem())?;
        if erasures.iter().all(|(_, erasure)| erasure.value.stage.is_last()) {
            return Ok(());
        }
        let words = "somebody is being erased, and what is left of them would go along: wait until that is done \
            (`tokenkeeper status` tells if it does not go on)";
        Err(Problem { retry_after_ms: Some(10_000), ..Problem::new(Code::TryLater, words) })
    }

    /// The steps that are no stream.
    pub(super) async fn move_out_step(&self, peer: &Peer, step: MoveOut) -> Result<reply::MovedOut, Problem> {
        self.permit_to_move(peer).await?;
        let (vault, now) = (self.keeper.vault(), self.keeper.clock().now());
        let failed = |error| KeeperError::from(error).to_problem();
        match step {
            MoveOut::Begin => Err(super::store::needs_a_stream()),
            MoveOut::Confirm { generation } => {
                let moved = vault.confirm_move_out(generation, peer.to_string(), now).await.map_err(failed)?;
                let moved = moved.ok_or_else(|| Problem::new(Code::NotFound, "the store was not moved out by that"))?;
                Ok(described(&moved, false))
            }
            MoveOut::Cancel => {
                let moved = vault.cancel_move_out(peer.to_string(), now).await.map_err(failed)?;
                let moved = moved.ok_or_else(|| Problem::new(Code::NotFound, "the store was not moved out"))?;
                tracing::warn!("the store is used here again: moving it out was cancelled by {peer}");
                self.keeper.stay().await.map_err(|error| {
                    let words =
                        format!("the move is cancelled, but nothing is served before a restart of the daemon: {error}");
                    Problem { message: words, ..error.to_problem() }
                })?;
                Ok(described(&moved, true))
            }
        }
    }

    /// It takes a backup of everything along, and everything away.
    async fn permit_to_move(&self, peer: &Peer) -> Result<(), Problem> {
        let _permit = self.permit(peer, Action::Backup, Target::Daemon, STORE).await?;
        self.permit_everything(peer).await
    }
}

fn described(moved: &MovedOut, cancelled: bool) -> reply::MovedOut {
    reply::MovedOut { at: moved.at, sessions: moved.sessions, generation: moved.generation, cancelled }
}

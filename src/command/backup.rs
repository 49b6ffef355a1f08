//! A backup, as a stream of parts: an age file that is encrypted here, so that nothing else ever leaves.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use tokenkeeper_protocol::reply::{BackupPart, BackupSummary};
use tokenkeeper_protocol::{Code, Problem, Reply, Request};
use tokio::sync::OwnedMutexGuard;

use super::store::STORE;
use super::{Answer, Service};
use crate::audit::What;
use crate::domain::Peer;
use crate::keeper::{Keeper, KeeperError};
use crate::policy::{Action, Target};
use crate::seal::{Encrypting, encrypt_to};
use crate::vault::{BackedUp, BackupError, Care};

/// Bytes of a part.
const PART: usize = 32 * 1024;

impl Service {
    /// Takes a backup. `send` takes one part after the other, blocks while the peer does not read, and says whether it is still
    /// there; the answer is the last part.
    ///
    /// # Cancel safety
    /// Not safe to drop: run it as a task of its own. It ends when `send` says so.
    pub async fn back_up(&self, peer: &Peer, send: impl FnMut(Reply) -> bool + Send + 'static) -> Answer {
        let kind = super::Kind::StoreBackup;
        let answer = match self.try_back_up(peer, send).await {
            Ok(last) => Answer::Reply(Box::new(Reply::BackupPart(last))),
            Err(problem) => Answer::from(problem),
        };
        self.meter.answered(kind, answer.code());
        answer
    }

    async fn try_back_up(
        &self,
        peer: &Peer,
        send: impl FnMut(Reply) -> bool + Send + 'static,
    ) -> Result<BackupPart, Problem> {
        if let Some(refused) = self.refuse(&Request::StoreBackup) {
            return Err(refused);
        }
        let _permit = self.permit(peer, Action::Backup, Target::Daemon, STORE).await?;
        let recipients = self.backup_recipients()?;
        let _turn = self.backup_turn()?;
        let keeper = Arc::clone(&self.keeper);
        let written = tokio::task::spawn_blocking(move || {
            let Written { encrypting, done } = write(&keeper, &recipients, false, send)?;
            Ok((encrypting.finish()?.bytes, done))
        });
        let written = written.await;
        let (rest, done) = written.map_err(|_| KeeperError::Internal.to_problem())?.map_err(told)?;
        self.record(What::BackupTaken { peer: peer.to_string(), sessions: done.sessions }).await;
        if let Err(error) = self.keeper.vault().note(Care::Backup, self.keeper.clock().now()).await {
            tracing::warn!(%error, "a backup was taken, and that cannot be noted");
        }
        let end = BackupSummary { sessions: done.sessions, generation: done.generation };
        Ok(BackupPart { bytes: rest, end: Some(end) })
    }

    /// Whom backups are encrypted to; somebody is.
    pub(super) fn backup_recipients(&self) -> Result<Vec<String>, Problem> {
        let recipients = self.in_force.load().backup_recipients.clone();
        if recipients.is_empty() {
            return Err(Problem::new(Code::Misconfigured, NO_RECIPIENTS));
        }
        Ok(recipients)
    }

    /// One backup at a time.
    pub(super) fn backup_turn(&self) -> Result<OwnedMutexGuard<()>, Problem> {
        self.keeper.begin_backup().ok_or_else(|| Problem {
            retry_after_ms: Some(10_000),
            ..Problem::new(Code::TryLater, "another backup is being taken; wait for its end")
        })
    }
}

/// A backup that lacks only its last bytes, without which it does not open.
pub(super) struct Written<F> {
    pub(super) encrypting: Encrypting<Parts<F>>,
    pub(super) done: BackedUp,
}

const NO_RECIPIENTS: &str = "nobody could open a backup: write `backup_recipients = [\"age1...\"]` into [daemon] of the \
    configuration and run `systemctl reload tokenkeeperd`; `age-keygen -o backup.key`, run on another machine, makes such a \
    recipient and the key to it";

/// Writes a backup up to its last bytes; `is_move` if nothing is changed any more.
pub(super) fn write<F: FnMut(Reply) -> bool>(
    keeper: &Keeper,
    recipients: &[String],
    is_move: bool,
    send: F,
) -> Result<Written<F>, BackupError> {
    let parts = Parts { bytes: Vec::with_capacity(PART), send };
    let mut encrypting = encrypt_to(recipients, parts).map_err(io::Error::other)?;
    let providers: BTreeSet<_> = keeper.providers().keys().cloned().collect();
    let stopping = || keeper.is_stopping();
    let mut out = Watched { out: &mut encrypting, stopping };
    let done = keeper.vault().back_up(&providers, keeper.clock().now(), is_move, &mut out)?;
    Ok(Written { encrypting, done })
}

pub(super) fn told(error: BackupError) -> Problem {
    match error {
        BackupError::Vault(error) => KeeperError::from(error).to_problem(),
        error => Problem {
            retry_after_ms: Some(10_000),
            ..Problem::new(Code::TryLater, format!("the backup was not finished: {error}"))
        },
    }
}

/// Gathers bytes into parts.
pub(super) struct Parts<F> {
    pub(super) bytes: Vec<u8>,
    send: F,
}

impl<F: FnMut(Reply) -> bool> Write for Parts<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PART - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..count]);
        if self.bytes.len() == PART {
            let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(PART));
            if !(self.send)(Reply::BackupPart(BackupPart { bytes, end: None })) {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, "its reader hung up"));
            }
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends with the daemon.
struct Watched<'a, W, S> {
    out: &'a mut W,
    stopping: S,
}

impl<W: Write, S: Fn() -> bool> Write for Watched<'_, W, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.stopping)() {
            return Err(io::Error::other("the daemon stops"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

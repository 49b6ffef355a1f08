//! The store as a whole: what it holds, what is wrong with it, and a copy of it for those who may open one.

use std::sync::Arc;

use tokenkeeper_protocol::reply::{Finding, SessionCounts, StoreStats, TableStats, VerifyPage};
use tokenkeeper_protocol::request::StoreVerify;
use tokenkeeper_protocol::{Code, Problem};

use super::Service;
use super::status::Disk;
use crate::domain::Peer;
use crate::keeper::{Keeper, KeeperError};
use crate::policy::{Action, Target};
use crate::store::TableSize;
use crate::vault::{self, Care, Cursor, VaultError};

/// What the store is called where something is not allowed on it.
pub(super) const STORE: &str = "the store";

impl Service {
    pub(super) async fn store_stats(&self, peer: &Peer) -> Result<StoreStats, Problem> {
        let _permit = self.permit(peer, Action::Status, Target::Daemon, STORE).await?;
        let (keeper, state_dir) = (Arc::clone(&self.keeper), self.vitals.state_dir.clone());
        // Counting goes through an index as long as there are sessions: not on a thread that serves.
        let stats = tokio::task::spawn_blocking(move || stats(&keeper, &Disk::under(&state_dir))).await;
        let stats = stats.map_err(|_| KeeperError::Internal.to_problem())?;
        stats.map_err(|error| KeeperError::from(error).to_problem())
    }

    /// One page, one at a time whoever asks: the check takes no more than one core from those who are served.
    pub(super) async fn verify_store(&self, peer: &Peer, request: &StoreVerify) -> Result<VerifyPage, Problem> {
        let _permit = self.permit(peer, Action::Manage, Target::Daemon, STORE).await?;
        let cursor = match &request.cursor {
            None => Cursor::default(),
            Some(text) => text.parse().map_err(|()| {
                Problem::new(Code::BadRequest, "this is no place to go on at; begin from the beginning".to_owned())
            })?,
        };
        let total = self.keeper.vault().table_sizes().map_err(|error| KeeperError::from(error).to_problem())?;
        let page = self.keeper.verify(cursor).await.map_err(|error| error.to_problem())?;
        Ok(VerifyPage {
            table: page.table.name().to_owned(),
            checked: page.checked as u64,
            total: total.iter().map(|size| size.keys).sum(),
            findings: page.findings.iter().map(finding).collect(),
            next: page.next.map(|next| next.to_string()),
        })
    }
}

/// What the answer is where an answer is one message.
pub(super) fn needs_a_stream() -> Problem {
    Problem::new(
        Code::Unsupported,
        "a backup is a stream; take it with `tokenkeeper store backup` or `move-out`".to_owned(),
    )
}

fn stats(keeper: &Keeper, disk: &Disk) -> Result<StoreStats, VaultError> {
    let vault = keeper.vault();
    let counts = vault.count_states()?;
    let table = |size: TableSize| TableStats { name: size.table.name().to_owned(), keys: size.keys, bytes: size.bytes };
    Ok(StoreStats {
        sessions: SessionCounts { active: counts.active, need_login: counts.need_login, ended: counts.ended },
        bytes: vault.bytes_on_disk(),
        ballast_bytes: vault.ballast(),
        kept_bytes: vault.kept_bytes(),
        disk_free_bytes: disk.free(),
        disk_bytes: disk.size(),
        generation: vault.generation(),
        schema: vault.schema(),
        epoch: vault.epoch(),
        tables: vault.table_sizes()?.into_iter().map(table).collect(),
        last_backup_at: vault.last(Care::Backup),
        last_verified_at: vault.last(Care::Scrub),
    })
}

fn finding(found: &vault::Finding) -> Finding {
    Finding {
        table: found.table.name().to_owned(),
        key: data_encoding::HEXLOWER.encode(&found.key),
        session: found.session,
        what: found.what.clone(),
    }
}

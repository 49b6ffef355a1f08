//! How the daemon is doing, for people and for the status line of systemd.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokenkeeper_protocol::reply::{Health, ProviderStatus, SessionCounts, StatusReply};
use tokenkeeper_protocol::{Code, Problem, UnixSeconds};

use super::Service;
use crate::domain::Peer;
use crate::keeper::KeeperError;
use crate::policy::{Action, Target};

/// Below this share of free disk an administrator should know.
const DISK_LOW_PERCENT: u8 = 10;

/// What only the wiring knows.
pub struct Vitals {
    /// When the daemon started.
    pub started_at: UnixSeconds,
    /// Where the identity came from.
    pub identity_source: String,
    /// Directory of the store.
    pub state_dir: PathBuf,
    /// Why the last reload was refused, if it was.
    pub config_refused: Mutex<Option<String>>,
    /// Why audit records do not get through, if so.
    pub audit_fault: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Service {
    /// Whether requests are served, for anybody who asks. Why not is for those who may see the status.
    pub fn ready(&self) -> Result<(), Problem> {
        match self.keeper.vault().fault() {
            None => Ok(()),
            Some(_) => Err(Problem::new(Code::TryLater, "the daemon does not serve; `tokenkeeper status` tells why")),
        }
    }

    pub(super) async fn status(&self, peer: &Peer) -> Result<StatusReply, Problem> {
        let _permit = self.permit(peer, Action::Status, Target::Daemon, "the daemon").await?;
        self.vital_signs().await
    }

    /// How the daemon is doing, for a caller that has been judged.
    pub(super) async fn vital_signs(&self) -> Result<StatusReply, Problem> {
        // Counting goes through an index as long as there are sessions: not on a thread that serves.
        let keeper = Arc::clone(&self.keeper);
        let counts = tokio::task::spawn_blocking(move || keeper.vault().count_states()).await;
        let counts = counts.map_err(|_| KeeperError::Internal.to_problem())?;
        let counts = counts.map_err(|error| KeeperError::from(error).to_problem())?;
        let counts = SessionCounts { active: counts.active, need_login: counts.need_login, ended: counts.ended };
        self.report(counts).map_err(|error| error.to_problem())
    }

    fn report(&self, sessions: SessionCounts) -> Result<StatusReply, KeeperError> {
        let vault = self.keeper.vault();
        let providers: Vec<_> = self
            .keeper
            .providers()
            .iter()
            .map(|(name, provider)| {
                let health = provider.health();
                ProviderStatus {
                    provider: name.clone(),
                    last_success_at: health.last_success_at,
                    failure: health.failure,
                }
            })
            .collect();
        let config_refused = self.vitals.config_refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let disk_free = disk_free_thousandths(&self.vitals.state_dir) / 10;
        let disk_free_percent = u8::try_from(disk_free).unwrap_or(100);
        let complaints = self.complaints(&providers, config_refused.as_ref(), disk_free_percent);
        let health = match (vault.fault(), complaints.is_empty()) {
            (Some(_), _) => Health::NotServing,
            (None, false) => Health::Degraded,
            (None, true) => Health::Ok,
        };
        Ok(StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            health,
            complaints,
            started_at: self.vitals.started_at,
            providers,
            sessions,
            store_bytes: vault.bytes_on_disk(),
            disk_free_percent,
            identity_source: self.vitals.identity_source.clone(),
            epoch: vault.epoch(),
            audit_waiting: vault.outbox_waiting()?,
            config_loaded_at: self.in_force.load().loaded_at,
            config_refused,
        })
    }

    fn complaints(&self, providers: &[ProviderStatus], refused: Option<&String>, disk_free: u8) -> Vec<String> {
        let down = providers.iter().filter_map(|status| {
            status.failure.as_ref().map(|(_, why)| format!("provider {} fails: {why}", status.provider))
        });
        let store = self.keeper.vault().fault().map(|why| format!("the store takes no writes: {why}"));
        let audit = (self.vitals.audit_fault)();
        let full = self.keeper.vault().outbox_is_full().unwrap_or(false);
        let full = full.then(|| "too many audit records wait: hand-outs and denials go unrecorded".to_owned());
        let config = refused.map(|why| format!("the last reload was refused: {why}"));
        let disk = (disk_free < DISK_LOW_PERCENT).then(|| format!("the disk is {disk_free}% free"));
        down.chain(store).chain(audit).chain(full).chain(config).chain(disk).collect()
    }
}

/// How much of the file system of `dir` is free; nothing, if that cannot be told.
pub(super) fn disk_free_thousandths(dir: &Path) -> u64 {
    let disk = nix::sys::statvfs::statvfs(dir);
    disk.map_or(0, |disk| (disk.blocks_available().saturating_mul(1000) / disk.blocks().max(1)).min(1000))
}

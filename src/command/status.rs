//! How the daemon is doing, for people and for the status line of systemd.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokenkeeper_protocol::reply::{Health, ProviderStatus, SessionCounts, StatusReply};
use tokenkeeper_protocol::{Code, Problem, UnixSeconds};

use super::Service;
use crate::domain::Peer;
use crate::keeper::{KeeperError, clock_complaint};
use crate::policy::{Action, Rule, Target, Who};
use crate::vault::{Care, Outlook, Rollback, VaultError};

/// An administrator should know when less is free than this share of the disk, and less than so many bytes: on a large disk, a
/// small share is plenty.
const DISK_LOW_THOUSANDTHS: u64 = 100;
const DISK_LOW_BYTES: u64 = 1 << 30;

/// What only the wiring knows.
pub struct Vitals {
    /// When the daemon started.
    pub started_at: UnixSeconds,
    /// Where the identity came from.
    pub identity_source: String,
    /// Directory of the store.
    pub state_dir: PathBuf,
    /// Why units cannot be told on this host, if so.
    pub why_no_units: Option<&'static str>,
    /// Why the last reload was refused, if it was.
    pub config_refused: Mutex<Option<String>>,
    /// Why audit records do not get through, if so.
    pub audit_fault: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Service {
    /// Whether requests are served, for anybody who asks. Why not is for those who may see the status.
    pub fn ready(&self) -> Result<(), Problem> {
        let why_not = || Problem::new(Code::TryLater, "the daemon does not serve; `tokenkeeper status` tells why");
        self.is_ready().then_some(()).ok_or_else(why_not)
    }

    pub(super) async fn status(&self, peer: &Peer) -> Result<StatusReply, Problem> {
        let _permit = self.permit(peer, Action::Status, Target::Daemon, "the daemon").await?;
        self.vital_signs().await
    }

    /// How the daemon is doing, for a caller that has been judged.
    pub(super) async fn vital_signs(&self) -> Result<StatusReply, Problem> {
        // Counting goes through an index as long as there are sessions: not on a thread that serves.
        let keeper = Arc::clone(&self.keeper);
        let now = keeper.clock().now();
        let counted = move || Ok((keeper.vault().count_states()?, keeper.vault().outlook(now)?));
        let counted: Result<_, VaultError> =
            tokio::task::spawn_blocking(counted).await.map_err(|_| KeeperError::Internal.to_problem())?;
        let (counts, outlook) = counted.map_err(|error| KeeperError::from(error).to_problem())?;
        let counts = SessionCounts { active: counts.active, need_login: counts.need_login, ended: counts.ended };
        self.report(counts, outlook).map_err(|error| error.to_problem())
    }

    fn report(&self, sessions: SessionCounts, outlook: Outlook) -> Result<StatusReply, KeeperError> {
        let vault = self.keeper.vault();
        let providers: Vec<_> = self
            .keeper
            .providers()
            .iter()
            .map(|(name, provider)| {
                let health = provider.condition(self.keeper.clock());
                ProviderStatus {
                    provider: name.clone(),
                    last_success_at: health.last_success_at,
                    failure: health.failure,
                }
            })
            .collect();
        let config_refused = self.vitals.config_refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let disk = Disk::under(&self.vitals.state_dir);
        let complaints = self.complaints(&providers, config_refused.as_ref(), &disk);
        let health = match (self.is_ready(), complaints.is_empty()) {
            (false, _) => Health::NotServing,
            (true, false) => Health::Degraded,
            (true, true) => Health::Ok,
        };
        Ok(StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            health,
            complaints,
            started_at: self.vitals.started_at,
            providers,
            sessions,
            ending_soon: outlook.ending_soon,
            more_ending_soon: outlook.more_ending_soon,
            next_refresh_at: outlook.next_refresh_at,
            last_refused: vault.counts().last_refused,
            store_bytes: vault.bytes_on_disk(),
            last_backup_at: vault.last(Care::Backup),
            disk_free_percent: u8::try_from(disk.free_thousandths() / 10).unwrap_or(100),
            identity_source: self.describe_keys(),
            epoch: vault.epoch(),
            audit_waiting: vault.outbox_waiting()?,
            config_loaded_at: self.in_force.load().loaded_at,
            config_refused,
        })
    }

    /// Whether requests are served and refreshes are done.
    pub(super) fn is_ready(&self) -> bool {
        self.lock.is_none() && !self.keeper.is_leaving() && self.keeper.vault().fault().is_none()
    }

    /// Where the identity came from, who else can open the keyring, and whether it is rotated.
    fn describe_keys(&self) -> String {
        let recipients = match self.rotation.recovery().len() {
            0 => String::new(),
            1 => ", 1 recovery recipient".to_owned(),
            several => format!(", {several} recovery recipients"),
        };
        let rotating = if self.rotation.progress().is_some() { ", rotating" } else { "" };
        format!("{}{recipients}{rotating}", self.vitals.identity_source)
    }

    fn complaints(&self, providers: &[ProviderStatus], refused: Option<&String>, disk: &Disk) -> Vec<String> {
        let down = providers.iter().filter_map(|status| {
            status.failure.as_ref().map(|(_, why)| format!("provider {} fails: {why}", status.provider))
        });
        let store = self.keeper.vault().fault().map(|why| format!("the store takes no writes: {why}"));
        let findings = Some(self.keeper.findings()).filter(|findings| *findings > 0);
        let damaged = findings.map(|findings| {
            format!("the last check of the store found {findings} things wrong; `tokenkeeper store verify` names them")
        });
        let audit = (self.vitals.audit_fault)();
        let full = self.keeper.vault().outbox_is_full().unwrap_or(false);
        let full = full.then(|| "too many audit records wait: hand-outs and denials go unrecorded".to_owned());
        let config = refused.map(|why| format!("the last reload was refused: {why}"));
        let disk = disk.is_low().then(|| format!("the disk is nearly full: {} MB are left", disk.free / 1_000_000));
        let clock = self.keeper.clock().doubt().map(|doubt| clock_complaint(&doubt));
        let about_units = |rule: &Rule| matches!(rule.who, Who::Unit(_));
        let units = self.vitals.why_no_units.filter(|_| self.in_force.load().rules.list.iter().any(about_units));
        let units = units.map(|why| format!("rules about units match nobody: {why}"));
        let rolled_back = self.keeper.vault().rollback().map(|rollback| complaint(&rollback));
        let anchor = self.keeper.vault().anchor_fault();
        let anchor = rolled_back.into_iter().chain(anchor).chain(disagreements(self.keeper.vault().disagreements()));
        let locked = self.lock.as_ref().map(super::Lock::complaint);
        let left = self.keeper.is_leaving().then(|| self.keeper.why_leaving().to_string());
        let keys = self.rotation.progress().and_then(|rotation| match rotation.damaged {
            0 => rotation.trouble.map(|why| format!("the rotation of the keys does not go on: {why}")),
            some => Some(format!("{some} records of an old epoch do not open, so its key is kept")),
        });
        locked
            .into_iter()
            .chain(left)
            .chain(down)
            .chain(anchor)
            .chain(units)
            .chain(keys)
            .chain(store)
            .chain(damaged)
            .chain(self.eraser.complaints())
            .chain(audit)
            .chain(full)
            .chain(config)
            .chain(disk)
            .chain(clock)
            .collect()
    }
}

/// What an administrator has to know of a store that was put back.
fn complaint(rollback: &Rollback) -> String {
    let why = &rollback.why;
    format!(
        "an old copy of the store was put back ({why}): its refresh tokens are only tried when their access tokens expire; \
         `tokenkeeper store accept-rollback` ends that"
    )
}

fn disagreements(count: u64) -> Option<String> {
    (count > 0).then(|| {
        format!("{count} entries of indexes did not fit the records of the store, and were ignored: somebody wrote to it, or its disk fails; the log says which")
    })
}

/// The file system of the store.
pub(super) struct Disk {
    free: u64,
    size: u64,
}

impl Disk {
    /// That of `dir`; nothing is free, if it cannot be told.
    pub(super) fn under(dir: &Path) -> Self {
        let told = nix::sys::statvfs::statvfs(dir);
        told.map_or(Self { free: 0, size: 1 }, |disk| {
            let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
            Self { free: bytes(disk.blocks_available()), size: bytes(disk.blocks()).max(1) }
        })
    }

    /// The share that is free.
    pub(super) fn free_thousandths(&self) -> u64 {
        (u128::from(self.free) * 1000 / u128::from(self.size)).try_into().unwrap_or(1000).min(1000)
    }

    /// Bytes that are free.
    pub(super) fn free(&self) -> u64 {
        self.free
    }

    /// All its bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    fn is_low(&self) -> bool {
        self.free < DISK_LOW_BYTES && self.free_thousandths() < DISK_LOW_THOUSANDTHS
    }
}

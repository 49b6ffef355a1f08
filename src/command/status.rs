//! How the daemon is doing, for people and for the status line of systemd.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokenkeeper_protocol::reply::{Health, ProviderStatus, SessionCounts, StatusReply};
use tokenkeeper_protocol::{Code, Problem, UnixSeconds};

use super::Service;
use crate::domain::Peer;
use crate::keeper::{KeeperError, clock_complaint};
use crate::policy::{Action, Rule, Target, Who};
use crate::vault::{Care, Outlook, Rollback, Vault, VaultError};

/// An administrator should know when less is free than this share of the disk, and less than so many bytes: on a large disk, a
/// small share is plenty.
const DISK_LOW_THOUSANDTHS: u64 = 100;
const DISK_LOW_BYTES: u64 = 1 << 30;
/// Bytes of a status that providers take, and complaints: it has to fit into a frame, above all when all of very many fail.
const PROVIDERS_BYTES: usize = 36 * 1024;
const COMPLAINTS_BYTES: usize = 20 * 1024;

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
        let now = self.keeper.clock().now();
        let Outlook { next_refresh_at, ending_soon, more_ending_soon } =
            self.read(move |vault| vault.outlook(now)).await?;
        let status = self.vital_signs().await?;
        Ok(fitting(StatusReply { next_refresh_at, ending_soon, more_ending_soon, ..status }))
    }

    /// How the daemon is doing, for a caller that has been judged. Without what comes next: that costs up to 20,000 reads, which
    /// monitoring should not have us do every few seconds.
    pub(super) async fn vital_signs(&self) -> Result<StatusReply, Problem> {
        let counts = self.read(Vault::count_states).await?;
        let counts = SessionCounts { active: counts.active, need_login: counts.need_login, ended: counts.ended };
        self.report(counts).map_err(|error| error.to_problem())
    }

    /// Reads what may take a while, on a thread that does not serve.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Vault) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, Problem> {
        let keeper = Arc::clone(&self.keeper);
        let found = tokio::task::spawn_blocking(move || read(keeper.vault())).await;
        let found = found.map_err(|_| KeeperError::Internal.to_problem())?;
        found.map_err(|error| KeeperError::from(error).to_problem())
    }

    fn report(&self, sessions: SessionCounts) -> Result<StatusReply, KeeperError> {
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
            ending_soon: 0,
            more_ending_soon: false,
            next_refresh_at: None,
            last_refused: vault.counts().last_refused,
            store_bytes: vault.bytes_on_disk(),
            last_backup_at: vault.last(Care::Backup),
            disk_free_percent: u8::try_from(disk.free_thousandths() / 10).unwrap_or(100),
            identity_source: self.describe_keys(),
            epoch: vault.epoch(),
            audit_waiting: vault.outbox_length()?,
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
        let full = full.then(|| {
            "too many audit records wait: hand-outs and denials are only counted until syslog takes some".to_owned()
        });
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
            // Of these there may be more than fit.
            .chain(down)
            .collect()
    }
}

/// As much of a status as fits into a frame, and how much more there is. Providers that fail come first then.
fn fitting(mut status: StatusReply) -> StatusReply {
    let size = |it: &ProviderStatus| {
        let why = it.failure.as_ref().map_or(0, |(_, why)| why.len());
        it.provider.as_str().len() + why + 48
    };
    if status.providers.iter().map(size).sum::<usize>() > PROVIDERS_BYTES {
        status.providers.sort_by_key(|it| it.failure.is_none());
    }
    let providers = cut(&mut status.providers, PROVIDERS_BYTES, size);
    let complaints = cut(&mut status.complaints, COMPLAINTS_BYTES, |it| it.len() + 8);
    for (left_out, what) in [(complaints, "complaints"), (providers, "providers")] {
        if left_out > 0 {
            status.complaints.push(format!("{left_out} more {what} do not fit into this answer"));
        }
    }
    status
}

/// Cuts off what is beyond so many bytes, and tells how many that were.
fn cut<T>(items: &mut Vec<T>, bytes: usize, size: impl Fn(&T) -> usize) -> usize {
    let mut taken = 0;
    let has_room = |item: &&T| {
        taken += size(item);
        taken <= bytes
    };
    let kept = items.iter().take_while(has_room).count();
    items.drain(kept..).count()
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

#[cfg(test)]
mod tests {
    use tokenkeeper_protocol::Reply;

    use super::*;
    use crate::command::tests::service;
    use crate::keeper::tests::{Home, at};

    #[tokio::test]
    async fn a_status_of_very_many_providers_fits_into_a_frame_and_those_that_fail_are_in_it() {
        let home = Home::new().await;
        let status = |providers: u64, failing: u64| {
            let provider = |number| ProviderStatus {
                provider: format!("{number:064}").parse().unwrap(),
                last_success_at: Some(at(0)),
                failure: (number >= providers - failing).then(|| (at(0), "x".repeat(300))),
            };
            (0..providers).map(provider).collect::<Vec<_>>()
        };
        let mut usual = service(&home).vital_signs().await.unwrap();
        usual.providers = status(10, 5);
        assert_eq!(fitting(usual.clone()), usual);
        for (providers, failing) in [(500, 20), (500, 500)] {
            let complaints = (0..failing).map(|_| "y".repeat(400)).collect();
            let told = fitting(StatusReply { providers: status(providers, failing), complaints, ..usual.clone() });
            let shown = told.providers.iter().filter(|it| it.failure.is_some()).count() as u64;
            assert!(shown == failing || shown > 80, "{shown}");
            let left_out = providers - told.providers.len() as u64;
            let last = format!("{left_out} more providers do not fit into this answer");
            assert_eq!(told.complaints.last(), Some(&last));
            Reply::Status(told).encode().unwrap();
        }
    }
}

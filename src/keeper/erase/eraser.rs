//! The erasures there are: beginning them, going on with them, and telling how far they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokenkeeper_protocol::reply::{self, ErasureStage};
use tokenkeeper_protocol::request::Erased;
use tokenkeeper_protocol::{ProviderName, UnixSeconds, UserName};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::keeper::{Keeper, KeeperError};
use crate::policy::Permit;
use crate::vault::{Change, Erasure, ErasureId, Person, Rotation, Scope, Stage, VaultError, Versioned, Whose};

/// The pause before another look at an erasure that waits for something.
const PAUSE: Duration = Duration::from_secs(1);
/// It doubles with every fault in a row, so many times: to about a minute.
const SLOWEST: u32 = 6;
/// Erasures that are over and still known, for whoever asks how they went.
const KNOWN: usize = 64;
/// Sessions of a name that are looked at to find out whose it is.
const NAMESAKES: usize = 1000;

/// Erases.
pub struct Eraser {
    pub(super) keeper: Arc<Keeper>,
    pub(super) rotation: Arc<Rotation>,
    /// The recipient of the identity that the keyring is encrypted to, if that is known for sure.
    pub(super) identity: Option<String>,
    begun: Notify,
    noted: Mutex<BTreeMap<ErasureId, Noted>>,
}

/// How to erase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// Destroy the key of the records, too.
    pub forced: bool,
    /// Do not wait for the provider.
    pub at_once: bool,
}

/// What is known of an erasure.
struct Noted {
    erasure: Erasure,
    /// Boot time of its beginning; none if that was before the daemon started.
    since: Option<Duration>,
    detail: Option<String>,
    waiting: Option<String>,
    /// How long it took, once it is over.
    took: Option<Duration>,
}

/// What came of a step.
pub(super) enum Step {
    /// The next one can be taken.
    Taken,
    /// Something else has to happen first.
    Waits(String),
    /// Nothing is left to do, here.
    Over,
}

impl Eraser {
    /// For what `keeper` keeps. `identity` is the recipient that the keyring is encrypted to.
    pub fn new(keeper: Arc<Keeper>, rotation: Arc<Rotation>, identity: Option<String>) -> Self {
        Self { keeper, rotation, identity, begun: Notify::new(), noted: Mutex::default() }
    }

    /// Begins to erase, or joins the erasure of the same that is under way. It goes on by itself.
    ///
    /// # Errors
    /// [`KeeperError::NothingKept`] when there is nothing to erase; [`KeeperError::MovedOut`] when that is done elsewhere.
    pub async fn begin(
        self: &Arc<Self>,
        _permit: Permit,
        peer: &str,
        whom: &Erased,
        how: How,
    ) -> Result<reply::Erasure, KeeperError> {
        let _work = self.keeper.begin_work()?;
        let (this, wanted) = (Arc::clone(self), whom.clone());
        // Goes through all names.
        let found = tokio::task::spawn_blocking(move || this.find(&wanted)).await;
        let (provider, whose) = match found.map_err(|_| KeeperError::Internal)? {
            Ok(found) => found,
            // What is not found may be removed already, and still be in the files.
            Err(KeeperError::NothingKept { provider }) => {
                return Err(if self.is_unfinished_at(&provider) {
                    KeeperError::StillErasing { provider }
                } else {
                    KeeperError::NothingKept { provider }
                });
            }
            Err(error) => return Err(error),
        };
        let stage = Stage::Ending(whose);
        if let Some(same) = self.under_way(|erasure| erasure.provider == provider && erasure.stage == stage) {
            return self.join(same, how).await;
        }
        let (id, now) = (rand::random::<ErasureId>(), self.keeper.clock.now());
        let How { forced, at_once } = how;
        let (begun_at, peer) = (now, peer.to_owned());
        let erasure = Erasure { peer, provider, forced, at_once, begun_at, sessions: 0, not_revoked: 0, stage };
        self.write(id, 0, &erasure, |_| Ok(())).await?;
        let since = Some(self.keeper.clock.boot());
        self.noted().insert(id, Noted { erasure, since, detail: None, waiting: None, took: None });
        self.begun.notify_one();
        self.progress(id).ok_or(KeeperError::Internal)
    }

    /// How far an erasure is.
    pub fn progress(&self, id: ErasureId) -> Option<reply::Erasure> {
        let (boot, now) = (self.keeper.clock.boot(), self.keeper.clock.now());
        self.noted().get(&id).map(|noted| noted.told(id, boot, now))
    }

    /// What an administrator has to know of the erasures that are not over.
    pub fn complaints(&self) -> Vec<String> {
        let noted = self.noted();
        let told = noted.values().filter(|it| it.took.is_none()).filter_map(|it| {
            let provider = &it.erasure.provider;
            if let Stage::Rekeying { recipient } = &it.erasure.stage {
                return (!self.is_rekeyed(recipient)).then(|| format!(
                    "a forced erasure at {provider} is done but for one step: run `tokenkeeperd setup --rekey` as root, then restart the daemon"
                ));
            }
            it.waiting.as_ref().map(|why| format!("an erasure at {provider} does not go on: {why}"))
        });
        told.collect()
    }

    /// Goes on with every erasure until `stop`: those that the last run left, then whatever is begun.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.take_up();
        let mut faults = 0;
        while !stop.is_cancelled() {
            let (mut waits, mut moved, mut is_at_fault) = (false, false, false);
            for id in self.unfinished() {
                let why = match self.step(id, &stop).await {
                    Ok(Step::Taken | Step::Over) => {
                        moved = true;
                        continue;
                    }
                    Ok(Step::Waits(why)) => why,
                    Err(error) => {
                        is_at_fault = true;
                        error.to_string()
                    }
                };
                waits = true;
                self.note_waiting(id, why);
            }
            // A step can be to write the whole store anew.
            faults = if is_at_fault { faults + 1 } else { 0 };
            if moved {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.begun.notified() => {}
                () = tokio::time::sleep(PAUSE * 2_u32.pow(faults.min(SLOWEST))), if waits => {}
            }
        }
    }

    async fn step(self: &Arc<Self>, id: ErasureId, stop: &CancellationToken) -> Result<Step, KeeperError> {
        let _work = match self.keeper.begin_work() {
            Ok(work) => work,
            Err(leaving) => return Ok(Step::Waits(leaving.to_string())),
        };
        let vault = &self.keeper.vault;
        let Some(row) = vault.erasure(id)? else { return Ok(self.over(id)) };
        let outcome = match &row.value.stage {
            Stage::Ending(whose) => self.end_and_remove(id, &row, whose).await,
            Stage::Rewriting { told_below } => self.rewrite(id, &row, *told_below, stop).await,
            Stage::Rotating { epoch } => self.rotate(id, &row, *epoch).await,
            Stage::Rekeying { recipient } => self.rekeyed(id, &row, recipient).await,
        };
        match outcome {
            // Somebody changed what it is about: look again.
            Err(KeeperError::Conflict) => Ok(Step::Taken),
            other => other,
        }
    }

    /// Ends a step before its time when the store is to be moved, which waits for it.
    pub(super) fn give_way(&self) -> Option<Step> {
        self.keeper.is_leaving().then(|| Step::Waits(self.keeper.why_leaving().to_string()))
    }

    /// Writes how far an erasure is, with what goes with it.
    pub(super) async fn write(
        &self,
        id: ErasureId,
        version: u64,
        erasure: &Erasure,
        also: impl FnOnce(&mut Change<'_>) -> Result<(), VaultError>,
    ) -> Result<(), KeeperError> {
        let mut change = self.keeper.vault.change(self.keeper.clock.now());
        also(&mut change)?;
        change.keep_erasure(id, version, erasure)?;
        change.commit().await.map_err(changed)?;
        self.note(id, |noted| {
            if noted.erasure.stage != erasure.stage {
                (noted.detail, noted.waiting) = (None, None);
            }
            noted.erasure = erasure.clone();
        });
        Ok(())
    }

    pub(super) fn over(&self, id: ErasureId) -> Step {
        let (boot, now) = (self.keeper.clock.boot(), self.keeper.clock.now());
        self.note(id, |noted| noted.took = Some(noted.span(boot, now)));
        let mut all = self.noted();
        while all.values().filter(|it| it.took.is_some()).count() > KNOWN {
            let Some(first) = all.iter().find(|(_, it)| it.took.is_some()).map(|(id, _)| *id) else { break };
            all.remove(&first);
        }
        Step::Over
    }

    /// Tells what is done at the moment.
    pub(super) fn detail(&self, id: ErasureId, detail: String) {
        self.note(id, |noted| (noted.detail, noted.waiting) = (Some(detail), None));
    }

    fn note(&self, id: ErasureId, change: impl FnOnce(&mut Noted)) {
        if let Some(noted) = self.noted().get_mut(&id) {
            change(noted);
        }
    }

    /// Tells why it waits, in the log as well if that is news.
    fn note_waiting(&self, id: ErasureId, why: String) {
        self.note(id, |noted| {
            if noted.waiting.as_ref() != Some(&why) {
                tracing::warn!("an erasure at {} does not go on: {why}", noted.erasure.provider);
                noted.waiting = Some(why);
            }
        });
    }

    /// What the last run left.
    fn take_up(&self) {
        match self.keeper.vault.erasures() {
            Ok(left) => {
                let noted = |erasure| Noted { erasure, since: None, detail: None, waiting: None, took: None };
                self.noted().extend(left.into_iter().map(|(id, row)| (id, noted(row.value))));
            }
            Err(error) => tracing::error!(%error, "erasures that are under way cannot be read, and do not go on"),
        }
    }

    /// Those with something left to do for the daemon, the oldest first.
    fn unfinished(&self) -> Vec<ErasureId> {
        let noted = self.noted();
        let is_left = |it: &Noted| {
            it.took.is_none()
                && match &it.erasure.stage {
                    Stage::Rekeying { recipient } => self.is_rekeyed(recipient),
                    _ => true,
                }
        };
        let mut left: Vec<_> = noted.iter().filter(|(_, it)| is_left(it)).collect();
        left.sort_by_key(|(_, it)| it.erasure.begun_at);
        left.into_iter().map(|(id, _)| *id).collect()
    }

    /// Whether the host has another identity than this one, for sure.
    pub(super) fn is_rekeyed(&self, before: &str) -> bool {
        self.identity.as_deref().is_some_and(|now| now != before)
    }

    fn under_way(&self, is_it: impl Fn(&Erasure) -> bool) -> Option<ErasureId> {
        self.noted().iter().find(|(_, it)| it.took.is_none() && is_it(&it.erasure)).map(|(id, _)| *id)
    }

    /// Whose erasures they are is not known any more once everything is removed.
    fn is_unfinished_at(&self, provider: &ProviderName) -> bool {
        self.under_way(|it| it.provider == *provider && !it.stage.is_last()).is_some()
    }

    /// Somebody wants the same, and perhaps more.
    async fn join(&self, id: ErasureId, how: How) -> Result<reply::Erasure, KeeperError> {
        while let Some(row) = self.keeper.vault.erasure(id)? {
            let (forced, at_once) = (row.value.forced || how.forced, row.value.at_once || how.at_once);
            let more = Erasure { forced, at_once, ..row.value.clone() };
            match self.write(id, row.version, &more, |_| Ok(())).await {
                Err(KeeperError::Conflict) => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.begun.notify_one();
        self.progress(id).ok_or(KeeperError::Internal)
    }

    /// Whose data is meant, if any is there. Blocks for the disk.
    fn find(&self, whom: &Erased) -> Result<(ProviderName, Whose), KeeperError> {
        let vault = &self.keeper.vault;
        let (provider, person) = match whom {
            Erased::Session(id) => {
                let session = vault.session(*id)?.ok_or(KeeperError::NoSuchSession { session: *id })?;
                return Ok((session.value.provider, Whose::Session(*id)));
            }
            Erased::User { provider, user } => (provider, self.person(provider, user)?),
            Erased::Subject { provider, issuer, subject } => {
                let issuer = match issuer {
                    Some(issuer) => issuer.clone(),
                    None => self.keeper.provider(provider)?.settings().kind.issuer().to_owned(),
                };
                (provider, Some(Person { issuer, subject: subject.clone() }))
            }
        };
        let nothing = || KeeperError::NothingKept { provider: provider.clone() };
        let person = person.ok_or_else(nothing)?;
        let whose = Whose::User(person.clone());
        let (sessions, damaged) = vault.sessions_of(provider, &whose)?;
        if let Some(account) = sessions.iter().find_map(|session| session.value.account()) {
            let why = format!("that is service account {account}, which is nobody; remove it from the configuration");
            return Err(KeeperError::BadRequest { why });
        }
        if sessions.is_empty() && damaged.is_empty() && vault.bindings_of(provider, &person)?.is_empty() {
            return Err(nothing());
        }
        Ok((provider.clone(), whose))
    }

    /// Who is called so.
    fn person(&self, provider: &ProviderName, user: &UserName) -> Result<Option<Person>, KeeperError> {
        let vault = &self.keeper.vault;
        if let Some(bound) = vault.binding(provider, user)? {
            return Ok(Some(Person { issuer: bound.issuer, subject: bound.subject }));
        }
        let page = vault.page(Scope::Named(provider, user), None, NAMESAKES)?;
        let mut people = page.sessions.into_iter().map(|session| session.value.user);
        let why = "several people are called so, or a session of theirs is damaged; name one by --subject";
        let unclear = || KeeperError::BadRequest { why: format!("{:?} at {provider}: {why}", user.as_str()) };
        let Some(first) = people.next() else { return if page.damaged == 0 { Ok(None) } else { Err(unclear()) } };
        if people.any(|other| (&other.issuer, &other.subject) != (&first.issuer, &first.subject)) {
            return Err(unclear());
        }
        Ok(Some(Person { issuer: first.issuer, subject: first.subject }))
    }

    fn noted(&self) -> MutexGuard<'_, BTreeMap<ErasureId, Noted>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn span(&self, boot: Duration, now: UnixSeconds) -> Duration {
        self.since.map_or_else(|| now.since(self.erasure.begun_at), |since| boot.saturating_sub(since))
    }

    fn told(&self, id: ErasureId, boot: Duration, now: UnixSeconds) -> reply::Erasure {
        let Erasure { provider, forced, begun_at, sessions, not_revoked, stage, .. } = &self.erasure;
        let stage = match stage {
            _ if self.took.is_some() => ErasureStage::Done,
            Stage::Ending(_) => ErasureStage::Revoking,
            Stage::Rewriting { .. } if self.detail.is_none() => ErasureStage::Telling,
            Stage::Rewriting { .. } => ErasureStage::Rewriting,
            Stage::Rotating { .. } => ErasureStage::Rotating,
            Stage::Rekeying { .. } => ErasureStage::Rekeying,
        };
        let span = self.took.unwrap_or_else(|| self.span(boot, now));
        reply::Erasure {
            id: HEXLOWER.encode(&id),
            provider: provider.clone(),
            stage,
            detail: self.detail.clone(),
            waiting: self.waiting.clone(),
            sessions: *sessions,
            revoked: sessions.saturating_sub(*not_revoked),
            not_revoked: *not_revoked,
            forced: *forced,
            begun_at: *begun_at,
            milliseconds: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
            copies: Vec::new(),
        }
    }
}

/// A conflict is no fault of the store.
pub(super) fn changed(error: VaultError) -> KeeperError {
    match error {
        VaultError::Conflict => KeeperError::Conflict,
        other => other.into(),
    }
}

/// The row of an erasure.
pub(super) type Row = Versioned<Erasure>;

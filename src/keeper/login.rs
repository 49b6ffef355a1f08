//! Login: begin keeps a flow, complete turns what the browser brought back into a session.
//!
//! The flow is in the vault, so a restart loses none. Completing the same flow twice gives one session and one answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokenkeeper_protocol::reply::{LoggedIn, LoginBegun};
use tokenkeeper_protocol::request::{LoginBegin, LoginComplete};
use tokenkeeper_protocol::{LoginId, ProviderName, Secret, UnixSeconds};

use super::admit::Arrival;
use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::domain::{Flow, Peer, Tokens, Way};
use crate::failpoint::failpoint;
use crate::policy::Permit;
use crate::provider::{Answer, Fault, LoginFault, Pass, Provider, Turn};
use crate::vault::{DoneLogin, PendingLogin, Versioned};

/// How long a person may take at the provider's login page.
const FLOW_LIFE: Duration = Duration::from_mins(10);
/// Bytes of what a user calls a device: it stands in every list of sessions.
const LONGEST_DEVICE: usize = 256;
/// How long a completed login answers again with what it answered first.
pub(super) const REPEATABLE: Duration = Duration::from_mins(1);

/// Lets the halves of one login come one after the other. Entries vanish with their last user.
#[derive(Default)]
pub struct LoginLocks(Mutex<HashMap<LoginId, Weak<tokio::sync::Mutex<()>>>>);

impl LoginLocks {
    fn lock_of(&self, id: LoginId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        let known = locks.get(&id).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let fresh = Arc::new(tokio::sync::Mutex::new(()));
            locks.insert(id, Arc::downgrade(&fresh));
            fresh
        })
    }
}

impl Keeper {
    /// Begins a login.
    pub async fn begin_login(
        &self,
        _permit: Permit,
        peer: &Peer,
        begin: &LoginBegin,
    ) -> Result<LoginBegun, KeeperError> {
        let now = self.clock.now();
        check_device_name(begin.device.as_deref())?;
        self.count_login(peer)?;
        let provider = self.provider(&begin.provider)?;
        let flow = Flow::begin(provider.settings(), begin, now)
            .map_err(|error| KeeperError::BadRequest { why: error.to_string() })?;
        let authorize_url = self.authorize_url(&provider, &flow).await?;
        let id = LoginId::from_random(rand::random());
        let login = PendingLogin {
            provider: begin.provider.clone(),
            begun_by: peer.owner(),
            device: begin.device.clone(),
            replaces: begin.replaces,
            way: Way::CodeOf(provider.settings().kind.issuer().to_owned(), flow),
            expires_at: now + FLOW_LIFE,
            done: None,
        };
        let event = What::LoginBegun { peer: peer.to_string(), provider: login.provider.clone() };
        let mut change = self.vault.change(now);
        change.keep_login(id, 0, &login)?.audit(event)?;
        change.commit().await?;
        Ok(LoginBegun { login_id: id, authorize_url, expires_at: login.expires_at })
    }

    async fn authorize_url(&self, provider: &Provider, flow: &Flow) -> Result<Secret, KeeperError> {
        let now = self.clock.now();
        let url = if provider.is_known(now) {
            provider.authorize_url(flow, now).await
        } else {
            let pass = self.enter_for_person(provider).await?;
            let url = provider.authorize_url(flow, self.clock.now()).await;
            pass.came_back((&url).into());
            url
        };
        url.map_err(|fault| trouble(&provider.settings().name, &fault))
    }

    /// Waits until a provider may be asked on behalf of somebody at a browser.
    pub(super) async fn enter_for_person<'a>(&'a self, provider: &'a Provider) -> Result<Pass<'a>, KeeperError> {
        self.pass(provider, Turn::of_person()).await
    }

    /// Has tokens revoked that nobody will ever use, unless the provider wants to be left alone.
    pub(super) async fn discard(&self, provider: &Provider, tokens: &Tokens) {
        if let Ok(_pass) = provider.gate().enter(&self.clock, Turn::of_person()).await {
            provider.discard(tokens, self.clock.now()).await;
        }
    }

    /// The flow that a peer wants to complete. One that is not there, is another peer's, or expired reads the same.
    pub fn pending_login(&self, peer: &Peer, id: LoginId) -> Result<Versioned<PendingLogin>, KeeperError> {
        let now = self.clock.now();
        let found = self.vault.login(id)?;
        let usable = found.filter(|login| login.value.begun_by == peer.owner() && login.value.expires_at > now);
        usable
            .ok_or_else(|| failed("this login is not known: it expired, was completed, or was begun by somebody else"))
    }

    /// Completes a login.
    pub async fn complete_login(
        &self,
        permit: Permit,
        peer: &Peer,
        complete: &LoginComplete,
    ) -> Result<LoggedIn, KeeperError> {
        let lock = self.logins.lock_of(complete.login_id);
        let _turn = lock.lock().await;
        let login = self.pending_login(peer, complete.login_id)?;
        let query = self.vault.callback_hash(complete.callback_query.expose());
        if let Some(done) = &login.value.done {
            let same = done.query == query;
            return if same { Ok(done.answer.clone()) } else { Err(failed("this login was completed already")) };
        }
        match self.try_complete(permit, peer, complete, &login, query).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.count_login(peer)?;
                if let Err(unwritten) = self.note_failure(peer, complete.login_id, &login, &error).await {
                    tracing::error!(error = %unwritten, "a login that failed could not be audited");
                }
                Err(error)
            }
        }
    }

    pub(super) fn count_login(&self, peer: &Peer) -> Result<(), KeeperError> {
        self.login_quota.take(peer.owner(), self.clock.now()).map_err(|wait| KeeperError::TooManyLogins { wait })
    }

    /// To be asked before a provider is asked for something that has to be written, so that it is not spent in vain.
    pub(super) fn check_store(&self) -> Result<(), KeeperError> {
        self.vault.fault().map_or(Ok(()), |why| Err(KeeperError::StoreDown { why }))
    }

    async fn try_complete(
        &self,
        permit: Permit,
        peer: &Peer,
        complete: &LoginComplete,
        login: &Versioned<PendingLogin>,
        query: [u8; 16],
    ) -> Result<LoggedIn, KeeperError> {
        let Some((flow, issuer)) = login.value.way.code() else {
            let why = "no browser comes back from a login with a code; wait for it instead".to_owned();
            return Err(KeeperError::BadRequest { why });
        };
        let provider = self.provider(&login.value.provider)?;
        let configured = provider.settings().kind.issuer();
        if let Some(begun_at) = issuer.filter(|issuer| *issuer != configured) {
            let (begun_at, configured) = (begun_at.to_owned(), configured.to_owned());
            return Err(login_error(&login.value.provider, LoginFault::AnotherIssuer { begun_at, configured }));
        }
        let callback = provider
            .read_callback(&complete.callback_query)
            .map_err(|error| KeeperError::BadRequest { why: error.to_string() })?;
        if !callback.fits(&flow.state) {
            return Err(KeeperError::ForeignCallback {
                why:
                    "the `state` that came back is not that of this login; pass on the callback of the login you began"
                        .to_owned(),
            });
        }
        if matches!(callback.answer, Answer::Code(_)) {
            self.check_store()?;
        }
        let pass = self.enter_for_person(&provider).await?;
        let grant = provider.exchange(flow, &callback, self.clock.now()).await;
        pass.came_back((&grant).into());
        let grant = grant.map_err(|fault| login_error(&login.value.provider, fault))?;
        failpoint!("login.exchanged");
        let arrival =
            Arrival { id: complete.login_id, login, query, grant: &grant, peer, settings: provider.settings() };
        let opened = self.admit(&permit, &arrival).await;
        if opened.is_err() {
            self.discard(&provider, &grant.tokens).await;
        }
        opened
    }

    /// Audits a login that failed. One that can still succeed, with another callback or later, is kept.
    async fn note_failure(
        &self,
        peer: &Peer,
        id: LoginId,
        login: &Versioned<PendingLogin>,
        error: &KeeperError,
    ) -> Result<(), KeeperError> {
        let provider = login.value.provider.clone();
        let event = What::LoginFailed { peer: peer.to_string(), provider, why: error.to_string() };
        let mut change = self.vault.change(self.clock.now());
        change.audit(event)?;
        if matches!(error, KeeperError::LoginFailed { .. }) {
            change.forget_login(id, login.version);
        }
        change.commit().await?;
        Ok(())
    }
}

pub(super) fn check_device_name(name: Option<&str>) -> Result<(), KeeperError> {
    if name.is_some_and(|name| name.len() > LONGEST_DEVICE) {
        let why = format!("the name of the device is too long; {LONGEST_DEVICE} bytes are allowed");
        return Err(KeeperError::BadRequest { why });
    }
    Ok(())
}

pub(super) fn failed(why: &str) -> KeeperError {
    KeeperError::LoginFailed { why: why.to_owned() }
}

/// What a completed flow is kept as.
pub(super) fn completed(login: &PendingLogin, query: [u8; 16], answer: &LoggedIn, now: UnixSeconds) -> PendingLogin {
    let done = Some(DoneLogin { query, answer: answer.clone() });
    PendingLogin { done, expires_at: now + REPEATABLE, ..login.clone() }
}

fn trouble(provider: &ProviderName, fault: &Fault) -> KeeperError {
    let (provider, why) = (provider.clone(), fault.to_string());
    if fault.needs_administrator() {
        return KeeperError::Misconfigured { provider, why };
    }
    KeeperError::ProviderDown { provider, why, wait: fault.retry_after().unwrap_or(Duration::from_secs(1)) }
}

pub(super) fn login_error(provider: &ProviderName, fault: LoginFault) -> KeeperError {
    match fault {
        LoginFault::Fault(fault) => trouble(provider, &fault),
        LoginFault::Configuration(why) => KeeperError::Misconfigured { provider: provider.clone(), why },
        other => failed(&other.to_string()),
    }
}

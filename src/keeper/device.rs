//! Logins whose browser is on another device (RFC 8628): begun here, and waited for.
//!
//! The flow holds what came of it, so that everybody who waits is told the same. Who asks the provider is a task of the daemon
//! (`device_poll`): whoever began the login may hang up.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::reply::{DeviceBegun, LoggedIn};
use tokenkeeper_protocol::request::DeviceBegin;
use tokenkeeper_protocol::{LoginId, ProviderName};

use super::login::{check_device_name, failed, login_error};
use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::domain::{DeviceFailure, DeviceFlow, Peer, Way};
use crate::policy::Permit;
use crate::provider::{DeviceAsk, DeviceRefused};
use crate::vault::PendingLogin;

/// When an owner that has begun too many may try again.
const ROOM_AGAIN: Duration = Duration::from_mins(1);

impl Keeper {
    /// Begins a login whose browser is on another device, and asks for its user from then on.
    pub async fn begin_device_login(
        self: &Arc<Self>,
        _permit: Permit,
        peer: &Peer,
        begin: &DeviceBegin,
    ) -> Result<DeviceBegun, KeeperError> {
        check_device_name(begin.device.as_deref())?;
        self.count_login(peer)?;
        let room = self.device_logins.room(peer.owner());
        let _room = room.ok_or(KeeperError::TooManyLogins { wait: ROOM_AGAIN })?;
        let provider = self.provider(&begin.provider)?;
        let ask = DeviceAsk::new(provider.settings(), begin)
            .map_err(|error| KeeperError::BadRequest { why: error.to_string() })?;
        self.check_store()?;
        let pass = self.enter_for_person(&provider).await?;
        let now = self.clock.now();
        let start = provider.begin_device(&ask, now).await;
        pass.came_back((&start).into());
        let start = start.map_err(|refused| begin_error(&begin.provider, refused))?;
        let id = LoginId::from_random(rand::random());
        let flow = DeviceFlow {
            id,
            device_code: start.device_code,
            issuer: start.issuer,
            scopes: ask.scopes,
            resource: ask.resource,
            peer: peer.clone(),
            interval: u32::try_from(start.interval.as_secs()).unwrap_or(u32::MAX),
            failure: None,
        };
        let login = PendingLogin {
            provider: begin.provider.clone(),
            begun_by: peer.owner(),
            device: begin.device.clone(),
            replaces: begin.replaces,
            way: Way::Device(flow),
            expires_at: now + start.life,
            done: None,
        };
        let event = What::LoginBegun { peer: peer.to_string(), provider: login.provider.clone() };
        let mut change = self.vault.change(now);
        change.keep_login(id, 0, &login)?.audit(event)?;
        change.commit().await?;
        self.ask_from_now_on(id, &login);
        Ok(DeviceBegun {
            login_id: id,
            user_code: start.user_code,
            verification_uri: start.verification_uri,
            verification_uri_complete: start.verification_uri_complete,
            expires_at: login.expires_at,
        })
    }

    /// Takes up what the last run left: call it once, when the rules are in force.
    pub fn resume_device_logins(self: &Arc<Self>) -> Result<(), KeeperError> {
        for id in self.vault.device_flows()? {
            if let Some(login) = self.vault.login(id)? {
                self.ask_from_now_on(id, &login.value);
            }
        }
        Ok(())
    }

    /// The device flow that a peer wants to wait for. One that is not there, is another peer's, or is long over reads the same.
    pub fn device_login(&self, peer: &Peer, id: LoginId) -> Result<PendingLogin, KeeperError> {
        let now = self.clock.now();
        let found = self.vault.login(id)?.map(|login| login.value);
        let usable = found.filter(|login| {
            let told = outcome(login).is_none() || login.expires_at > now;
            login.begun_by == peer.owner() && login.way.device().is_some() && told
        });
        usable.ok_or_else(|| failed("this login is not known: it is long over, or was begun by somebody else"))
    }

    /// Waits until the user of a device flow has come, it has failed, or `patience` is over.
    ///
    /// # Cancel safety
    /// Safe: the flow goes on without who waits for it.
    pub async fn wait_for_device_login(
        self: &Arc<Self>,
        _permit: Permit,
        peer: &Peer,
        id: LoginId,
        patience: Duration,
    ) -> Result<LoggedIn, KeeperError> {
        let login = self.device_login(peer, id)?;
        if let Some(outcome) = outcome(&login) {
            return outcome;
        }
        self.ask_from_now_on(id, &login);
        let Some(mut over) = self.device_logins.follow(id) else { return Err(KeeperError::UserNotThere) };
        match tokio::time::timeout(patience, over.wait_for(Option::is_some)).await {
            Err(_) => Err(KeeperError::UserNotThere),
            Ok(Ok(failure)) => Err(failure.clone().unwrap_or(KeeperError::Internal)),
            // Nobody asks any more: there is a session, or the daemon stops.
            Ok(Err(_)) => outcome(&self.device_login(peer, id)?).unwrap_or(Err(KeeperError::UserNotThere)),
        }
    }
}

/// What came of a device flow, once something has.
pub(super) fn outcome(login: &PendingLogin) -> Option<Result<LoggedIn, KeeperError>> {
    if let Some(done) = &login.done {
        return Some(Ok(done.answer.clone()));
    }
    Some(Err(match login.way.device()?.failure.clone()? {
        DeviceFailure::Failed(why) => KeeperError::LoginFailed { why },
        DeviceFailure::Misconfigured(why) => KeeperError::Misconfigured { provider: login.provider.clone(), why },
    }))
}

fn begin_error(provider: &ProviderName, refused: DeviceRefused) -> KeeperError {
    match refused {
        DeviceRefused::NotOffered => KeeperError::NoDeviceFlow { provider: provider.clone() },
        DeviceRefused::Login(fault) => login_error(provider, fault),
    }
}

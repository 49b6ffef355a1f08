//! The last step of a login: who came is bound to their name, and their session is opened or renewed.

use tokenkeeper_protocol::reply::LoggedIn;
use tokenkeeper_protocol::{LoginId, SessionRef};

use super::login::{completed, failed};
use super::{Keeper, KeeperError, narrowed, timing};
use crate::audit::What;
use crate::config::ProviderSettings;
use crate::domain::{Peer, Session, State};
use crate::failpoint::failpoint;
use crate::policy::Permit;
use crate::provider::Grant;
use crate::vault::{Binding, Change, PendingLogin, VaultError, Versioned};

/// Random references tried before something else must be wrong.
const PATIENCE: usize = 8;

/// A login whose user has come back from the provider.
pub(super) struct Arrival<'a> {
    pub(super) id: LoginId,
    pub(super) login: &'a Versioned<PendingLogin>,
    pub(super) query: [u8; 16],
    pub(super) grant: &'a Grant,
    pub(super) peer: &'a Peer,
    pub(super) settings: &'a ProviderSettings,
}

impl Keeper {
    /// Opens a session for who came, or renews the one that the login replaces: one batch with everything that follows.
    pub(super) async fn admit(&self, permit: &Permit, arrival: &Arrival<'_>) -> Result<LoggedIn, KeeperError> {
        let came = &arrival.grant.user.name;
        if !permit.admits(came) {
            let provider = &arrival.login.value.provider;
            let why = format!("{:?} came back, whom [user_map.{provider}] does not give to this user", came.as_str());
            return Err(failed(&why));
        }
        for _ in 0..PATIENCE {
            let replaced = self.replaced(arrival)?;
            let session = self.session_of(arrival, replaced.as_ref())?;
            let answer = answer_of(&session);
            let now = self.clock.now();
            let mut change = self.vault.change(now);
            match &replaced {
                Some(old) => change.update(old, &session)?,
                None => change.insert(&session)?,
            };
            self.bind(&mut change, arrival)?;
            change.keep_login(
                arrival.id,
                arrival.login.version,
                &completed(&arrival.login.value, arrival.query, &answer, now),
            )?;
            change.audit(What::LoginCompleted {
                peer: arrival.peer.to_string(),
                provider: session.provider.clone(),
                session: session.id,
                user: session.user.name.to_string(),
            })?;
            if let Some(narrowed) = narrowed::at_login(&session) {
                change.audit(narrowed)?;
            }
            match change.commit().await {
                Ok(()) => {
                    failpoint!("login.kept", session.id);
                    self.publish(session.id);
                    return Ok(answer);
                }
                // The reference is taken, or the session or binding was changed meanwhile.
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeeperError::Internal)
    }

    /// The session that this login renews, unless it is over. Only its own user may renew it.
    fn replaced(&self, arrival: &Arrival<'_>) -> Result<Option<Versioned<Session>>, KeeperError> {
        let Some(id) = arrival.login.value.replaces else { return Ok(None) };
        let found = self.vault.session(id)?.filter(|session| !session.value.state.is_ended());
        let (Some(session), came) = (found, &arrival.grant.user) else { return Ok(None) };
        let user = &session.value.user;
        let same = session.value.provider == arrival.login.value.provider
            && (&user.issuer, &user.subject) == (&came.issuer, &came.subject);
        if same {
            Ok(Some(session))
        } else {
            Err(failed(&format!("session {id} belongs to another user than the one who came")))
        }
    }

    /// Binds the name of who came to their subject, once and for all.
    fn bind(&self, change: &mut Change<'_>, arrival: &Arrival<'_>) -> Result<(), KeeperError> {
        let (user, provider) = (&arrival.grant.user, &arrival.login.value.provider);
        let binding = Binding { name: user.name.clone(), issuer: user.issuer.clone(), subject: user.subject.clone() };
        match self.vault.bound(provider, &user.name)? {
            None => change.bind(provider, &binding).map(drop).map_err(KeeperError::from),
            // Whoever is erased just now is bound anew.
            Some(known) if known.value == binding => {
                change.still_bound(provider, &known);
                Ok(())
            }
            Some(_) => Err(failed(&format!(
                "the name {:?} at {provider} is bound to another user; an administrator has to look into it",
                user.name.as_str()
            ))),
        }
    }

    fn session_of(&self, arrival: &Arrival<'_>, replaced: Option<&Versioned<Session>>) -> Result<Session, VaultError> {
        let (now, login, grant) = (self.clock.now(), &arrival.login.value, arrival.grant);
        let ends_at = now + arrival.settings.max_age;
        let mut session = Session {
            id: replaced.map_or_else(|| SessionRef::from_random(rand::random()), |old| old.value.id),
            provider: login.provider.clone(),
            user: grant.user.clone(),
            device: login.device.clone().or_else(|| replaced.and_then(|old| old.value.device.clone())),
            opened_by: replaced.map_or_else(|| login.begun_by.clone(), |old| old.value.opened_by.clone()),
            scopes: login.way.scopes().to_vec(),
            opened_at: self.opening_time(arrival.settings, &grant.user, now)?,
            ends_at,
            last_used_at: now,
            authentication: grant.authentication.clone(),
            state: State::Active,
            tokens: Some(grant.tokens.clone()),
            generation: replaced.map_or(1, |old| old.value.generation + 1),
            refreshes: 0,
            trouble: None,
            due_at: None,
            prune_at: ends_at,
            told: replaced.map_or(0, |old| old.value.told),
            resource: login.way.resource().to_vec(),
            era: self.clock.era(),
        };
        session.due_at = timing::refresh_due(&session, arrival.settings, 2.0 * rand::random::<f64>() - 1.0);
        Ok(session)
    }
}

fn answer_of(session: &Session) -> LoggedIn {
    LoggedIn {
        session: session.id,
        provider: session.provider.clone(),
        user: session.user.clone(),
        authentication: session.authentication.clone(),
        ends_at: session.ends_at,
    }
}

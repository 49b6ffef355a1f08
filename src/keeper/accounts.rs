//! Service accounts: which sessions they have. The configuration says which there are, and the vault follows.
//!
//! Invariant: an account is served only by a session of the provider, issuer, client, scopes and resources that the
//! configuration in force gives it. Its tokens are obtained by a flight, like any session's.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokenkeeper_protocol::reply::{Authentication, UserInfo};
use tokenkeeper_protocol::{AccountName, ProviderName, SessionRef, UnixSeconds};

use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::config::AccountSettings;
use crate::domain::{EndReason, Owner, Session, State};
use crate::vault::{VaultError, Versioned};

/// Times that a record may change under our hands, or a reference be taken, before something else must be wrong.
const PATIENCE: usize = 8;

/// The service accounts of a configuration.
pub type AccountsConfigured = BTreeMap<AccountName, Arc<AccountSettings>>;

/// What is known of service accounts without looking at the store.
pub(super) struct Accounts {
    configured: ArcSwap<AccountsConfigured>,
    sessions: ArcSwap<BTreeMap<AccountName, SessionRef>>,
    /// The configuration that the vault follows. One at a time makes it follow another.
    followed: tokio::sync::Mutex<Arc<AccountsConfigured>>,
}

impl Default for Accounts {
    /// Until there is a configuration, nothing has to follow it.
    fn default() -> Self {
        let none = Arc::new(AccountsConfigured::new());
        Self {
            configured: ArcSwap::new(Arc::clone(&none)),
            sessions: ArcSwap::default(),
            followed: tokio::sync::Mutex::new(none),
        }
    }
}

impl Keeper {
    /// The session of a service account of the configuration in force. Once it has a token, it is in the cache like any other.
    pub fn account(&self, name: &AccountName) -> Option<SessionRef> {
        self.accounts.sessions.load().get(name).copied()
    }

    /// The service accounts at a provider.
    pub fn accounts_at(&self, provider: &ProviderName) -> Vec<AccountName> {
        let configured = self.accounts.configured.load();
        configured
            .values()
            .filter(|account| account.provider == *provider)
            .map(|account| account.name.clone())
            .collect()
    }

    /// Puts the service accounts of a configuration in force: new ones are opened and due at once, those in trouble get another
    /// try at once, those that are gone or of another client now are closed and revoked. What the store does not take is left to
    /// the sweep.
    pub async fn keep_accounts(&self, configured: AccountsConfigured) {
        let known = self.accounts.sessions.load();
        let still =
            known.iter().filter(|(name, _)| configured.contains_key(*name)).map(|(name, id)| (name.clone(), *id));
        self.accounts.sessions.store(Arc::new(still.collect()));
        self.accounts.configured.store(Arc::new(configured));
        if let Err(error) = self.catch_up_with_accounts().await {
            tracing::error!(%error, "not every service account could be set up; the sweep tries it again");
        }
    }

    /// Makes the vault follow the configuration where it does not yet.
    pub(super) async fn catch_up_with_accounts(&self) -> Result<(), KeeperError> {
        let Ok(_work) = self.begin_work() else { return Ok(()) };
        let mut followed = self.accounts.followed.lock().await;
        let configured = self.accounts.configured.load_full();
        if Arc::ptr_eq(&followed, &configured) {
            return Ok(());
        }
        let (mut sessions, mut foreign) = (BTreeMap::new(), Vec::new());
        for session in self.open_accounts()? {
            match session.account().filter(|name| !sessions.contains_key(*name)).cloned() {
                Some(name) if configured.get(&name).is_some_and(|it| self.is_of(&session, it)) => {
                    sessions.insert(name, session.id);
                }
                _ => foreign.push(session.id),
            }
        }
        // From here on, nobody is served from one that is to be closed.
        self.accounts.sessions.store(Arc::new(sessions.clone()));
        for (name, account) in configured.iter() {
            match sessions.get(name) {
                Some(session) => self.adjust_account(*session, account).await?,
                None => drop(sessions.insert(name.clone(), self.open_account(account).await?)),
            }
        }
        self.accounts.sessions.store(Arc::new(sessions));
        for session in foreign {
            self.close_account(session).await?;
        }
        *followed = configured;
        self.agenda.notify_one();
        Ok(())
    }

    /// The sessions of all service accounts that were opened and not closed.
    fn open_accounts(&self) -> Result<Vec<Session>, KeeperError> {
        let mut open = Vec::new();
        for id in self.vault.accounts()? {
            match self.vault.session(id) {
                Ok(session) => open.extend(session.map(|it| it.value).filter(|it| !it.state.is_ended())),
                // One that is damaged keeps no other from being served: its account gets a new session.
                Err(error) => tracing::error!(session = %id, %error, "the record of a service account is damaged"),
            }
        }
        Ok(open)
    }

    /// Whether a session is of the client that its account is configured with.
    fn is_of(&self, session: &Session, account: &AccountSettings) -> bool {
        let Some(provider) = self.providers().get(&account.provider).cloned() else { return false };
        let settings = provider.settings();
        session.provider == account.provider
            && session.user.issuer == *settings.kind.issuer()
            && session.user.subject == settings.client_id
    }

    async fn open_account(&self, account: &AccountSettings) -> Result<SessionRef, KeeperError> {
        let provider = self.provider(&account.provider)?;
        let settings = provider.settings();
        let user = UserInfo {
            name: format!("@{}", account.name).parse().map_err(|_| KeeperError::Internal)?,
            subject: settings.client_id.clone(),
            issuer: settings.kind.issuer().to_owned(),
            email: None,
        };
        for _ in 0..PATIENCE {
            let now = self.clock.now();
            let session = Session {
                id: SessionRef::from_random(rand::random()),
                provider: account.provider.clone(),
                user: user.clone(),
                device: None,
                opened_by: Owner::Account(account.name.clone()),
                scopes: account.scopes.clone(),
                opened_at: now,
                ends_at: UnixSeconds::NEVER,
                last_used_at: now,
                authentication: Authentication::default(),
                state: State::Active,
                tokens: None,
                generation: 0,
                refreshes: 0,
                trouble: None,
                due_at: Some(now),
                prune_at: UnixSeconds::NEVER,
                told: 0,
                resource: account.resource.clone(),
                era: self.clock.era(),
            };
            let mut change = self.vault.change(now);
            let (account, provider) = (account.name.clone(), account.provider.clone());
            change.insert(&session)?.audit(What::AccountOpened { account, session: session.id, provider })?;
            match change.commit().await {
                Ok(()) => return Ok(session.id),
                // The reference is taken.
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeeperError::Internal)
    }

    /// Has an account ask for what it is configured with now. Whoever has a token of before may use it until it expires.
    async fn adjust_account(&self, id: SessionRef, account: &AccountSettings) -> Result<(), KeeperError> {
        self.change_account(id, |session| {
            let now = self.clock.now();
            let mut new = session.clone();
            if (&new.scopes, &new.resource) != (&account.scopes, &account.resource) {
                (new.scopes, new.resource) = (account.scopes.clone(), account.resource.clone());
                new.tokens = None;
                new.generation += 1;
            }
            let is_well = new.tokens.is_some() && new.trouble.is_none();
            (new.trouble, new.due_at) = (None, if is_well { new.due_at } else { Some(now) });
            (new != *session).then_some((new, None))
        })
        .await
    }

    async fn close_account(&self, id: SessionRef) -> Result<(), KeeperError> {
        self.change_account(id, |session| {
            let account = session.account()?.clone();
            let event = What::AccountClosed { account, session: id, provider: session.provider.clone() };
            let ended = self.ended(session, EndReason::Unconfigured);
            Some((ended, Some(event)))
        })
        .await
    }

    /// Changes a session that is not ended, until nobody else changes it at the same time.
    async fn change_account(
        &self,
        id: SessionRef,
        edit: impl Fn(&Session) -> Option<(Session, Option<What>)>,
    ) -> Result<(), KeeperError> {
        for _ in 0..PATIENCE {
            let found = self.vault.session(id)?.filter(|session| !session.value.state.is_ended());
            let Some(old @ Versioned { .. }) = found else { return Ok(()) };
            let Some((new, event)) = edit(&old.value) else { return Ok(()) };
            let mut change = self.vault.change(self.clock.now());
            change.update(&old, &new)?;
            if let Some(event) = event {
                change.audit(event)?;
            }
            match change.commit().await {
                Ok(()) => {
                    self.publish(id);
                    return Ok(());
                }
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeeperError::Internal)
    }
}

//! The first steps of an erasure: the sessions end, their tokens are revoked, and everything is removed.
//!
//! Invariant: the row of the erasure forgets whose it is when the last of it is removed, and not before.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::eraser::{Eraser, Row, Step, changed};
use super::traces::Traces;
use crate::audit::What;
use crate::domain::Session;
use crate::failpoint::failpoint;
use crate::keeper::KeeperError;
use crate::vault::{Change, Erasure, ErasureId, Stage, VaultError, Versioned, Whose};

/// The longest wait for the provider in one step; what is left is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sessions that are removed in one change.
const TOGETHER: usize = 128;

impl Eraser {
    pub(super) async fn end_and_remove(
        self: &Arc<Self>,
        id: ErasureId,
        row: &Row,
        whose: &Whose,
    ) -> Result<Step, KeeperError> {
        let erasure = &row.value;
        let (sessions, _) = self.keeper.vault.sessions_of(&erasure.provider, whose)?;
        self.end(&sessions, erasure).await?;
        if let Some(waits) = self.give_way() {
            // Nothing is revoked any more, so nothing may be removed for having waited long enough.
            return Ok(waits);
        }
        let (sessions, damaged) = self.keeper.vault.sessions_of(&erasure.provider, whose)?;
        if sessions.iter().any(|session| !session.value.state.is_ended()) {
            // Somebody logged in meanwhile.
            return Ok(Step::Taken);
        }
        let unrevoked: Vec<_> = sessions.iter().filter(|session| session.value.tokens.is_some()).collect();
        if let (Some(first), false) = (unrevoked.first(), erasure.at_once) {
            let why = first.value.trouble.as_ref().map_or("it has not answered yet", |trouble| &trouble.what);
            let (provider, count) = (&erasure.provider, unrevoked.len());
            return Ok(Step::Waits(format!(
                "nothing is removed yet, for {provider} has not revoked the tokens of {count} sessions: {why}"
            )));
        }
        let mut removal = Removal { eraser: self, id, version: row.version, erasure: erasure.clone() };
        removal.remove_logins(whose, &sessions).await?;
        for part in sessions.chunks(TOGETHER) {
            if let Some(waits) = self.give_way() {
                return Ok(waits);
            }
            removal.remove_sessions(part).await?;
        }
        for session in damaged {
            let mut change = self.keeper.vault.change(self.keeper.clock.now());
            change.remove_damaged(session)?.settle(session);
            change.commit().await.map_err(changed)?;
        }
        removal.forget_whose(whose).await
    }

    /// Ends the sessions, and has the provider revoke their tokens.
    async fn end(&self, sessions: &[Versioned<Session>], erasure: &Erasure) -> Result<(), KeeperError> {
        let mut ended = Vec::new();
        for session in sessions {
            match self.keeper.bury(session.value.id, &erasure.peer).await {
                Ok(session) => ended.push(session),
                // It grew old meanwhile.
                Err(KeeperError::NoSuchSession { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // All at once: the gate of the provider lets through as many as it may be asked.
        let revoked = join_all(ended.iter().map(|session| self.keeper.revoked(session)));
        // Whether they are is read from the store.
        let _ = tokio::time::timeout(PATIENCE, revoked).await;
        Ok(())
    }
}

/// An erasure that removes.
struct Removal<'a> {
    eraser: &'a Arc<Eraser>,
    id: ErasureId,
    version: u64,
    erasure: Erasure,
}

impl Removal<'_> {
    async fn remove_logins(&mut self, whose: &Whose, sessions: &[Versioned<Session>]) -> Result<(), KeeperError> {
        let (eraser, erasure) = (Arc::clone(self.eraser), self.erasure.clone());
        let sessions: Vec<_> = sessions.iter().map(|session| session.value.clone()).collect();
        let whose = whose.clone();
        let found = tokio::task::spawn_blocking(move || {
            let vault = &eraser.keeper.vault;
            let bindings = match &whose {
                Whose::Session(_) => Vec::new(),
                Whose::User(person) => vault.bindings_of(&erasure.provider, person)?,
            };
            let names = bindings.into_iter().map(|(_, binding)| binding.value.name);
            let traces = Traces::of(&erasure.provider, &whose, &sessions, names);
            vault.logins_about(|login| traces.are_in(login))
        });
        let found = found.await.map_err(|_| KeeperError::Internal)??;
        if found.is_empty() {
            return Ok(());
        }
        let mut change = self.eraser.keeper.vault.change(self.eraser.keeper.clock.now());
        for (key, version) in &found {
            change.drop_login(key, *version);
        }
        change.commit().await.map_err(changed)
    }

    async fn remove_sessions(&mut self, sessions: &[Versioned<Session>]) -> Result<(), KeeperError> {
        let keeper = &self.eraser.keeper;
        for session in sessions {
            let is_revoked = session.value.tokens.is_none() && session.value.trouble.is_none();
            self.erasure.not_revoked += u64::from(!is_revoked);
            self.erasure.sessions += 1;
            // What a provider answered and the store did not take is about a session that is gone.
            keeper.unwritten.forget(session.value.id);
        }
        failpoint!("erase.before-removal");
        self.write(|change| {
            for session in sessions {
                let (session, provider) = (session.value.id, self.erasure.provider.clone());
                change.settle(session).audit(What::Removed { session, provider })?;
            }
            sessions.iter().try_for_each(|session| change.remove(session).map(drop))
        })
        .await?;
        self.version += 1;
        for session in sessions {
            keeper.publish(session.value.id);
        }
        Ok(())
    }

    /// Removes the names, then whose erasure it is, unless a session has come meanwhile.
    async fn forget_whose(mut self, whose: &Whose) -> Result<Step, KeeperError> {
        let vault = Arc::clone(&self.eraser.keeper.vault);
        let bindings = match whose {
            Whose::Session(_) => Vec::new(),
            Whose::User(person) => {
                let (provider, person) = (self.erasure.provider.clone(), person.clone());
                let found = tokio::task::spawn_blocking(move || vault.bindings_of(&provider, &person));
                found.await.map_err(|_| KeeperError::Internal)??
            }
        };
        let vault = &self.eraser.keeper.vault;
        if !bindings.is_empty() {
            let mut change = vault.change(self.eraser.keeper.clock.now());
            for (key, binding) in &bindings {
                change.unbind(key, binding.version);
            }
            change.commit().await.map_err(changed)?;
        }
        // Behind the names: a login that came before binds none, and one that comes from here on binds it anew.
        if vault.sessions_of(&self.erasure.provider, whose)? != (Vec::new(), Vec::new()) {
            return Ok(Step::Taken);
        }
        self.erasure.stage = Stage::Rewriting { told_below: vault.outbox_end() };
        self.write(|_| Ok(())).await?;
        failpoint!("erase.removed");
        Ok(Step::Taken)
    }

    async fn write(&self, also: impl FnOnce(&mut Change<'_>) -> Result<(), VaultError>) -> Result<(), KeeperError> {
        self.eraser.write(self.id, self.version, &self.erasure, also).await
    }
}

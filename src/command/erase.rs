//! Erasing what is kept of somebody.

#[cfg(test)]
mod tests;

use data_encoding::HEXLOWER;
use tokenkeeper_protocol::reply::Erasure;
use tokenkeeper_protocol::request::{Erase, EraseBegin, Erased};
use tokenkeeper_protocol::{Code, Problem, ProviderName, SessionRef, UserName};

use super::Service;
use crate::domain::{Owner, Peer};
use crate::keeper::{How, KeeperError};
use crate::policy::{Action, Permit, Target, judge};

impl Service {
    pub(super) async fn erase(&self, peer: &Peer, request: &Erase) -> Result<Erasure, Problem> {
        let erasure = match request {
            Erase::Begin(begin) => self.begin_to_erase(peer, begin).await?,
            Erase::Progress(id) => {
                let _permit = self.permit(peer, Action::Erase, Target::Daemon, "erasures").await?;
                let id = HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok());
                let words = "no such erasure is under way; `tokenkeeper status` tells of those that do not go on";
                id.and_then(|id| self.eraser.progress(id)).ok_or_else(|| Problem::new(Code::NotFound, words))?
            }
        };
        Ok(Erasure { copies: self.copies(), ..erasure })
    }

    async fn begin_to_erase(&self, peer: &Peer, wanted: &EraseBegin) -> Result<Erasure, Problem> {
        let permit = match &wanted.whom {
            Erased::Session(id) => self.permit_to_erase_session(peer, *id).await?,
            Erased::User { provider, user } => self.permit_to_erase_user(peer, provider, Some(user)).await?,
            Erased::Subject { provider, .. } => self.permit_to_erase_user(peer, provider, None).await?,
        };
        let how = How { forced: wanted.forced, at_once: wanted.at_once };
        let begun = self.eraser.begin(permit, &peer.to_string(), &wanted.whom, how).await;
        begun.map_err(|error| error.to_problem())
    }

    async fn permit_to_erase_session(&self, peer: &Peer, id: SessionRef) -> Result<Permit, Problem> {
        let found = self.keeper.vault().session(id).map_err(|error| KeeperError::from(error).to_problem())?;
        let judged = found.map(|session| session.value).and_then(|session| {
            let permit = judge(&self.in_force.load().rules, peer, Action::Erase, Target::of(&session)).ok()?;
            Some((permit, session.opened_by))
        });
        match judged {
            None => Err(self.no_such_session(peer, Action::Erase, id).await),
            Some((_, Owner::Account(name))) => Err(Problem::new(
                Code::BadRequest,
                format!("session {id} is service account {name}, which is nobody; remove it from the configuration"),
            )),
            Some((permit, _)) => Ok(permit),
        }
    }

    /// It is about sessions whoever opened them, so a rule has to reach all, or those of the very user.
    async fn permit_to_erase_user(
        &self,
        peer: &Peer,
        provider: &ProviderName,
        user: Option<&UserName>,
    ) -> Result<Permit, Problem> {
        let permit = self.permit(peer, Action::Erase, Target::Provider(provider), provider.as_str()).await?;
        let reaches = permit.reaches();
        let is_own = |user| self.in_force.load().rules.users.maps(provider, peer.uid, user);
        if reaches.all || (reaches.user && user.is_some_and(is_own)) {
            return Ok(permit);
        }
        self.note_denial(peer, Action::Erase, provider.as_str()).await;
        let words = "this is about the user's sessions whoever opened them: it takes a rule for \"erase\" on all sessions of the provider";
        Err(Problem::new(Code::Denied, words))
    }

    /// What stands beside the store and was a store once: one that somebody has moved aside or copied.
    fn copies(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.vitals.state_dir).into_iter().flatten().flatten();
        let is_copy = |name: &str| name.starts_with("store") && name != "store";
        let copies = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_copy) && entry.path().is_dir());
        let mut copies: Vec<_> = copies.map(|entry| entry.path().display().to_string()).collect();
        copies.sort();
        copies
    }
}

//! What happened to a session.

use tokenkeeper_protocol::Problem;
use tokenkeeper_protocol::reply::{HistoryEntry, HistoryPage};
use tokenkeeper_protocol::request::HistoryRequest;

use super::Service;
use crate::audit::{Event, Summary};
use crate::domain::Peer;
use crate::keeper::KeeperError;
use crate::policy::Action;

/// Entries on one page. An entry is cut to less than a kilobyte, so that they fit into a frame whatever they say.
const PAGE: usize = 50;

impl Service {
    pub(super) async fn history(&self, peer: &Peer, request: &HistoryRequest) -> Result<HistoryPage, Problem> {
        let (vault, id) = (self.keeper.vault(), request.session);
        let found = vault.session(id).map_err(|error| KeeperError::from(error).to_problem())?;
        let allowed = found.map(|session| session.value).filter(|session| self.may(peer, Action::History, session));
        let Some(session) = allowed else {
            return Err(self.no_such_session(peer, Action::History, id).await);
        };
        let page = vault.history(&session, request.cursor, PAGE);
        let page = page.map_err(|error| KeeperError::from(error).to_problem())?;
        Ok(HistoryPage { entries: page.events.iter().map(entry).collect(), next: page.next })
    }
}

fn entry(happened: &Event) -> HistoryEntry {
    let Summary { event, peer, detail } = Summary::from(happened);
    HistoryEntry { at: happened.at, event: event.to_owned(), peer, detail }
}

//! Login flows on their way through a browser. They are kept, so that a restart loses none.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::reply::LoggedIn;
use tokenkeeper_protocol::{LoginId, ProviderName, SessionRef, UnixSeconds};

use super::{Vault, VaultError, Versioned};
use crate::domain::{Owner, Way};
use crate::store::{Batch, StoreError, Table};

/// A login that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingLogin {
    /// Where.
    pub provider: ProviderName,
    /// Who began it; nobody else can complete it.
    pub begun_by: Owner,
    /// What the user calls the device.
    pub device: Option<String>,
    /// The session that it renews.
    pub replaces: Option<SessionRef>,
    /// How its user comes, and what has to match then.
    pub way: Way,
    /// When it is forgotten.
    pub expires_at: UnixSeconds,
    /// Its answer, once there is one.
    pub done: Option<DoneLogin>,
}

/// The answer of a completed login, for those who ask again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DoneLogin {
    /// A keyed hash of the callback query that was completed; of nothing, if no browser came back.
    pub query: [u8; 16],
    /// What was answered.
    pub answer: LoggedIn,
}

impl Vault {
    /// Reads a flow.
    pub fn login(&self, id: LoginId) -> Result<Option<Versioned<PendingLogin>>, VaultError> {
        self.read(Table::Logins, &self.login_key(id))
    }

    /// The device flows that nothing came of yet. A row that does not open is nobody's.
    pub fn device_flows(&self) -> Result<Vec<LoginId>, VaultError> {
        const PAGE: usize = 256;
        let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let rows = self.store.scan(Table::Logins, &[], after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(found) };
            after = Some(last.clone());
            let logins = rows.iter().filter_map(|(key, row)| self.open_row(Table::Logins, key, row).ok());
            found.extend(logins.filter_map(|login: Versioned<PendingLogin>| {
                let flow = login.value.way.device().filter(|flow| flow.failure.is_none())?;
                login.value.done.is_none().then_some(flow.id)
            }));
        }
    }

    /// The keyed hash under which a completed callback query is remembered.
    pub fn callback_hash(&self, query: &str) -> [u8; 16] {
        self.keyring.load().blind("callback", &[query.as_bytes()])
    }

    /// Removes flows that expired before `now`; returns how many.
    pub async fn forget_expired_logins(&self, now: UnixSeconds) -> Result<usize, VaultError> {
        const BATCH: usize = 256;
        let (mut removed, mut after) = (0, None::<Vec<u8>>);
        loop {
            let rows = self.store.scan(Table::Logins, &[], after.as_deref(), BATCH)?;
            let Some((last, _)) = rows.last() else { return Ok(removed) };
            let (mut batch, mut expired) = (Batch::default(), 0);
            for (key, row) in &rows {
                // Nobody can complete a flow that does not open, so it goes with those that expired.
                let login = self.open_row::<PendingLogin>(Table::Logins, key, row);
                if login.is_ok_and(|login| login.value.expires_at > now) {
                    continue;
                }
                batch.delete(Table::Logins, key, row.version);
                expired += 1;
            }
            let written = if expired > 0 { self.store.write_if(batch).await.map(drop) } else { Ok(()) };
            match written {
                Ok(()) => (removed, after) = (removed + expired, Some(last.clone())),
                // One of them was completed meanwhile: read them again.
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn login_key(&self, id: LoginId) -> [u8; 16] {
        self.keyring.load().blind("login", &[id.as_bytes()])
    }
}

//! What was learned of how a provider treats refresh tokens: it outlives the daemon, for it decides what a lost answer means.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::ProviderName;

use super::change::Change;
use super::{Vault, VaultError};
use crate::store::Table;

/// In front of the hash of the provider's name.
const PREFIX: &[u8] = b"reuse/";

/// How a registration at a provider treats refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reuse {
    /// At whom: another one under the same name is not known by this.
    pub issuer: String,
    /// Our registration there: rotation is often a setting of it.
    pub client_id: String,
    /// Whether a refresh brings another refresh token.
    pub rotates: bool,
}

impl Vault {
    /// What was learned of a provider.
    pub fn reuse(&self, provider: &ProviderName) -> Result<Option<Reuse>, VaultError> {
        let found = self.read::<Reuse>(Table::Meta, &self.reuse_key(provider))?;
        Ok(found.map(|found| found.value))
    }

    fn reuse_key(&self, provider: &ProviderName) -> Vec<u8> {
        [PREFIX, &self.provider_prefix(provider)].concat()
    }
}

impl Change<'_> {
    /// Keeps what was learned of a provider.
    pub fn learn(&mut self, provider: &ProviderName, reuse: &Reuse) -> Result<&mut Self, VaultError> {
        let key = self.vault.reuse_key(provider);
        let version = self.vault.store.read(Table::Meta, &key)?.map_or(0, |row| row.version);
        self.put(Table::Meta, &key, version, reuse)
    }
}

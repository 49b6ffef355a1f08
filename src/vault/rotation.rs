//! What was learned of how a provider treats refresh tokens: it outlives the daemon, for it decides what a lost answer means.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::ProviderName;

use super::change::Change;
use super::{Vault, VaultError};
use crate::store::Table;

/// In front of the hash of the provider's name.
const PREFIX: &[u8] = b"rotation/";

/// How a registration at a provider treats refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// At whom: another one under the same name is not known by this.
    pub issuer: String,
    /// Our registration there: rotation is often a setting of it.
    pub client_id: String,
    /// Whether a refresh brings another refresh token.
    pub rotates: bool,
}

impl Vault {
    /// What was learned of a provider.
    pub fn rotation(&self, provider: &ProviderName) -> Result<Option<Rotation>, VaultError> {
        let found = self.read::<Rotation>(Table::Meta, &self.rotation_key(provider))?;
        Ok(found.map(|found| found.value))
    }

    fn rotation_key(&self, provider: &ProviderName) -> Vec<u8> {
        [PREFIX, &self.provider_prefix(provider)].concat()
    }
}

impl Change<'_> {
    /// Keeps what was learned of a provider.
    pub fn learn(&mut self, provider: &ProviderName, rotation: &Rotation) -> Result<&mut Self, VaultError> {
        let key = self.vault.rotation_key(provider);
        let version = self.vault.store.read(Table::Meta, &key)?.map_or(0, |row| row.version);
        self.put(Table::Meta, &key, version, rotation)
    }
}

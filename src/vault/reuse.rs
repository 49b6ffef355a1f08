//! What was learned of how a provider treats refresh tokens: it outlives the daemon, for it decides what a lost answer means.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::ProviderName;

use super::change::Change;
use super::{Vault, VaultError};
use crate::store::Table;

/// In front of the hash of the provider's name.
const ROTATION: &[u8] = b"reuse/";
/// The same, for what is known of its grace.
const GRACE: &[u8] = b"grace/";

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

/// Whether a registration at a provider forgives a spent refresh token for as long as the configuration says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grace {
    /// At whom.
    pub issuer: String,
    /// Our registration there.
    pub client_id: String,
    /// What the configuration says: another value is not known by this.
    pub configured: Duration,
    /// Refusals within it, in a row.
    pub refusals: u32,
}

impl Vault {
    /// What was learned of a provider.
    pub fn reuse(&self, provider: &ProviderName) -> Result<Option<Reuse>, VaultError> {
        self.learned(ROTATION, provider)
    }

    /// What was learned of its grace.
    pub fn grace(&self, provider: &ProviderName) -> Result<Option<Grace>, VaultError> {
        self.learned(GRACE, provider)
    }

    fn learned<T: DeserializeOwned>(&self, what: &[u8], provider: &ProviderName) -> Result<Option<T>, VaultError> {
        Ok(self.read::<T>(Table::Meta, &self.lesson_key(what, provider))?.map(|found| found.value))
    }

    fn lesson_key(&self, what: &[u8], provider: &ProviderName) -> Vec<u8> {
        [what, &self.provider_prefix(provider)].concat()
    }
}

impl Change<'_> {
    /// Keeps what was learned of a provider.
    pub fn learn(&mut self, provider: &ProviderName, reuse: &Reuse) -> Result<&mut Self, VaultError> {
        self.keep_lesson(ROTATION, provider, reuse)
    }

    /// Keeps what was learned of its grace.
    pub fn learn_grace(&mut self, provider: &ProviderName, grace: &Grace) -> Result<&mut Self, VaultError> {
        self.keep_lesson(GRACE, provider, grace)
    }

    fn keep_lesson<T: Serialize>(
        &mut self,
        what: &[u8],
        provider: &ProviderName,
        lesson: &T,
    ) -> Result<&mut Self, VaultError> {
        let key = self.vault.lesson_key(what, provider);
        let version = self.vault.store.read(Table::Meta, &key)?.map_or(0, |row| row.version);
        self.put(Table::Meta, &key, version, lesson)
    }
}

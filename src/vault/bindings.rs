//! Which subject a name stands for. A name that was bound once is not given to another subject by a login.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::{ProviderName, UserName};

use super::{Vault, VaultError, Versioned};
use crate::store::Table;

/// A name and the one subject it stands for at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The name.
    pub name: UserName,
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
}

impl Vault {
    /// The binding of a name, if it has one.
    pub fn binding(&self, provider: &ProviderName, name: &UserName) -> Result<Option<Binding>, VaultError> {
        Ok(self.bound(provider, name)?.map(|versioned| versioned.value))
    }

    /// The same, with its version.
    pub fn bound(&self, provider: &ProviderName, name: &UserName) -> Result<Option<Versioned<Binding>>, VaultError> {
        self.read(Table::Bindings, &self.name_prefix(provider, name))
    }
}

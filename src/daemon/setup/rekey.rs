//! Another identity for the host.
//!
//! ```text
//! 0. the new identity is sealed, and nobody else reads or writes the keyring from here on
//! 1. keyring for the old identity and the new one     the old one opens it
//! 2. the new identity in the place of the old         the new one opens it
//! 3. keyring for the new identity alone               the new one opens it; the old one opens nothing any more
//! 4. the old file removed, if the new one is sealed
//! ```
//! Whoever stops in between leaves an identity and a keyring that belong together. The next start, or the next call, does the rest.

use super::credential::Sealed;
use super::{Found, Host, give_to_owner_of_directory};
use crate::daemon::log::complain;
use crate::daemon::{StartError, keys};
use crate::seal::{
    Alone, HostIdentity, IdentityError, IdentitySource, KeptError, KeptKeyring, Keyring, Recipients, SealError,
    remove_leftovers, remove_wiped,
};

/// A change of the identity that was begun.
pub(super) struct Rekey {
    new: HostIdentity,
    /// The new one, unless it goes into its file.
    sealed: Option<Sealed>,
    keyring: Keyring,
    kept: KeptKeyring,
    /// A daemon that starts would encrypt the keyring to the identity that it was given, and undo step 1 before step 2.
    alone: Alone,
}

impl Host<'_> {
    /// Replaces the identity.
    pub(super) fn rekey(&self) -> Result<String, StartError> {
        let rekey = self.begin_rekey()?;
        let source = self.install(&rekey)?;
        self.finish_rekey(&rekey, &source)?;
        Ok(format!("the host has a new identity: {source}. Restart the daemon: systemctl restart tokenkeeperd"))
    }

    /// Steps 0 and 1.
    pub(super) fn begin_rekey(&self) -> Result<Rekey, StartError> {
        let (path, new) = (keys::keyring_path(self.settings), HostIdentity::generate());
        let old = self.current()?;
        let sealed = self.seal(&new, &old.1)?;
        let alone = KeptKeyring::alone(&path)?;
        let both = self.recipients(&old.0)?.and(&new);
        let (keyring, kept) = KeptKeyring::open_alone(&alone, &path, &old.0, both.clone())?;
        kept.readdress_alone(&alone, &keyring, both)?;
        Ok(Rekey { new, sealed, keyring, kept, alone })
    }

    fn seal(&self, new: &HostIdentity, old: &IdentitySource) -> Result<Option<Sealed>, StartError> {
        match (self.credentials.as_ref().map(|store| store.seal(new)), old) {
            (None, _) => Ok(None),
            (Some(Ok(sealed)), _) => Ok(Some(sealed)),
            // A credential goes before a file: if it cannot be replaced, nothing is.
            (Some(Err(error)), IdentitySource::Credential(_)) => Err(error.into()),
            (Some(Err(error)), _) => {
                complain(format_args!("tokenkeeperd: {error}; it is kept in a file instead"));
                Ok(None)
            }
        }
    }

    /// Step 2.
    pub(super) fn install(&self, rekey: &Rekey) -> Result<IdentitySource, StartError> {
        let file = &self.settings.identity_file;
        remove_leftovers(file).map_err(|source| IdentityError::Inaccessible { path: file.clone(), source })?;
        if let (Some(sealed), Some(store)) = (&rekey.sealed, &self.credentials) {
            store.keep(sealed)?;
            return Ok(IdentitySource::Credential(Some(sealed.with)));
        }
        rekey.new.replace_file(file)?;
        give_to_owner_of_directory(file)?;
        Ok(IdentitySource::File(file.clone()))
    }

    /// Steps 3 and 4.
    pub(super) fn finish_rekey(&self, rekey: &Rekey, source: &IdentitySource) -> Result<(), StartError> {
        let file = &self.settings.identity_file;
        rekey.kept.readdress_alone(&rekey.alone, &rekey.keyring, self.recipients(&rekey.new)?)?;
        // Also that of an earlier call, which did not come so far.
        if matches!(source, IdentitySource::Credential(_))
            && file.exists()
            && let Err(error) = remove_wiped(file)
        {
            let file = file.display();
            complain(format_args!("tokenkeeperd: {file} opens nothing any more, and cannot be removed: {error}"));
        }
        Ok(())
    }

    /// The identity that the next start would find.
    fn current(&self) -> Result<(HostIdentity, IdentitySource), StartError> {
        match self.credential()? {
            Some(Found::Identity(identity, with)) => Ok((identity, IdentitySource::Credential(with))),
            Some(Found::Nothing | Found::Unusable(_)) | None => {
                Ok(HostIdentity::load(None, &self.settings.identity_file)?)
            }
        }
    }

    fn recipients(&self, identity: &HostIdentity) -> Result<Recipients, StartError> {
        let unusable = |source: SealError| KeptError::Unusable { path: keys::keyring_path(self.settings), source };
        Ok(Recipients::new(identity, &self.settings.recovery_recipients).map_err(unusable)?)
    }
}

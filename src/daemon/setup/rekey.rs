//! Another identity for the host.
//!
//! ```text
//! 1. keyring for the old identity and the new one     the old one opens it
//! 2. the new identity in the place of the old         the new one opens it
//! 3. keyring for the new identity alone               the new one opens it; the old one opens nothing any more
//! 4. the old file removed, if the new one is sealed
//! ```
//! Whoever stops in between leaves an identity and a keyring that belong together. The next start, or the next call, does the rest.

use super::{Found, Host, give_to_owner_of_directory};
use crate::daemon::{StartError, keys};
use crate::seal::{HostIdentity, IdentitySource, KeptError, KeptKeyring, Keyring, Recipients, SealError, remove_wiped};

/// A change of the identity that was begun.
pub(super) struct Rekey {
    pub(super) old: (HostIdentity, IdentitySource),
    pub(super) new: HostIdentity,
    keyring: Keyring,
    kept: KeptKeyring,
}

impl Host<'_> {
    /// Replaces the identity.
    pub(super) fn rekey(&self) -> Result<String, StartError> {
        let rekey = self.begin_rekey()?;
        let source = self.install(&rekey)?;
        self.finish_rekey(&rekey, &source)?;
        Ok(format!("the host has a new identity: {source}. Restart the daemon: systemctl restart tokenkeeperd"))
    }

    /// Step 1.
    pub(super) fn begin_rekey(&self) -> Result<Rekey, StartError> {
        let (path, new) = (keys::keyring_path(self.settings), HostIdentity::generate());
        let old = self.current()?;
        let both = self.recipients(&old.0)?.and(&new);
        let (keyring, kept) = KeptKeyring::open(&path, &old.0, both.clone())?;
        kept.readdress(&keyring, both)?;
        Ok(Rekey { old, new, keyring, kept })
    }

    /// Step 2.
    pub(super) fn install(&self, rekey: &Rekey) -> Result<IdentitySource, StartError> {
        let Rekey { old, new, .. } = rekey;
        let file = &self.settings.identity_file;
        match (self.seal(new), &old.1) {
            (Some(Ok(with)), _) => Ok(IdentitySource::Credential(Some(with))),
            // A credential goes before a file: if it cannot be replaced, nothing is.
            (Some(Err(error)), IdentitySource::Credential(_)) => Err(error.into()),
            (failed, _) => {
                if let Some(Err(error)) = failed {
                    eprintln!("tokenkeeperd: {error}; it is kept in a file instead");
                }
                new.replace_file(file)?;
                give_to_owner_of_directory(file)?;
                Ok(IdentitySource::File(file.clone()))
            }
        }
    }

    /// Steps 3 and 4.
    pub(super) fn finish_rekey(&self, rekey: &Rekey, source: &IdentitySource) -> Result<(), StartError> {
        rekey.kept.readdress(&rekey.keyring, self.recipients(&rekey.new)?)?;
        if let (IdentitySource::File(file), IdentitySource::Credential(_)) = (&rekey.old.1, source)
            && let Err(error) = remove_wiped(file)
        {
            let file = file.display();
            eprintln!("tokenkeeperd: {file} opens nothing any more, and cannot be removed: {error}");
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

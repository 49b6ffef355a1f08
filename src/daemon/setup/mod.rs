//! `tokenkeeperd setup`: gives the host its identity, before the daemon starts that it is for. Runs as root.
//!
//! Invariant: at every moment the identity that the next start finds opens the keyring that it finds (see [`rekey`]); what is
//! done twice does no harm.

mod credential;
mod rekey;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::Path;

use nix::unistd::{User, geteuid};

use self::credential::{CredentialStore, Found};
use super::log::{complain, say};
use super::{Options, StartError, keys};
use crate::config::{DaemonSettings, Environment, Mode, load};
use crate::seal::{HostIdentity, IdentityError, IdentitySource};

pub use credential::CredentialError;

/// As whom the daemon of the host runs.
const USER: &str = "tokenkeeper";

/// The parts of a host that hold its identity.
struct Host<'a> {
    settings: &'a DaemonSettings,
    /// systemd's, unless it is not to be used or cannot be.
    credentials: Option<CredentialStore>,
}

/// Does it, and says in one line what was done.
pub(super) fn set_up(options: &Options, rekey: bool, file: bool) -> Result<(), StartError> {
    nix::sys::prctl::set_dumpable(false).map_err(|errno| StartError::Process(errno.into()))?;
    let source = options.source();
    let loaded = load(&source, &Environment::of_process())?;
    let may_seal = source.mode == Mode::System && !file && geteuid().is_root();
    let credentials = may_seal.then(CredentialStore::of_host).flatten();
    let host = Host { settings: &loaded.settings.daemon, credentials };
    let done = if rekey { host.rekey()? } else { host.set_up()? };
    say(done);
    Ok(())
}

impl Host<'_> {
    /// Makes an identity, if there is none.
    fn set_up(&self) -> Result<String, StartError> {
        let mut put_aside = String::new();
        match self.credential()? {
            Some(Found::Identity(_, with)) => {
                return Ok(format!("the identity is there: {}", IdentitySource::Credential(with)));
            }
            Some(Found::Unusable(aside)) => {
                put_aside =
                    format!("the credential does not open on this host, and was put aside as {}; ", aside.display());
            }
            Some(Found::Nothing) | None => {}
        }
        let file = &self.settings.identity_file;
        match HostIdentity::load(None, file) {
            Ok(_) => return Ok(format!("{put_aside}the identity is there: {}", file.display())),
            Err(IdentityError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if keys::are_needed(self.settings)? {
            if !put_aside.is_empty() {
                return Ok(format!("{put_aside}start the daemon and run: tokenkeeper keys recover"));
            }
            return Err(StartError::IdentityLost { keyring: keys::keyring_path(self.settings) });
        }
        let identity = HostIdentity::generate();
        let source = self.keep(&identity)?;
        Ok(format!("{put_aside}made a new identity: {source}"))
    }

    fn credential(&self) -> Result<Option<Found>, StartError> {
        Ok(self.credentials.as_ref().map(CredentialStore::find).transpose()?)
    }

    /// Keeps a new identity where there is none: sealed by systemd if that works, else in its file.
    fn keep(&self, identity: &HostIdentity) -> Result<IdentitySource, StartError> {
        if let Some(store) = &self.credentials {
            match store.seal(identity).and_then(|sealed| store.keep(&sealed).map(|()| sealed.with)) {
                Ok(with) => return Ok(IdentitySource::Credential(Some(with))),
                Err(error) => complain(format_args!("tokenkeeperd: {error}; it is kept in a file instead")),
            }
        }
        let file = &self.settings.identity_file;
        self.make_state_directory()?;
        identity.write_file(file)?;
        give_to_owner_of_directory(file)?;
        Ok(IdentitySource::File(file.clone()))
    }

    /// As systemd would, should it not be there yet.
    fn make_state_directory(&self) -> Result<(), StartError> {
        let path = &self.settings.state_dir;
        if path.exists() {
            return Ok(());
        }
        let unusable = |source| StartError::StateDirectory { path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        if geteuid().is_root()
            && let Ok(Some(user)) = User::from_name(USER)
        {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(unusable)?;
        }
        Ok(())
    }
}

/// Whoever owns the directory has to be able to read what is in it.
fn give_to_owner_of_directory(file: &Path) -> Result<(), IdentityError> {
    let inaccessible = |source| IdentityError::Inaccessible { path: file.to_owned(), source };
    let directory = fs::metadata(file.parent().unwrap_or(Path::new("/"))).map_err(inaccessible)?;
    if geteuid().is_root() {
        std::os::unix::fs::lchown(file, Some(directory.uid()), Some(directory.gid())).map_err(inaccessible)?;
    }
    Ok(())
}

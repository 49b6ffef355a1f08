//! The identity of the host, the keyring that it opens, and the store that the keyring opens. All three are made on the first start, and never
//! again after it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenkeeper_protocol::Secret;
use tokenkeeper_protocol::reply::KeysRecovered;

use super::{StartError, notify};
use crate::config::{DaemonSettings, Environment, Mode};
use crate::seal::{
    HostIdentity, IdentityError, IdentitySource, KeepKeyring as _, KeptError, KeptKeyring, Keyring, Recipients,
    SealError,
};
use crate::store::RocksStore;
use crate::vault::Vault;

/// Name of the keyring in the state directory.
const KEYRING: &str = "keyring.age";
/// Name of the store in the state directory.
const STORE: &str = "store";
/// Records that a keyring has to open beside the sentinel when it was opened by another identity than its own.
const PROOFS: usize = 16;

/// What the keys opened.
pub(super) struct Opened {
    pub(super) vault: Arc<Vault>,
    pub(super) kept: Arc<KeptKeyring>,
    pub(super) source: IdentitySource,
    /// The recipient of the one identity of the host that opens the keyring, if that is known for sure.
    pub(super) identity: Option<String>,
}

/// Where the keyring is.
pub(super) fn keyring_path(settings: &DaemonSettings) -> PathBuf {
    settings.state_dir.join(KEYRING)
}

/// Whether there is something that the keys have to open.
pub(super) fn are_needed(settings: &DaemonSettings) -> Result<bool, StartError> {
    let is_there = |path: &Path| {
        path.try_exists().map_err(|source| StartError::StateDirectory { path: settings.state_dir.clone(), source })
    };
    Ok(is_there(&keyring_path(settings))? || is_there(&settings.state_dir.join(STORE))?)
}

/// Opens everything with the identity of the host.
pub(super) async fn open(settings: &DaemonSettings, environment: &Environment) -> Result<Opened, StartError> {
    let (path, is_first_start) = (keyring_path(settings), !are_needed(settings)?);
    let (identity, source) = identity(settings, environment, is_first_start)?;
    let recipients = recipients(settings, &identity)?;
    if is_first_start {
        let keyring = Keyring::generate();
        // Another daemon that starts at the same time made its own, and may have sealed with it already.
        let created = KeptKeyring::create(&path, &keyring, recipients.clone()).map_err(|error| match error {
            KeptError::Inaccessible { source, .. } => {
                StartError::StateDirectory { path: settings.state_dir.clone(), source }
            }
            other => other.into(),
        });
        if let Some(kept) = created? {
            tracing::info!(keyring = %path.display(), identity = %source, "first start: made a new keyring");
            let identity = Some(identity.recipient());
            return Ok(Opened { vault: open_vault(settings, keyring).await?, kept: Arc::new(kept), source, identity });
        }
    }
    let (keyring, kept) = read_keyring(settings, &identity, recipients)?;
    let vault = open_vault(settings, keyring.clone()).await?;
    // Whoever could open it before: from now on it is the host, and the recipients that the configuration names.
    let readdressed = kept.keep(&keyring);
    if let Err(error) = &readdressed {
        tracing::warn!(%error, "the keyring stays encrypted to the recipients that it had");
    }
    let identity = readdressed.is_ok().then(|| identity.recipient());
    Ok(Opened { vault, kept: Arc::new(kept), source, identity })
}

/// Opens everything with an identity that somebody brought, and gives the host a new one of its own.
pub(super) async fn recover(
    settings: &DaemonSettings,
    environment: &Environment,
    mode: Mode,
    text: &Secret,
) -> Result<(Opened, KeysRecovered), StartError> {
    let identity = HostIdentity::parse(text.expose()).map_err(StartError::NotAnIdentity)?;
    let (keyring, kept) = read_keyring(settings, &identity, recipients(settings, &identity)?)?;
    let vault = open_vault(settings, keyring.clone()).await?;
    vault.prove(PROOFS)?;
    let file = &settings.identity_file;
    let (source, recovered, identity) = match renew(settings, &identity, &keyring, &kept) {
        Ok(recipient) => {
            let identity_file = Some(file.display().to_string());
            let advice = next_step(environment, mode).to_owned();
            (IdentitySource::File(file.clone()), KeysRecovered { identity_file, advice }, Some(recipient))
        }
        Err(error) => {
            tracing::error!(%error, "the host has no new identity");
            let advice =
                format!("the host has no new identity ({error}), so the next start finds the keys closed again");
            (IdentitySource::Nowhere, KeysRecovered { identity_file: None, advice }, None)
        }
    };
    Ok((Opened { vault, kept: Arc::new(kept), source, identity }, recovered))
}

/// Makes a new identity for the host, in its file, and encrypts the keyring to it. What was in the file is put aside: somebody may
/// miss it. Returns the recipient of the new one. In an order in which a start after a crash opens the keyring, or finds no identity.
fn renew(
    settings: &DaemonSettings,
    brought: &HostIdentity,
    keyring: &Keyring,
    kept: &KeptKeyring,
) -> Result<String, StartError> {
    let (file, new) = (&settings.identity_file, HostIdentity::generate());
    let alone = KeptKeyring::alone(&keyring_path(settings))?;
    kept.readdress_alone(&alone, keyring, recipients(settings, brought)?.and(&new))?;
    let mut aside = file.clone().into_os_string();
    aside.push(".unusable");
    // If it cannot be moved, the next line says why.
    let _ = fs::rename(file, aside);
    new.write_file(file)?;
    kept.readdress_alone(&alone, keyring, recipients(settings, &new)?)?;
    Ok(new.recipient())
}

fn next_step(environment: &Environment, mode: Mode) -> &'static str {
    match mode {
        Mode::User => "nothing is left to do",
        Mode::System if environment.identity_credential().is_some() => {
            "systemd still hands over the identity that opens nothing, and it goes before the file: remove \
             /etc/credstore.encrypted/tokenkeeper.identity, then run `tokenkeeperd setup --rekey` as root"
        }
        Mode::System => "run `tokenkeeperd setup --rekey` as root, to bind the identity to this host again",
    }
}

fn recipients(settings: &DaemonSettings, identity: &HostIdentity) -> Result<Recipients, StartError> {
    let unusable = |source: SealError| KeptError::Unusable { path: keyring_path(settings), source };
    Ok(Recipients::new(identity, &settings.recovery_recipients).map_err(unusable)?)
}

fn read_keyring(
    settings: &DaemonSettings,
    identity: &HostIdentity,
    recipients: Recipients,
) -> Result<(Keyring, KeptKeyring), StartError> {
    KeptKeyring::open(&keyring_path(settings), identity, recipients).map_err(|error| match error {
        KeptError::Missing { .. } => StartError::KeyringMissing { dir: settings.state_dir.clone() },
        other => other.into(),
    })
}

async fn open_vault(settings: &DaemonSettings, keyring: Keyring) -> Result<Arc<Vault>, StartError> {
    if !keyring.is_locked() {
        tracing::warn!("the keys cannot be locked into memory, and could be swapped out; raise LimitMEMLOCK=");
    }
    let store = RocksStore::open(&settings.state_dir.join(STORE))?;
    Ok(Arc::new(Vault::open_telling(Arc::new(store), keyring, &notify::migrating).await?))
}

fn identity(
    settings: &DaemonSettings,
    environment: &Environment,
    may_create: bool,
) -> Result<(HostIdentity, IdentitySource), StartError> {
    let credential = environment.identity_credential();
    let file: &PathBuf = &settings.identity_file;
    match HostIdentity::load(credential.as_deref(), file) {
        Err(IdentityError::Missing { .. }) if may_create => {
            let identity = HostIdentity::create_file(file)?;
            tracing::info!(identity = %file.display(), "first start: made a new identity");
            Ok((identity, IdentitySource::File(file.clone())))
        }
        loaded => Ok(loaded?),
    }
}

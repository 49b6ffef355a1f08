//! A host whose `systemd-creds` is a script.

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::seal::{KeepKeyring as _, KeptKeyring, Keyring, Recipients};

/// Seals by base64, with the key that it is told; a file beside it says which keys this machine has.
const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
for argument in "$@"; do case $argument in --with-key=*) key=${argument#--with-key=};; esac; done
case $1 in
    encrypt) grep -qx "$key" "$here/keys" && [ ! -e "$here/broken" ] || { echo "no $key here" >&2; exit 1; }
        echo "$key"; base64 ;;
    decrypt) read -r key; grep -qx "$key" "$here/keys" || { echo "the TPM has changed" >&2; exit 1; }
        base64 -d ;;
esac
"#;

struct Machine {
    dir: tempfile::TempDir,
    settings: DaemonSettings,
}

impl Machine {
    fn new(keys: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        fs::write(path("systemd-creds"), SCRIPT).unwrap();
        fs::set_permissions(path("systemd-creds"), fs::Permissions::from_mode(0o755)).unwrap();
        let settings = DaemonSettings {
            state_dir: path("state"),
            socket: path("socket"),
            http_socket: None,
            metrics_listen: None,
            identity_file: path("state/identity"),
            anchor_file: None,
            recovery_recipients: Vec::new(),
            backup_recipients: Vec::new(),
            cache_sessions: 1,
        };
        let this = Self { dir, settings };
        this.has_keys(keys);
        this
    }

    fn has_keys(&self, keys: &str) {
        fs::write(self.dir.path().join("keys"), keys).unwrap();
    }

    fn credentials(&self) -> PathBuf {
        self.dir.path().join("credstore.encrypted")
    }

    fn host(&self) -> Host<'_> {
        let store = CredentialStore::in_test(self.dir.path().join("systemd-creds"), self.credentials());
        Host { settings: &self.settings, credentials: Some(store) }
    }

    fn host_without_systemd(&self) -> Host<'_> {
        Host { settings: &self.settings, credentials: None }
    }

    /// What the next start of the daemon would find.
    fn identity(&self) -> HostIdentity {
        match self.host().credential().unwrap() {
            Some(Found::Identity(identity, _)) => identity,
            _ => HostIdentity::load(None, &self.settings.identity_file).unwrap().0,
        }
    }

    /// As the first start of the daemon does.
    fn make_keyring(&self) -> Keyring {
        let (identity, keyring) = (self.identity(), Keyring::generate());
        let _ = fs::create_dir(&self.settings.state_dir);
        let recipients = Recipients::new(&identity, &[]).unwrap();
        KeptKeyring::create(&keys::keyring_path(&self.settings), &keyring, recipients).unwrap().unwrap();
        keyring
    }

    /// Whether the identity that the next start finds opens the keyring that it finds.
    fn starts(&self) -> bool {
        self.opens(&self.identity())
    }

    fn opens(&self, identity: &HostIdentity) -> bool {
        let recipients = Recipients::new(identity, &[]).unwrap();
        KeptKeyring::open(&keys::keyring_path(&self.settings), identity, recipients).is_ok()
    }
}

#[test]
fn the_identity_is_sealed_with_the_best_that_the_host_has_and_only_once() {
    for (keys, told) in [("host\nhost+tpm2\n", "TPM2"), ("host\n", "host key")] {
        let machine = Machine::new(keys);
        let expected = format!("systemd credential ({told})");
        assert_eq!(machine.host().set_up().unwrap(), format!("made a new identity: {expected}"));
        let identity = machine.identity().recipient();
        assert_eq!(machine.host().set_up().unwrap(), format!("the identity is there: {expected}"));
        assert_eq!(machine.identity().recipient(), identity);
        assert!(!machine.settings.identity_file.exists(), "the plaintext is in no file");
    }
}

#[test]
fn where_systemd_seals_nothing_the_identity_is_a_file() {
    let machine = Machine::new("");
    let file = machine.settings.identity_file.display().to_string();
    assert_eq!(machine.host().set_up().unwrap(), format!("made a new identity: {file}"));
    assert_eq!(fs::metadata(&machine.settings.identity_file).unwrap().mode() & 0o777, 0o400);
    assert_eq!(machine.host_without_systemd().set_up().unwrap(), format!("the identity is there: {file}"));
}

#[test]
fn a_lost_identity_is_not_replaced_by_one_that_opens_nothing() {
    let machine = Machine::new("host\n");
    machine.host().set_up().unwrap();
    machine.make_keyring();
    fs::remove_dir_all(machine.credentials()).unwrap();
    let error = machine.host().set_up().unwrap_err();
    assert!(matches!(error, StartError::IdentityLost { .. }), "{error}");
    assert!(error.to_string().contains("tokenkeeper keys recover"), "{error}");
}

#[test]
fn a_credential_that_does_not_open_is_put_aside_and_put_back_when_it_does() {
    let machine = Machine::new("host\nhost+tpm2\n");
    machine.host().set_up().unwrap();
    machine.make_keyring();
    machine.has_keys("host\n");
    for _ in 0..2 {
        let said = machine.host().set_up().unwrap();
        assert!(said.contains("put aside") && said.contains("tokenkeeper keys recover"), "{said}");
        assert!(!machine.credentials().join("tokenkeeper.identity").exists(), "the unit would not start with it");
    }
    machine.has_keys("host\nhost+tpm2\n");
    assert_eq!(machine.host().set_up().unwrap(), "the identity is there: systemd credential (TPM2)");
    assert!(machine.starts());
}

#[test]
fn a_new_identity_opens_the_keyring_and_the_old_one_does_not() {
    for keys in ["host\n", ""] {
        let machine = Machine::new(keys);
        machine.host().set_up().unwrap();
        let store_id = machine.make_keyring().store_id();
        let old = machine.identity();
        let said = machine.host().rekey().unwrap();
        assert!(said.contains("Restart the daemon"), "{said}");
        assert!(machine.starts() && !machine.opens(&old));
        let recipients = Recipients::new(&machine.identity(), &[]).unwrap();
        let path = keys::keyring_path(&machine.settings);
        assert_eq!(KeptKeyring::open(&path, &machine.identity(), recipients).unwrap().0.store_id(), store_id);
    }
}

#[test]
fn an_identity_in_a_file_moves_into_the_credential_when_it_is_replaced() {
    let machine = Machine::new("host\n");
    machine.host_without_systemd().set_up().unwrap();
    machine.make_keyring();
    let old = fs::read(&machine.settings.identity_file).unwrap();
    machine.host().rekey().unwrap();
    assert!(!machine.settings.identity_file.exists());
    assert!(machine.starts());

    // Killed before the last step.
    fs::write(&machine.settings.identity_file, old).unwrap();
    machine.host().rekey().unwrap();
    assert!(!machine.settings.identity_file.exists() && machine.starts());
}

#[test]
fn a_daemon_that_starts_in_the_middle_waits_and_undoes_nothing() {
    for keys in ["host\n", ""] {
        let machine = Machine::new(keys);
        machine.host().set_up().unwrap();
        machine.make_keyring();
        let (host, old) = (machine.host(), machine.identity());
        let rekey = host.begin_rekey().unwrap();
        std::thread::scope(|scope| {
            // It encrypts the keyring to the identity that it was given, and to no other.
            let start = scope.spawn(|| {
                let recipients = Recipients::new(&old, &[]).unwrap();
                let opened = KeptKeyring::open(&keys::keyring_path(&machine.settings), &old, recipients);
                opened.and_then(|(keyring, kept)| kept.keep(&keyring))
            });
            let source = host.install(&rekey).unwrap();
            host.finish_rekey(&rekey, &source).unwrap();
            drop(rekey);
            assert!(start.join().unwrap().is_err());
        });
        assert!(machine.starts());
    }
}

#[test]
fn whenever_it_is_stopped_identity_and_keyring_belong_together_and_it_can_be_done_again() {
    for keys in ["host\n", ""] {
        for steps in 0..4 {
            let machine = Machine::new(keys);
            machine.host().set_up().unwrap();
            machine.make_keyring();
            let host = machine.host();
            if steps > 0 {
                let rekey = host.begin_rekey().unwrap();
                let source = (steps > 1).then(|| host.install(&rekey).unwrap());
                if let Some(source) = source.filter(|_| steps > 2) {
                    host.finish_rekey(&rekey, &source).unwrap();
                }
            }
            assert!(machine.starts(), "{steps} steps");
            host.rekey().unwrap();
            assert!(machine.starts(), "{steps} steps, and again");
        }
    }
}

#[test]
fn a_credential_that_cannot_be_replaced_stays_the_identity() {
    let machine = Machine::new("host\n");
    machine.host().set_up().unwrap();
    machine.make_keyring();
    let (keyring, identity) = (keys::keyring_path(&machine.settings), machine.identity().recipient());
    let before = fs::read(&keyring).unwrap();
    fs::write(machine.dir.path().join("broken"), "").unwrap();
    assert!(matches!(machine.host().rekey(), Err(StartError::Credential(_))));
    assert_eq!((fs::read(&keyring).unwrap(), machine.identity().recipient()), (before, identity));
    assert!(machine.starts());
}

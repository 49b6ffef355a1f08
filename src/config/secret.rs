//! Reads a provider's client secret from a file or a systemd credential. It never stands in the configuration itself,
//! and no message repeats it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use tokenkeeper_protocol::Secret;
use zeroize::Zeroizing;

use super::finding::Place;
use super::keys;
use super::places::Mode;
use super::table::Table;
use super::value::Complaint;

/// Longer than any client secret, or assertion that stands for one.
const MAX_BYTES: u64 = 16 * 1024;

const EXAMPLE: &str = "{ file = \"corp\" } or { credential = \"corp\" }";

/// Where secrets are looked for.
#[derive(Clone, Debug)]
pub(super) struct SecretPlaces {
    /// Whose daemon reads them.
    pub(super) mode: Mode,
    /// The directory that a relative `file` is in.
    pub(super) directory: PathBuf,
    /// `$CREDENTIALS_DIRECTORY`.
    pub(super) credentials: Option<PathBuf>,
    /// Whether nobody is going to use what is read.
    pub(super) only_checked: bool,
}

impl SecretPlaces {
    /// Whether this process cannot see the credentials of the unit. By hand there are none, and systemd before version 257
    /// hides them from `ExecReload=` of a unit with a mount namespace.
    fn hide_credentials(&self) -> bool {
        let is_closed = |path: &PathBuf| fs::read_dir(path).is_err_and(|why| why.kind() == ErrorKind::PermissionDenied);
        self.credentials.as_ref().is_none_or(is_closed)
    }
}

/// The `client_secret` of `provider`, or `None` with a finding. Must be called only where the key is there.
pub(super) fn read(provider: Table<'_>, places: &SecretPlaces) -> Option<Secret> {
    let place = provider.place_of("client_secret")?;
    if provider.is_text("client_secret") {
        let next = format!("put it in a file and write client_secret = {EXAMPLE}");
        provider.error(place, format!("a secret does not belong in the configuration, where others read it; {next}"));
        return None;
    }
    let table = provider.table("client_secret")?;
    table.check_keys(&keys::CLIENT_SECRET);
    match (table.text("file"), table.text("credential")) {
        (Some(file), None) => {
            let path = places.directory.join(file.value);
            accept(table, file.place, from_file(&path, places.mode))
        }
        (None, Some(credential)) if places.only_checked && places.hide_credentials() => {
            let message = "this credential was not checked: only the running service sees it";
            table.warning(credential.place, message);
            None
        }
        (None, Some(credential)) => {
            accept(table, credential.place, from_credential(credential.value, places.credentials.as_deref()))
        }
        (Some(_), Some(_)) => {
            table.error(place, format!("client_secret comes from one place only: write {EXAMPLE}"));
            None
        }
        (None, None) => {
            table.error(place, format!("client_secret must say where the secret is: write {EXAMPLE}"));
            None
        }
    }
}

fn accept(table: Table<'_>, place: Place, result: Result<Secret, Complaint>) -> Option<Secret> {
    result.map_err(|complaint| table.error(place, complaint.to_string())).ok()
}

fn from_file(path: &Path, mode: Mode) -> Result<Secret, Complaint> {
    let shown = path.display();
    let (owner, user) = match mode {
        Mode::System => ("-o tokenkeeper ", "tokenkeeper"),
        Mode::User => ("", "$USER"),
    };
    let file = open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let next = format!("create it with: install -D -m 600 {owner}/dev/stdin {shown}");
            Complaint::new(format!("{shown} does not exist; {next}"))
        }
        ErrorKind::PermissionDenied => {
            Complaint::new(format!("{shown} cannot be read by the daemon; make it the owner: chown {user} {shown}"))
        }
        _ => cannot_read(path, &error),
    })?;
    let about = file.metadata().map_err(|error| cannot_read(path, &error))?;
    if !about.is_file() {
        return Err(Complaint::new(format!("{shown} is no file")));
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Complaint::new(format!("{shown} is open to others (mode {mode:04o}); run: chmod 600 {shown}")));
    }
    content(file, path)
}

/// systemd guards the directory of credentials itself; the mode of the files in it says nothing.
fn from_credential(name: &str, directory: Option<&Path>) -> Result<Secret, Complaint> {
    let is_name = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
    if !is_name {
        return Err(Complaint::new("a credential is named without a path, as in LoadCredential=NAME:..."));
    }
    let next = format!("add LoadCredential={name}:/path or LoadCredentialEncrypted={name}:/path to the unit");
    let directory = directory.ok_or_else(|| {
        let why = "no credentials here ($CREDENTIALS_DIRECTORY is not set): only systemd hands them over";
        Complaint::new(format!("{why}; {next}"))
    })?;
    let path = directory.join(name);
    let file = open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Complaint::new(format!("systemd hands over no credential {name:?}; {next}")),
        _ => cannot_read(&path, &error),
    })?;
    content(file, &path)
}

/// Opens without waiting for anybody, should it be a pipe.
fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

fn content(file: File, path: &Path) -> Result<Secret, Complaint> {
    // Never grows, so that no copy of it stays behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES + 1).unwrap_or_default()));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    let shown = path.display();
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Complaint::new(format!("{shown} is longer than {MAX_BYTES} bytes: that is no client secret")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Complaint::new(format!("{shown} is no UTF-8 text")))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(Complaint::new(format!("{shown} is empty; write the client secret into it")));
    }
    if text.chars().any(char::is_control) {
        return Err(Complaint::new(format!(
            "{shown} holds control characters or more than one line: that is no client secret"
        )));
    }
    Ok(Secret::from(text))
}

fn cannot_read(path: &Path, error: &io::Error) -> Complaint {
    Complaint::new(format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("corp");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_a_secret() {
        for (content, secret) in
            [("hunter2", "hunter2"), ("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2"), (" a ", " a ")]
        {
            let (_directory, path) = file(content.as_bytes(), 0o600);
            assert_eq!(from_file(&path, Mode::User), Ok(Secret::from(secret)));
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_command_that_helps() {
        for mode in [0o640, 0o604, 0o644, 0o620, 0o601] {
            let (_directory, path) = file(b"hunter2", mode);
            let complaint = from_file(&path, Mode::System).unwrap_err().to_string();
            let command = format!("run: chmod 600 {}", path.display());
            assert!(complaint.ends_with(&command) && complaint.contains(&format!("{mode:04o}")), "{complaint}");
        }
        for mode in [0o600, 0o400] {
            let (_directory, path) = file(b"hunter2", mode);
            assert!(from_file(&path, Mode::System).is_ok());
        }
    }

    #[test]
    fn a_missing_secret_names_its_path_and_the_next_step() {
        let complaint = from_file(Path::new("/nowhere/secrets/corp"), Mode::System).unwrap_err().to_string();
        let next = "create it with: install -D -m 600 -o tokenkeeper /dev/stdin /nowhere/secrets/corp";
        assert_eq!(complaint, format!("/nowhere/secrets/corp does not exist; {next}"));
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let long = vec![b'x'; usize::try_from(MAX_BYTES).unwrap() + 1];
        let cases: [(&[u8], &str); 6] = [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"hunter2\n\n", "more than one line"),
            (b"hunter2\nhunter3", "more than one line"),
            (b"hunter2\xff", "UTF-8"),
            (&long, "is longer"),
        ];
        for (content, expected) in cases {
            let (_directory, path) = file(content, 0o600);
            let complaint = from_file(&path, Mode::User).unwrap_err().to_string();
            assert!(complaint.contains(expected) && !complaint.contains("hunter"), "{complaint}");
        }
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(from_file(directory.path(), Mode::User).unwrap_err().to_string().ends_with("is no file"));
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(
            from_file(&pipe, Mode::User).unwrap_err().to_string().ends_with("is no file"),
            "and nobody is waited for"
        );
    }

    #[test]
    fn a_credential_is_read_whatever_its_mode() {
        let (directory, _path) = file(b"hunter2\n", 0o644);
        assert_eq!(from_credential("corp", Some(directory.path())), Ok(Secret::from("hunter2")));
    }

    #[test]
    fn a_missing_credential_says_what_the_unit_lacks() {
        let (directory, _path) = file(b"hunter2\n", 0o400);
        let complaint = from_credential("other", Some(directory.path())).unwrap_err().to_string();
        assert!(
            complaint.contains("no credential \"other\"") && complaint.contains("LoadCredential=other:"),
            "{complaint}"
        );
        assert!(from_credential("corp", None).unwrap_err().to_string().contains("only systemd hands them over"));
        for wrong in ["", "..", "../corp", "/etc/passwd"] {
            assert!(
                from_credential(wrong, Some(directory.path())).unwrap_err().to_string().contains("without a path"),
                "{wrong}"
            );
        }
    }
}

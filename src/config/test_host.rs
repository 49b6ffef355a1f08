//! For tests: a host with configuration files in a directory of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Environment, Loaded, Mode, Settings, Source, load};

/// A host and what is configured on it.
pub(super) struct Host {
    directory: tempfile::TempDir,
    mode: Mode,
    only_checked: bool,
    pub(super) environment: Environment,
}

impl Host {
    /// One without any file, in system mode.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment {
            uid: 1000,
            configuration_directory: Some(directory.path().into()),
            xdg_config_home: Some(directory.path().join("xdg").into()),
            ..Environment::default()
        };
        Self { directory, mode: Mode::System, only_checked: false, environment }
    }

    pub(super) fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    pub(super) fn only_checked(mut self) -> Self {
        self.only_checked = true;
        self
    }

    /// Writes the main file.
    pub(super) fn main(self, text: &str) -> Self {
        self.file("tokenkeeper.toml", text)
    }

    /// Writes a file below the configuration directory, readable by its owner alone.
    pub(super) fn file(self, name: &str, text: &str) -> Self {
        let path = self.directory().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    /// The configuration directory.
    pub(super) fn directory(&self) -> PathBuf {
        match self.mode {
            Mode::System => self.directory.path().to_owned(),
            Mode::User => self.directory.path().join("xdg/tokenkeeper"),
        }
    }

    pub(super) fn load(&self) -> Loaded {
        load(&self.source(None), &self.environment).unwrap()
    }

    pub(super) fn settings(&self) -> Settings {
        self.load().settings
    }

    /// All errors, one per line.
    pub(super) fn errors(&self) -> String {
        self.errors_with(None)
    }

    /// The same, with this main file named on the command line.
    pub(super) fn errors_with(&self, file: Option<&Path>) -> String {
        load(&self.source(file), &self.environment).unwrap_err().to_string()
    }

    fn source(&self, file: Option<&Path>) -> Source {
        Source { mode: self.mode, file: file.map(Path::to_owned), only_checked: self.only_checked }
    }

    /// All warnings, one per line.
    pub(super) fn warnings(&self) -> String {
        self.load().warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

//! Where things are unless the configuration says otherwise, for the system's daemon and for a user's own, by one code path.
//!
//! systemd says where the directories of a system unit are (`$STATE_DIRECTORY` and so on); a user's are those of the
//! XDG base directory specification.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whose daemon it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The host's.
    System,
    /// One user's own.
    User,
}

/// Which configuration to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Whose daemon it is.
    pub mode: Mode,
    /// The main file, if the command line names one. It must exist then.
    pub file: Option<PathBuf>,
    /// Whether it is only checked, maybe by a process that systemd shows no credentials to. One out of sight is a warning then.
    pub only_checked: bool,
}

/// What the configuration takes from the process's environment.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The effective user.
    pub uid: u32,
    /// `$CONFIGURATION_DIRECTORY` of systemd.
    pub configuration_directory: Option<OsString>,
    /// `$STATE_DIRECTORY` of systemd.
    pub state_directory: Option<OsString>,
    /// `$RUNTIME_DIRECTORY` of systemd.
    pub runtime_directory: Option<OsString>,
    /// `$CREDENTIALS_DIRECTORY` of systemd.
    pub credentials_directory: Option<OsString>,
    /// `$HOME`.
    pub home: Option<OsString>,
    /// `$XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<OsString>,
    /// `$XDG_STATE_HOME`.
    pub xdg_state_home: Option<OsString>,
    /// `$XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<OsString>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name);
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            configuration_directory: variable("CONFIGURATION_DIRECTORY"),
            state_directory: variable("STATE_DIRECTORY"),
            runtime_directory: variable("RUNTIME_DIRECTORY"),
            credentials_directory: variable("CREDENTIALS_DIRECTORY"),
            home: variable("HOME"),
            xdg_config_home: variable("XDG_CONFIG_HOME"),
            xdg_state_home: variable("XDG_STATE_HOME"),
            xdg_runtime_dir: variable("XDG_RUNTIME_DIR"),
        }
    }

    /// The identity as systemd hands it over: the credential `tokenkeeper.identity`, if it is there.
    pub fn identity_credential(&self) -> Option<PathBuf> {
        Some(self.credentials()?.join("tokenkeeper.identity")).filter(|path| path.exists())
    }

    pub(super) fn credentials(&self) -> Option<PathBuf> {
        directory(self.credentials_directory.as_ref())
    }
}

/// The directories of this daemon; `None` where the environment does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) config: Option<PathBuf>,
    pub(super) state: Option<PathBuf>,
    pub(super) runtime: Option<PathBuf>,
}

impl Places {
    pub(super) fn new(mode: Mode, environment: &Environment) -> Self {
        let system =
            |variable: &Option<OsString>, path| directory(variable.as_ref()).or_else(|| Some(PathBuf::from(path)));
        let of_user = |variable: &Option<OsString>, path: &str| {
            let home = || directory(environment.home.as_ref()).map(|home| home.join(path));
            Some(directory(variable.as_ref()).or_else(home)?.join("tokenkeeper"))
        };
        match mode {
            Mode::System => Self {
                config: system(&environment.configuration_directory, "/etc/tokenkeeper"),
                state: system(&environment.state_directory, "/var/lib/tokenkeeper"),
                runtime: system(&environment.runtime_directory, "/run/tokenkeeper"),
            },
            Mode::User => Self {
                config: of_user(&environment.xdg_config_home, ".config"),
                state: of_user(&environment.xdg_state_home, ".local/state"),
                runtime: directory(environment.xdg_runtime_dir.as_ref()).map(|dir| dir.join("tokenkeeper")),
            },
        }
    }
}

/// The first directory of a variable: systemd separates several by colons, and relative ones are to be ignored (XDG).
fn directory(variable: Option<&OsString>) -> Option<PathBuf> {
    let first = variable?.as_bytes().split(|byte| *byte == b':').next()?;
    let path = Path::new(std::ffi::OsStr::from_bytes(first));
    path.is_absolute().then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_daemon_lives_where_systemd_says_else_where_the_file_system_hierarchy_has_it() {
        let bare = Places::new(Mode::System, &Environment::default());
        assert_eq!(bare.config, Some("/etc/tokenkeeper".into()));
        assert_eq!(bare.state, Some("/var/lib/tokenkeeper".into()));
        assert_eq!(bare.runtime, Some("/run/tokenkeeper".into()));

        let told = Environment {
            configuration_directory: Some("/c".into()),
            state_directory: Some("/s:/other".into()),
            runtime_directory: Some("/r".into()),
            ..Environment::default()
        };
        let told = Places::new(Mode::System, &told);
        assert_eq!(told, Places { config: Some("/c".into()), state: Some("/s".into()), runtime: Some("/r".into()) });
    }

    #[test]
    fn a_users_own_daemon_lives_in_the_xdg_directories() {
        let home = Environment {
            home: Some("/home/alice".into()),
            xdg_runtime_dir: Some("/run/user/7".into()),
            state_directory: Some("/var/lib/elsewhere".into()),
            ..Environment::default()
        };
        let places = Places::new(Mode::User, &home);
        assert_eq!(places.config, Some("/home/alice/.config/tokenkeeper".into()));
        assert_eq!(places.state, Some("/home/alice/.local/state/tokenkeeper".into()));
        assert_eq!(places.runtime, Some("/run/user/7/tokenkeeper".into()));

        let told = Environment { xdg_config_home: Some("/c".into()), xdg_state_home: Some("relative".into()), ..home };
        let places = Places::new(Mode::User, &told);
        assert_eq!(places.config, Some("/c/tokenkeeper".into()));
        assert_eq!(places.state, Some("/home/alice/.local/state/tokenkeeper".into()), "relative ones are ignored");
    }

    #[test]
    fn the_identity_is_a_credential_only_where_systemd_hands_it_over() {
        let directory = tempfile::tempdir().unwrap();
        let environment =
            Environment { credentials_directory: Some(directory.path().into()), ..Environment::default() };
        assert_eq!(environment.identity_credential(), None);
        let path = directory.path().join("tokenkeeper.identity");
        std::fs::write(&path, "x").unwrap();
        assert_eq!(environment.identity_credential(), Some(path));
        assert_eq!(Environment::default().identity_credential(), None);
    }

    #[test]
    fn without_an_environment_a_user_has_no_places() {
        let places = Places::new(Mode::User, &Environment::default());
        assert_eq!(places, Places { config: None, state: None, runtime: None });
    }
}

//! The directories, the configuration and the syslog receiver of one daemon. They outlive it, as a host does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::config::CLIENT_SECRET;
use super::{Config, SyslogReceiver};

/// Where a daemon lives.
pub(crate) struct Home {
    dir: TempDir,
    /// Where its audit records go unless the configuration says otherwise.
    pub(crate) syslog: SyslogReceiver,
}

impl Home {
    pub(crate) fn new(config: &Config) -> Self {
        // Not under a long TMPDIR: the path of a socket has room for 107 bytes.
        let dir = tempfile::Builder::new().prefix("tk-").tempdir_in("/tmp").expect("/tmp takes a directory");
        // Other users may come as far as the socket.
        set_mode(dir.path(), 0o755);
        for (name, mode) in [("state", 0o700), ("run", 0o755), ("config", 0o755), ("config/conf.d", 0o755)] {
            fs::create_dir(dir.path().join(name)).expect("a fresh directory takes another");
            set_mode(&dir.path().join(name), mode);
        }
        let secret = dir.path().join("config/secret");
        fs::write(&secret, CLIENT_SECRET).expect("a fresh directory takes a file");
        set_mode(&secret, 0o600);
        let syslog = SyslogReceiver::unix(&dir.path().join("run/syslog"));
        let this = Self { dir, syslog };
        this.configure(config);
        this
    }

    /// Writes the configuration. A running daemon reads it when it is told to.
    pub(crate) fn configure(&self, config: &Config) {
        let target = config.audit.as_ref().unwrap_or(&self.syslog.target);
        let main = format!(
            "[daemon]\nstate_dir = {:?}\nsocket = {:?}\nidentity_file = {:?}\n{}\n\n[audit]\ntarget = {target:?}\n\n[schedule]\n{}\n",
            text(self.state_dir()),
            text(self.socket()),
            text(self.identity_file()),
            config.daemon.join("\n"),
            config.schedule.join("\n"),
        );
        fs::write(self.config_file(), main).expect("the configuration can be written");
        let providers = config.to_toml(&self.path("config/secret").display().to_string());
        fs::write(self.path("config/conf.d/corp.toml"), providers).expect("the configuration can be written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.path("config/tokenkeeper.toml")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/socket")
    }

    /// Where the daemon speaks HTTP: beside the other socket.
    pub(crate) fn http_socket(&self) -> PathBuf {
        self.path("run/http.sock")
    }

    pub(crate) fn identity_file(&self) -> PathBuf {
        self.path("config/identity")
    }

    /// Everything the daemon wrote to its standard error, in all its lives.
    pub(crate) fn stderr(&self) -> String {
        fs::read(self.path("stderr")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The same for a person's own daemon, who may do everything and whose configuration need not be root's.
    pub(crate) fn as_user(&self) -> Command {
        let mut command = self.daemon_command();
        command.arg("--user").env("HOME", self.path("")).env("XDG_RUNTIME_DIR", self.path("run"));
        command
    }

    /// The daemon as a command that is not running yet, with nothing of the tests' environment in it.
    pub(crate) fn daemon_command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeeperd"));
        command.env_clear().env("PATH", "/usr/bin:/bin").arg("--config").arg(self.config_file());
        command
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("the paths of the tests are ASCII")
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|error| panic!("cannot set the mode of {}: {error}", path.display()));
}

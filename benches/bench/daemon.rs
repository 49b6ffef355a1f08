//! A real `tokenkeeperd` of the same build, with the environment of its unit and a configuration that asks for nothing but what is
//! measured.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::prepare::{NOBODY, PROVIDER};
use crate::stopwatch::pause;
use crate::work;

/// What the daemon is installed with.
const UNIT: &str = include_str!("../../systemd/tokenkeeperd.service");

/// A daemon that is not ready after so long has failed; opening the store is the longest part of it.
const PATIENCE: Duration = Duration::from_mins(1);

/// A daemon is idle that uses no processor time in so many looks on end. Its own timers take less than a tick.
const IDLE_LOOKS: u32 = 5;
const LOOKS_AT_MOST: u32 = 300;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The daemon's directories. They outlive it.
pub(crate) struct Home {
    /// On a disk.
    state: tempfile::TempDir,
    /// Sockets, whose paths must be short.
    run: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new(on_disk: &Path) -> anyhow::Result<Self> {
        let state =
            tempfile::Builder::new().prefix("state-").permissions(Permissions::from_mode(0o700)).tempdir_in(on_disk)?;
        let run = tempfile::Builder::new().prefix("tk-").tempdir_in("/tmp")?;
        Ok(Self { state, run })
    }

    pub(crate) fn state_dir(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn identity_file(&self) -> PathBuf {
        self.run.path().join("identity")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.run.path().join("socket")
    }

    /// Where the daemon speaks HTTP: beside the other one.
    pub(crate) fn http_socket(&self) -> PathBuf {
        self.run.path().join("http.sock")
    }

    /// A file of this text where the configuration finds it.
    pub(crate) fn place(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.run.path().join(name);
        fs::write(&file, text)?;
        Ok(file)
    }

    fn write_config(&self, setup: &Setup) -> anyhow::Result<PathBuf> {
        let cache = setup.cache_sessions.map(|count| format!("cache_sessions = {count}\n")).unwrap_or_default();
        let text = format!(
            "[daemon]\nstate_dir = '{state}'\nsocket = '{socket}'\nidentity_file = '{identity}'\n{cache}\n\
             [audit]\ntarget = 'unix:{audit}'\n\n\
             [provider.{PROVIDER}]\n{provider}\nclient_id = \"bench\"\nclient_authentication = \"none\"\n\
             redirect_uris = [\"loopback\"]\n\n\
             [[allow]]\nwho = \"user:{user}\"\nmay = [\"login\", \"token\"]\nprovider = \"{PROVIDER}\"\nsessions = \"all\"\n\n\
             [[allow]]\nwho = \"user:{user}\"\nmay = [\"status\"]\n",
            state = self.state_dir().display(),
            socket = self.socket().display(),
            identity = self.identity_file().display(),
            audit = self.audit_socket().display(),
            user = user_name()?,
            provider = setup.provider,
        );
        self.place("tokenkeeper.toml", &text)
    }

    fn audit_socket(&self) -> PathBuf {
        self.run.path().join("audit")
    }
}

/// What is configured besides directories and rules.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Sessions whose tokens stay in memory, if not as many as usual.
    pub(crate) cache_sessions: Option<u64>,
    /// Lines of the only provider.
    pub(crate) provider: String,
}

impl Default for Setup {
    /// Nobody listens at the provider: tokens that are valid for a day need none.
    fn default() -> Self {
        Self { cache_sessions: None, provider: format!("issuer = \"{NOBODY}\"") }
    }
}

/// A running daemon, killed when dropped.
pub(crate) struct Daemon {
    process: Child,
}

impl Daemon {
    /// Starts one and waits until it says that it is ready.
    pub(crate) fn start(home: &Home, setup: &Setup) -> anyhow::Result<Self> {
        drain(bind(&home.audit_socket())?);
        let notify_path = home.run.path().join("notify");
        let notify = bind(&notify_path)?;
        notify.set_read_timeout(Some(PATIENCE))?;
        let process = Command::new(env!("CARGO_BIN_EXE_tokenkeeperd"))
            .arg("--config")
            .arg(home.write_config(setup)?)
            .envs(environment_of(UNIT))
            .env("NOTIFY_SOCKET", &notify_path)
            .spawn()
            .context("cannot start tokenkeeperd")?;
        let this = Self { process };
        let mut buffer = [0; 4096];
        loop {
            let length = notify.recv(&mut buffer).context("tokenkeeperd does not become ready")?;
            if buffer[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                drain(notify);
                return Ok(this);
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it has done what a start leaves to be done, such as compacting a store that was just filled.
    pub(crate) fn wait_until_idle(&self) -> anyhow::Result<()> {
        let ticks_now = || work::ticks(self.id());
        let (mut ticks, mut still) = (ticks_now()?, 0);
        for _ in 0..LOOKS_AT_MOST {
            pause(LOOK_EVERY);
            let before = std::mem::replace(&mut ticks, ticks_now()?);
            still = if ticks == before { still + 1 } else { 0 };
            if still == IDLE_LOOKS {
                return Ok(());
            }
        }
        bail!("tokenkeeperd does not come to rest")
    }

    /// Resident memory.
    pub(crate) fn rss_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the daemon is gone")?;
        let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(f64::from(kib) / 1024.0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Failing means that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The variables that a unit sets: `Environment=NAME=VALUE NAME=VALUE`.
fn environment_of(unit: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix("Environment="));
    lines.flat_map(str::split_whitespace).filter_map(|variable| variable.split_once('='))
}

/// Binds a datagram socket in the place of one that an earlier daemon used.
fn bind(path: &Path) -> anyhow::Result<UnixDatagram> {
    let _ = fs::remove_file(path);
    UnixDatagram::bind(path).with_context(|| format!("cannot bind {}", path.display()))
}

/// Takes what comes and forgets it, until the program ends.
fn drain(socket: UnixDatagram) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while socket.set_read_timeout(None).and_then(|()| socket.recv(&mut buffer)).is_ok() {}
    });
}

fn user_name() -> anyhow::Result<String> {
    let uid = nix::unistd::Uid::effective();
    let user = nix::unistd::User::from_uid(uid)?;
    Ok(user.with_context(|| format!("uid {uid} has no name"))?.name)
}

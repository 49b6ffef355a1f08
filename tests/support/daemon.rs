//! A running daemon.

use std::fs::OpenOptions;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Home;
use super::deadline::{Deadline, PATIENCE};
use super::notify::NotifySocket;

/// One life of a daemon. Killed when dropped.
pub(crate) struct Daemon {
    pid: Pid,
    exit: Receiver<ExitStatus>,
    exited: Option<ExitStatus>,
    /// What it tells systemd.
    pub(crate) notify: NotifySocket,
}

impl Daemon {
    /// Starts the daemon of `home` and waits until it says that it is ready.
    pub(crate) fn start(home: &Home) -> Self {
        Self::start_command(home, home.daemon_command())
    }

    /// The same with a command that a test has changed.
    pub(crate) fn start_command(home: &Home, command: Command) -> Self {
        let already_said = home.stderr().len();
        let mut this = Self::launch(home, command);
        let is_ready = this.becomes_ready();
        let said = &home.stderr()[already_said..];
        assert!(is_ready, "the daemon did not become ready ({:?}). It said:\n{said}", this.exited);
        this
    }

    /// The same, and does not wait: it may not live so long.
    pub(crate) fn launch(home: &Home, command: Command) -> Self {
        let stderr = OpenOptions::new().create(true).append(true).open(home.path("stderr")).expect("the home is there");
        Self::launch_with_log(home, command, stderr)
    }

    /// The same with another standard error.
    pub(crate) fn launch_with_log(home: &Home, mut command: Command, stderr: impl Into<Stdio>) -> Self {
        let socket = home.path("run/notify");
        let notify = NotifySocket::bind(&socket);
        // What a test has put on standard input stays: socket activation hands a listener over there.
        let child = command.env("NOTIFY_SOCKET", &socket).stdout(Stdio::null()).stderr(stderr).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let pid = Pid::from_raw(child.id().try_into().expect("a process id is positive"));
        let (tell, exit) = channel();
        std::thread::spawn(move || tell.send(child.wait().expect("a child can be waited for")));
        Self { pid, exit, exited: None, notify }
    }

    /// Waits until it says that it is ready; `false` if it ends before that.
    pub(crate) fn becomes_ready(&mut self) -> bool {
        self.notify.wait_for("READY=1", Deadline::patient(), || {
            self.exit.try_recv().map(|status| self.exited = Some(status)).is_ok()
        })
    }

    /// Runs a daemon that is expected to give up by itself.
    pub(crate) fn run(mut command: Command) -> Output {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon is built");
        let pid = Pid::from_raw(child.id().try_into().expect("a process id is positive"));
        let (done, finished) = channel::<()>();
        let watch = std::thread::spawn(move || {
            if finished.recv_timeout(PATIENCE).is_err() {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        let (mut stdout, mut stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let reader = std::thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap_or_default());
        let stderr = std::io::read_to_string(&mut stderr).unwrap_or_default();
        let stdout = reader.join().unwrap_or_default();
        let status = child.wait().expect("a child can be waited for");
        let _ = done.send(());
        let _ = watch.join();
        Output { status, stdout: stdout.into_bytes(), stderr: stderr.into_bytes() }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        assert!(self.exited.is_none(), "the daemon is gone already");
        kill(self.pid, signal).unwrap_or_else(|error| panic!("cannot send {signal} to the daemon: {error}"));
    }

    /// The power plug: no warning, no last words.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.wait_for_exit();
    }

    /// SIGTERM, as systemd stops a service. Returns when the daemon is gone.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_for_exit()
    }

    /// Waits until the daemon is gone.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        if let Some(status) = self.exited {
            return status;
        }
        let status = self.exit.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the daemon does not end"));
        self.exited = Some(status);
        status
    }

    /// Whether the daemon is still there after `span`.
    pub(crate) fn outlives(&mut self, span: Duration) -> bool {
        self.exited = self.exited.or_else(|| self.exit.recv_timeout(span).ok());
        self.exited.is_none()
    }

    /// SIGHUP; returns when the daemon says that the reload is over, whatever came of it.
    pub(crate) fn reload(&self) {
        let mark = self.notify.mark();
        self.signal(Signal::SIGHUP);
        for step in ["RELOADING=1", "READY=1"] {
            assert!(
                self.notify.wait_for_after(mark, step, Deadline::patient(), || false),
                "no {step} after a reload, but {:?}",
                &self.notify.heard()[mark..]
            );
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.exited.is_none() && self.exit.try_recv().is_err() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = self.exit.recv_timeout(PATIENCE);
        }
    }
}

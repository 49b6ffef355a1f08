//! The other end of `sd_notify`: what systemd would hear.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use super::deadline::Deadline;

/// Collects what the daemon tells systemd.
pub(crate) struct NotifySocket {
    heard: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl NotifySocket {
    /// Listens at `path`, which a socket of an earlier life may still occupy.
    pub(crate) fn bind(path: &Path) -> Self {
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path).unwrap_or_else(|error| panic!("cannot bind {}: {error}", path.display()));
        let heard = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                shared.0.lock().unwrap().extend(text.lines().map(str::to_owned));
                shared.1.notify_all();
            }
        });
        Self { heard }
    }

    /// Everything heard so far, one assignment an entry.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().clone()
    }

    /// How much has been heard: pass it to [`Self::wait_for_after`].
    pub(crate) fn mark(&self) -> usize {
        self.heard.0.lock().unwrap().len()
    }

    /// Waits for an assignment that begins with `start`. `false` if it does not come in time, or `given_up` says to stop.
    pub(crate) fn wait_for(&self, start: &str, deadline: Deadline, given_up: impl FnMut() -> bool) -> bool {
        self.wait_for_after(0, start, deadline, given_up)
    }

    /// The same, among what was heard after `mark`.
    pub(crate) fn wait_for_after(
        &self,
        mark: usize,
        start: &str,
        deadline: Deadline,
        mut given_up: impl FnMut() -> bool,
    ) -> bool {
        let (lock, changed) = &*self.heard;
        let mut heard = lock.lock().unwrap();
        loop {
            if heard[mark..].iter().any(|line| line.starts_with(start)) {
                return true;
            }
            let Some(left) = deadline.left().filter(|_| !given_up()) else { return false };
            // In slices, so that a daemon that died is noticed.
            heard = changed.wait_timeout(heard, left.min(std::time::Duration::from_millis(50))).unwrap().0;
        }
    }
}

//! Parts without which the daemon is not what it says it is. A panic in one ends the process at once, to be started anew.
//!
//! Invariant: none of them is missing while the daemon answers that it is ready. Why it ends, rather than goes on without it or
//! makes another one, is in docs/decisions/0031.

/// As long as this is held, a panic of whoever holds it ends the process.
pub(crate) struct Vital(pub(crate) &'static str);

/// Does a task that goes on for as long as the daemon.
pub(crate) async fn vital<T>(part: &'static str, task: impl Future<Output = T>) -> T {
    let _held = Vital(part);
    task.await
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "{} failed inside, and the daemon is nothing without it: it ends, to be started anew",
                self.0
            );
            // Nothing is cleaned up: what a panic has left behind is not to be trusted with the store.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    /// Set in the process that is to end.
    const DOOMED: &str = "TOKENKEEPER_TEST_VITAL";

    #[test]
    fn a_vital_task_that_panics_ends_the_process_and_another_does_not() {
        if let Ok(which) = std::env::var(DOOMED) {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let panics = async {
                tokio::task::yield_now().await;
                panic!("as it was told to");
            };
            let task = if which == "vital" { runtime.spawn(vital("a part", panics)) } else { runtime.spawn(panics) };
            assert!(runtime.block_on(task).unwrap_err().is_panic());
            return;
        }
        let signal = |which| {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args(["--exact", "vital::tests::a_vital_task_that_panics_ends_the_process_and_another_does_not"]);
            again.env(DOOMED, which).status().unwrap().signal()
        };
        assert_eq!((signal("vital"), signal("other")), (Some(nix::libc::SIGABRT), None));
    }
}

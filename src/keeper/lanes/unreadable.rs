//! Sessions that are due and do not open. Those of a damaged disk would fill the log one by one.

use tokenkeeper_protocol::SessionRef;

use crate::vault::VaultError;

/// Those that were met.
#[derive(Default)]
pub(super) struct Unreadable {
    count: u64,
    first: Option<(SessionRef, VaultError)>,
}

impl Unreadable {
    /// Whether a session was lined up; one that does not open was not.
    pub(super) fn or(&mut self, session: SessionRef, lined_up: Result<bool, VaultError>) -> bool {
        lined_up.unwrap_or_else(|error| {
            self.count += 1;
            self.first.get_or_insert((session, error));
            false
        })
    }

    /// Says in the log how many there were.
    pub(super) fn tell(self) {
        if let Some((session, error)) = self.first {
            tracing::error!(
                sessions = self.count, %session, %error,
                "sessions that are due, this one first, cannot be opened and are not attended to: `tokenkeeper store verify` names them"
            );
        }
    }
}

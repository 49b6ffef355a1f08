//! What the next run has to know of the time.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::UnixSeconds;

/// The time as it was last reckoned. The store keeps it, so that a start with a clock that lost its battery is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The time.
    pub now: UnixSeconds,
    /// Which start of the machine that was.
    pub boot_id: String,
    /// Seconds since then.
    pub boot: i64,
    /// How often the time was set back.
    pub era: u32,
}

/// Names this start of the machine; nothing where the kernel does not tell.
pub(super) fn boot_id() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    told.trim().to_owned()
}

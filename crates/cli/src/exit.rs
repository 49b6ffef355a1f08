//! Exit statuses that are the command line's own; those of problems are told by the protocol. From sysexits(3) where one fits.

/// The arguments make no sense.
pub(crate) const USAGE: u8 = 64;
/// What was typed or pasted makes no sense.
pub(crate) const DATA: u8 = 65;
/// The daemon cannot be reached.
pub(crate) const UNAVAILABLE: u8 = 69;
/// Reading or writing failed.
pub(crate) const IO: u8 = 74;
/// It may work in a moment.
pub(crate) const TRY_LATER: u8 = 75;
/// The other end does not speak our protocol.
pub(crate) const PROTOCOL: u8 = 76;
/// The socket may not be opened, or only root may do that.
pub(crate) const REFUSED: u8 = 77;
/// Something is not set up as it must be.
pub(crate) const CONFIGURATION: u8 = 78;
/// Ctrl-C, as shells count it: 128 and the number of the signal.
pub(crate) const INTERRUPTED: u8 = 130;
/// `status`: the daemon serves, and something is wrong.
pub(crate) const DEGRADED: u8 = 1;
/// `provider test`: a step failed.
pub(crate) const DOES_NOT_WORK: u8 = 1;
/// `status`: the daemon does not serve.
pub(crate) const NOT_SERVING: u8 = 2;

//! `tokenkeeper store accept-rollback`: an old copy of the store is the one that counts.

use clap::Args;
use tokenkeeper_client::reply::RollbackAccepted;
use tokenkeeper_protocol::json;

use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Example:
  sudo tokenkeeper status && sudo tokenkeeper store accept-rollback

Exit status: 0 done, 4 no rollback was noticed, 69 daemon not reachable, 77 refused.";

/// Use the refresh tokens of an old copy of the store again
///
/// When an old copy of the store was put back, its refresh tokens may be spent, and a provider that is sent a spent one can end the
/// whole session. So the daemon serves what is live, and tries such a refresh token once, when its access token has expired. This
/// command ends that for all sessions: do it if you know that nothing was refreshed since the copy was made, or that your providers
/// do not rotate refresh tokens. You need a rule for `manage` on all sessions of every provider; root has one.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AcceptRollback {}

impl AcceptRollback {
    #[expect(clippy::unused_self, reason = "as with every command, though this one has no arguments")]
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let accepted = context.connect()?.accept_rollback()?;
        context.answer(describe(&accepted), &json::RollbackAccepted::from(&accepted))?;
        Ok(0)
    }
}

fn describe(accepted: &RollbackAccepted) -> String {
    format!("Accepted: {}. Refresh tokens are used as usual from now on.\n", plain(&accepted.why))
}

//! A login whose browser is on another device.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::Problem;
use tokenkeeper_protocol::reply::{DeviceBegun, LoggedIn};
use tokenkeeper_protocol::request::{DeviceBegin, DeviceWait};

use super::Service;
use crate::domain::Peer;
use crate::keeper::KeeperError;
use crate::policy::{Action, Target};

/// How long a peer that does not say waits for the user.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest that a peer can ask to wait.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(2);

impl Service {
    pub(super) async fn begin_device_login(&self, peer: &Peer, begin: &DeviceBegin) -> Result<DeviceBegun, Problem> {
        let permit = self.may_begin(peer, &begin.provider, begin.replaces).await?;
        Arc::clone(&self.keeper).begin_device_login(permit, peer, begin).await.map_err(|error| error.to_problem())
    }

    pub(super) async fn wait_for_device_login(&self, peer: &Peer, wait: &DeviceWait) -> Result<LoggedIn, Problem> {
        // As for a login that is completed: whoever may log in nowhere has begun nothing.
        let _permit = self.permit(peer, Action::Login, Target::Daemon, "a login").await?;
        let login = match self.keeper.device_login(peer, wait.login_id) {
            Ok(login) => login,
            Err(error) => {
                if matches!(error, KeeperError::LoginFailed { .. }) {
                    self.note_denial(peer, Action::Login, "a login that is not known").await;
                }
                return Err(error.to_problem());
            }
        };
        let named = login.provider.as_str();
        let permit = self.permit(peer, Action::Login, Target::Provider(&login.provider), named).await?;
        let patience = wait.timeout_ms.map_or(DEFAULT_TIMEOUT, |ms| Duration::from_millis(ms.into()));
        let waited = self.keeper.wait_for_device_login(permit, peer, wait.login_id, patience.min(LONGEST_TIMEOUT));
        waited.await.map_err(|error| error.to_problem())
    }
}

//! A login whose browser is on another device: begun, and waited for.

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokenkeeper_protocol::request::DeviceWait;
    use tokenkeeper_protocol::{Code, LoginId, Problem, Reply, Request};

    use crate::command::tests::service;
    use crate::command::{Answer, Service};
    use crate::keeper::tests::{Home, peer};
    use crate::provider::scripted::{Reply as Said, device_begin};

    async fn ask(service: &Service, uid: u32, request: Request) -> Result<Reply, Problem> {
        match service.answer(&Arc::new(peer(uid)), request).await {
            Answer::Reply(reply) => match *reply {
                Reply::Problem(problem) => Err(problem),
                other => Ok(other),
            },
            Answer::Encoded(_) => panic!("only tokens are encoded"),
        }
    }

    async fn wait(service: &Service, uid: u32, login_id: LoginId) -> Problem {
        ask(service, uid, Request::DeviceWait(DeviceWait { login_id, timeout_ms: Some(0) })).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_login_with_a_code_is_waited_for_by_its_owner_alone() {
        let home = Home::new().await;
        let service = service(&home);
        let code =
            json!({"device_code": "d", "user_code": "u", "verification_uri": "https://id.example/d", "interval": 60});
        home.server.script("/device", Said::json(200, &code));
        let begun = ask(&service, 1001, Request::DeviceBegin(device_begin())).await.unwrap();
        let Reply::DeviceBegun(begun) = begun else { panic!("{begun:?}") };
        assert_eq!(wait(&service, 1001, begun.login_id).await.code, Code::TryLater);
        let others = wait(&service, 1000, begun.login_id).await;
        let nobodys = wait(&service, 1000, LoginId::from_random([9; 16])).await;
        assert_eq!((others.code, &others.message), (Code::LoginFailed, &nobodys.message));
        assert_eq!(wait(&service, 1002, begun.login_id).await.code, Code::Denied, "no rule at all");
        let denied = ask(&service, 1002, Request::DeviceBegin(device_begin())).await.unwrap_err();
        assert_eq!((denied.code, home.server.count("/device")), (Code::Denied, 1));
    }
}

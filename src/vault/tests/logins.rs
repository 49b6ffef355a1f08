//! Login flows, the names they bind, and intents.

use tokenkeeper_protocol::{LoginId, Secret};

use super::*;
use crate::domain::{DeviceFailure, DeviceFlow, Flow, Peer, Way};
use crate::store::Batch;
use crate::vault::{Binding, Intent, PendingLogin, VaultError};

pub(super) fn login(expires_at: UnixSeconds) -> PendingLogin {
    PendingLogin {
        provider: "corp-canary".parse().unwrap(),
        begun_by: Owner::Unit { unit: "unit-canary.service".to_owned(), uid: 7 },
        device: Some("device-canary".to_owned()),
        replaces: None,
        way: Way::CodeOf(
            "https://issuer-canary.example".to_owned(),
            Flow {
                state: Secret::from("state-canary"),
                nonce: Secret::from("nonce-canary"),
                verifier: Secret::from("verifier-canary"),
                redirect_uri: "https://redirect-canary.example".to_owned(),
                scopes: vec!["scope-canary".to_owned()],
                login_hint: Some("hint-canary".to_owned()),
                acr_values: Vec::new(),
                resource: Vec::new(),
                begun_at: NOW,
            },
        ),
        expires_at,
        done: None,
    }
}

fn id(number: u16) -> LoginId {
    let mut random = [0; 16];
    random[..2].copy_from_slice(&number.to_be_bytes());
    LoginId::from_random(random)
}

async fn keep(vault: &Vault, id: LoginId, version: u64, login: &PendingLogin) -> Result<(), VaultError> {
    let mut change = vault.change(NOW);
    change.keep_login(id, version, login).unwrap();
    change.commit().await
}

#[tokio::test]
async fn a_flow_is_kept_over_a_restart_changed_in_its_version_and_forgotten() {
    let vault = in_memory().await;
    keep(&vault, id(1), 0, &login(NOW)).await.unwrap();
    let vault = reopened(vault).await;
    let kept = vault.login(id(1)).unwrap().unwrap();
    let (flow, issuer) = kept.value.way.code().unwrap();
    assert_eq!((flow.verifier.expose(), issuer), ("verifier-canary", Some("https://issuer-canary.example")));
    assert!(vault.login(id(2)).unwrap().is_none());

    keep(&vault, id(1), kept.version, &login(NOW + Duration::from_secs(9))).await.unwrap();
    assert!(matches!(keep(&vault, id(1), kept.version, &login(NOW)).await, Err(VaultError::Conflict)));
    let changed = vault.login(id(1)).unwrap().unwrap();
    assert_eq!(changed.value.expires_at, NOW + Duration::from_secs(9));
    let mut change = vault.change(NOW);
    change.forget_login(id(1), changed.version);
    change.commit().await.unwrap();
    assert!(vault.login(id(1)).unwrap().is_none());
}

#[tokio::test]
async fn flows_that_expired_are_forgotten_over_many_pages_and_the_others_are_not() {
    let vault = in_memory().await;
    for number in 0..700 {
        let expires_at = if number % 3 == 0 { NOW + Duration::from_secs(1) } else { NOW };
        keep(&vault, id(number), 0, &login(expires_at)).await.unwrap();
    }
    assert_eq!(vault.forget_expired_logins(NOW).await.unwrap(), 466);
    let left = (0..700).filter(|number| vault.login(id(*number)).unwrap().is_some());
    assert!(left.eq((0..700).step_by(3)));
    assert_eq!(vault.forget_expired_logins(NOW).await.unwrap(), 0);
}

#[tokio::test]
async fn a_flow_that_does_not_open_goes_with_those_that_expired() {
    let vault = in_memory().await;
    let mut batch = Batch::default();
    batch.put(Table::Logins, [7; 16], 0, "no sealed record");
    vault.store.write_if(batch).await.unwrap();
    keep(&vault, id(1), 0, &login(NOW + Duration::from_secs(1))).await.unwrap();
    assert_eq!(vault.forget_expired_logins(NOW).await.unwrap(), 1);
    assert!(vault.login(id(1)).unwrap().is_some());
}

#[tokio::test]
async fn device_flows_that_are_under_way_are_found_among_all_others() {
    let vault = in_memory().await;
    let device = |number, failure| PendingLogin {
        way: Way::Device(DeviceFlow {
            id: id(number),
            device_code: Secret::from("device-code-canary"),
            issuer: "https://issuer-canary.example".to_owned(),
            resource: Vec::new(),
            scopes: Vec::new(),
            peer: Peer { uid: 7, gids: vec![7], pid: 1, unit: None },
            interval: 5,
            failure,
        }),
        ..login(NOW)
    };
    for number in 0..300 {
        keep(&vault, id(number), 0, &login(NOW)).await.unwrap();
    }
    keep(&vault, id(300), 0, &device(300, None)).await.unwrap();
    keep(&vault, id(301), 0, &device(301, Some(DeviceFailure::Failed("denied".to_owned())))).await.unwrap();
    let vault = reopened(vault).await;
    assert_eq!(vault.device_flows().unwrap(), [id(300)]);
}

#[tokio::test]
async fn a_name_is_bound_once_at_each_provider() {
    let vault = in_memory().await;
    let (corp, other) = ("corp".parse().unwrap(), "other".parse().unwrap());
    let binding = |subject: &str| Binding {
        name: "alice".parse().unwrap(),
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
    };
    let name = binding("u-1").name;
    assert_eq!(vault.binding(&corp, &name).unwrap(), None);
    let bind = async |provider, subject| {
        let mut change = vault.change(NOW);
        change.bind(provider, &binding(subject)).unwrap();
        change.commit().await
    };
    bind(&corp, "u-1").await.unwrap();
    assert!(matches!(bind(&corp, "u-2").await, Err(VaultError::Conflict)));
    bind(&other, "u-2").await.unwrap();
    assert_eq!(vault.binding(&corp, &name).unwrap(), Some(binding("u-1")));
    assert_eq!(vault.binding(&other, &name).unwrap(), Some(binding("u-2")));
}

#[tokio::test]
async fn who_counts_on_a_name_writes_nothing_once_it_is_free_again() {
    let (vault, session) = (in_memory().await, session(1));
    let user = session.user.clone();
    let binding = Binding { name: user.name, issuer: user.issuer, subject: user.subject };
    let mut change = vault.change(NOW);
    change.bind(&session.provider, &binding).unwrap();
    change.commit().await.unwrap();
    let bound = vault.bound(&session.provider, &binding.name).unwrap().unwrap();
    let mut login = vault.change(NOW);
    login.insert(&session).unwrap().still_bound(&session.provider, &bound);
    // Its user is erased meanwhile.
    let mut erasure = vault.change(NOW);
    erasure.unbind(&vault.name_prefix(&session.provider, &binding.name), bound.version);
    erasure.commit().await.unwrap();
    assert!(matches!(login.commit().await, Err(VaultError::Conflict)));
    assert!(vault.session(session.id).unwrap().is_none());
}

#[tokio::test]
async fn an_intent_stays_until_it_is_settled_and_there_is_one_for_each_session() {
    let vault = in_memory().await;
    let intent = |generation| Intent { generation, at: NOW };
    let announce = async |number, generation| {
        let mut change = vault.change(NOW);
        change.intend(session(number).id, &intent(generation)).unwrap();
        change.commit().await
    };
    announce(1, 5).await.unwrap();
    announce(2, 6).await.unwrap();
    // The one before was not known to be written, or it would have been settled.
    announce(1, 7).await.unwrap();
    assert_eq!(vault.unsettled().unwrap(), [(session(1).id, intent(7)), (session(2).id, intent(6))]);
    for _ in 0..2 {
        let mut change = vault.change(NOW);
        change.settle(session(1).id);
        change.commit().await.unwrap();
    }
    assert_eq!(vault.unsettled().unwrap(), [(session(2).id, intent(6))]);
}

//! A provider at which one sign-out ends all sessions of the user.

use tokenkeeper_protocol::reply::Revocation;

use super::*;
use crate::config::custom::{
    Answer as Pointers, Body, CallbackNames, CustomSettings, Field, FieldValue, IdTokenRule, Method, Operation,
    Placeholder, Template,
};
use crate::config::settings::ProviderKind;
use crate::domain::{LoginReason, State};

fn operation(url: String, name: &str) -> Operation {
    let all = [Placeholder::Code, Placeholder::RefreshToken, Placeholder::AccessToken];
    let value = FieldValue::Text(Template::sample(&format!("{{{name}}}"), &all));
    Operation {
        url,
        method: Method::Post,
        body: Body::Form,
        send: vec![Field { path: vec!["token".to_owned()], value }],
        headers: vec![],
        answer: Pointers { access_token: Some("/access_token".to_owned()), ..Pointers::default() },
        refused: vec![],
        refused_status: vec![],
        later: vec![],
    }
}

fn ends_user(settings: &mut ProviderSettings) {
    let url = settings.kind.issuer().to_owned();
    settings.kind = ProviderKind::Custom(Box::new(CustomSettings {
        code_link: Template::sample(&format!("{url}/start"), &[]),
        callback: CallbackNames {
            code: "code".to_owned(),
            state: None,
            error: "error".to_owned(),
            error_description: "error_description".to_owned(),
        },
        id_token: IdTokenRule::Ignored,
        exchange: operation(format!("{url}/token"), "code"),
        renew: Some(operation(format!("{url}/token"), "refresh_token")),
        sign_out: Some(operation(format!("{url}/revoke"), "access_token")),
        sign_out_ends_user: true,
        user_info: None,
        issuer: url,
    }));
}

/// A home with a second session of the same user, opened so many seconds after the first.
async fn home(second_opened: u64) -> (Home, SessionRef) {
    let home = Home::with(ends_user, |_| {}).await;
    let id = SessionRef::from_random([9; 5]);
    let mut second = Session { id, opened_at: at(second_opened), ..home.session() };
    second.due_at = Some(at(200));
    let mut change = home.vault.change(NOW);
    change.insert(&second).unwrap();
    change.commit().await.unwrap();
    (home, id)
}

fn state(home: &Home, id: SessionRef) -> State {
    home.vault.session(id).unwrap().unwrap().value.state
}

async fn logout(home: &Home) -> Revocation {
    home.keeper.logout(permit(Action::Logout), home.id, &peer(1000)).await.unwrap().revoked
}

#[tokio::test]
async fn a_logout_ends_the_other_sessions_too_and_says_why() {
    let (home, second) = home(0).await;
    assert!(matches!(home.keeper.look(second).unwrap(), Look::Live(_)));
    assert_eq!(logout(&home).await, Revocation::Done);
    assert_eq!(home.revoked(), ["at-old-0123456789"]);
    assert_eq!(state(&home, second), State::NeedsLogin { reason: LoginReason::SignedOut, since: at(0) });
    let Look::Dormant(dormant) = home.keeper.look(second).unwrap() else { panic!("it is served") };
    assert_eq!((dormant.tokens, dormant.due_at), (None, None), "there is nothing left to revoke");
}

#[tokio::test]
async fn a_sign_out_that_fails_ends_nothing_else() {
    let (home, second) = home(0).await;
    home.server.script("/revoke", Reply::text(503, "text/plain", ""));
    assert_eq!(logout(&home).await, Revocation::Pending);
    assert_eq!(state(&home, second), State::Active);
}

#[tokio::test]
async fn a_session_that_grew_too_old_takes_no_other_with_it() {
    let (home, second) = home(0).await;
    home.edit(|session| session.ends_at = at(10)).await;
    home.sleep_until(20);
    assert!(home.attend(Wish::NewToken).await.is_err());
    home.attend_to_all_due().await;
    assert_eq!(home.session().tokens, None, "they are not kept either");
    assert_eq!(home.revoked().len(), 0);
    assert_eq!(state(&home, second), State::Active);
}

#[tokio::test]
async fn a_logout_does_not_end_a_login_that_came_after_it() {
    let (home, second) = home(5).await;
    assert_eq!(logout(&home).await, Revocation::Unsupported);
    assert_eq!(home.revoked().len(), 0);
    assert_eq!(state(&home, second), State::Active);
}

#[tokio::test]
async fn a_logout_does_not_end_a_login_of_the_same_second_that_came_after_it() {
    let (home, _) = home(0).await;
    let user = home.session().user;
    let opening = || home.keeper.opening_time(home.provider().settings(), &user, at(0)).unwrap();
    assert_eq!(opening(), at(0));
    home.server.script("/revoke", Reply::text(503, "text/plain", ""));
    assert_eq!(logout(&home).await, Revocation::Pending);
    assert_eq!(opening(), at(1), "its sign-out is still to come");
    home.server.script("/revoke", Reply::text(200, "text/plain", ""));
    home.sleep_until(10);
    home.attend_to_all_due().await;
    assert_eq!((home.session().tokens, opening()), (None, at(0)));
}

#[tokio::test]
async fn a_login_that_renews_a_session_during_the_sign_out_is_left_alone() {
    let (home, second) = home(0).await;
    let bell = Arc::new(Notify::new());
    home.server.script("/revoke", Reply::Held(Arc::clone(&bell), Box::new(Reply::text(200, "text/plain", ""))));
    let (revoked, ()) = tokio::join!(logout(&home), async {
        until(|| home.revoked().len() == 1).await;
        let old = home.vault.session(second).unwrap().unwrap();
        let mut change = home.vault.change(at(1));
        change.update(&old, &Session { opened_at: at(1), ..old.value.clone() }).unwrap();
        change.commit().await.unwrap();
        bell.notify_one();
    });
    assert_eq!((revoked, state(&home, second)), (Revocation::Done, State::Active));
}

//! When a token is replaced, by how long it lives and by whether somebody uses it.

use super::*;
use crate::config::settings::RefreshMode;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Seconds after its arrival at which a token of this life is due.
async fn due_after(life: u64) -> u64 {
    let home = Home::new().await;
    let body = json!({"access_token": "at-new", "refresh_token": "rt-new-0123456789", "expires_in": life});
    home.server.script("/token", Reply::json(200, &body));
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    home.session().due_at.unwrap().since(at(0)).as_secs()
}

#[tokio::test]
async fn a_short_token_is_due_at_half_its_life_and_any_other_around_seventy_per_cent() {
    assert_eq!(due_after(2).await, 1);
    assert_eq!(due_after(10).await, 5);
    for life in [100, 300, HOUR, DAY] {
        let due = due_after(life).await;
        assert!((life * 65 / 100..=life * 75 / 100).contains(&due), "{due} of {life}");
        assert!(life - due >= (life / 20).max(25), "room for tries before it expires: {due} of {life}");
    }
}

/// Whether the schedule refreshes, on the third day, a session whose token lives so long, and that nobody used since.
async fn is_refreshed_unused(mode: Option<RefreshMode>, life: u64) -> bool {
    let home = Home::with(
        |settings| {
            settings.refresh = mode;
            settings.refresh_token_idle = Some(Duration::from_secs(7 * DAY));
        },
        |session| {
            session.tokens.as_mut().unwrap().access.expires_at = at(life);
            session.due_at = Some(at(life / 10 * 7));
        },
    )
    .await;
    home.sleep_until(2 * DAY);
    home.attend_to_all_due().await;
    home.posts() == 1
}

#[tokio::test]
async fn what_nobody_uses_is_refreshed_if_so_configured_or_if_its_tokens_live_for_an_hour() {
    for (life, unless_told) in [(300, false), (HOUR, true), (DAY, true)] {
        assert_eq!(is_refreshed_unused(None, life).await, unless_told, "{life}");
        assert!(is_refreshed_unused(Some(RefreshMode::Always), life).await, "{life}");
        assert!(!is_refreshed_unused(Some(RefreshMode::WhenUsed), life).await, "{life}");
    }
}

/// The hours at which the schedule refreshes a session that nobody uses and whose answers are `body`, in 22 days.
async fn refreshes_unused(home: &Home, body: &Value) -> Vec<u64> {
    home.server.script("/token", Reply::json(200, body));
    let mut times = Vec::new();
    for hour in 1..=22 * 24 {
        home.sleep_until(hour * HOUR);
        let before = home.posts();
        home.attend_to_all_due().await;
        if home.posts() > before {
            times.push(hour);
        }
    }
    assert!(home.session().state.is_active());
    times
}

fn answer(more: &str, life: u64) -> Value {
    let mut body = json!({"access_token": "at-new", "refresh_token": "rt-new-0123456789", "expires_in": 300});
    body[more] = life.into();
    body
}

#[tokio::test]
async fn a_refresh_token_that_nobody_uses_is_used_before_it_dies_of_that() {
    let nothing_told = answer("unknown", 1);
    let first_day: Vec<u64> = (1..=24).collect();
    let then = |hours: &[u64]| [&first_day, hours].concat();

    let times = refreshes_unused(&Home::new().await, &nothing_told).await;
    assert_eq!(times, then(&[142, 260, 378, 496]), "for a day it counts as used, and then 70% of a week");

    for told in ["refresh_expires_in", "refresh_token_expires_in"] {
        let times = refreshes_unused(&Home::new().await, &answer(told, 10 * DAY)).await;
        assert_eq!(times, then(&[192, 360, 528]), "70% of ten days: {told}");
    }

    let configured = Some(Duration::from_secs(20 * DAY));
    let home = Home::with(|settings| settings.refresh_token_idle = configured, |_| {}).await;
    let times = refreshes_unused(&home, &answer("refresh_expires_in", 10 * DAY)).await;
    assert_eq!(times, then(&[360]), "what is configured counts for more than what is told");
}

#[tokio::test]
async fn a_keep_alive_comes_when_it_was_to_come_though_the_daemon_forgot_why() {
    let home = Home::new().await;
    home.server.script("/token", Reply::json(200, &answer("refresh_expires_in", 2 * HOUR)));
    home.sleep_until(23 * HOUR);
    home.attend_to_all_due().await;
    home.sleep_until(24 * HOUR + 60);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.session().due_at, Some(at(23 * HOUR + 2 * HOUR / 10 * 7)), "it was put off");
    let posts = home.posts();

    let provider = Arc::new(home.server.provider());
    let providers = Providers::from([(provider.settings().name.clone(), provider)]);
    home.keeper.replace_providers(providers, RETENTION);
    home.sleep_until(25 * HOUR);
    home.attend_to_all_due().await;
    assert_eq!(home.posts(), posts + 1);
}

#[tokio::test]
async fn how_long_a_refresh_token_lives_unused_is_known_after_a_restart() {
    let home = Home::new().await;
    home.server.script("/token", Reply::json(200, &answer("refresh_expires_in", 2 * HOUR)));
    home.sleep_until(24 * HOUR);
    home.attend_to_all_due().await;
    let posts = home.posts();
    // It starts again before the session was put off.
    let provider = Arc::new(home.server.provider());
    let providers = Providers::from([(provider.settings().name.clone(), provider)]);
    home.keeper.replace_providers(providers, RETENTION);
    for minute in 1..=4 * 60 {
        home.sleep_until(24 * HOUR + minute * 60);
        home.attend_to_all_due().await;
    }
    assert_eq!(home.posts() - posts, 2, "each time after 70% of two hours");
}

#[tokio::test]
async fn a_store_of_before_that_was_kept_is_asked_about_instead_of_guessed() {
    let unknown = |session: &mut Session| session.tokens.as_mut().unwrap().refresh_life = Some(Duration::ZERO);
    let home = Home::with(|_| {}, unknown).await;
    home.server.script("/token", Reply::json(200, &answer("refresh_expires_in", 2 * HOUR)));
    home.sleep_until(2 * DAY);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.posts(), 1, "it was not put off, though nobody uses it");
}

#[tokio::test]
async fn a_refresh_token_that_dies_before_the_access_token_does_is_used_before() {
    let idle = Some(Duration::from_secs(HOUR));
    let home = Home::with(|settings| settings.refresh_token_idle = idle, |_| {}).await;
    let body = json!({"access_token": "at-new", "refresh_token": "rt-new-0123456789", "expires_in": DAY});
    home.server.script("/token", Reply::json(200, &body));
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    assert_eq!(home.session().due_at, Some(at(HOUR / 10 * 7)));

    let home = Home::new().await;
    let told = json!({"access_token": "at-new", "expires_in": DAY, "refresh_expires_in": HOUR});
    home.server.script("/token", Reply::json(200, &told));
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    assert_eq!(home.session().due_at, Some(at(HOUR / 10 * 7)));
}

#[tokio::test]
async fn a_life_is_what_the_answer_says_or_the_token_or_the_last_one_or_the_configuration() {
    let jwt = |life: u64| {
        let payload = data_encoding::BASE64URL_NOPAD.encode(json!({"exp": at(life).0}).to_string().as_bytes());
        format!("e30.{payload}.c2ln")
    };
    for (body, life) in [
        (json!({"access_token": jwt(200), "expires_in": 100}), 100),
        (json!({"access_token": jwt(200)}), 200),
        (json!({"access_token": "at-new"}), 300),
    ] {
        let home = Home::new().await;
        home.server.script("/token", Reply::json(200, &body));
        assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
        assert_eq!(home.session().tokens.unwrap().access.expires_at, at(life), "{body}");
    }
    let never_known = |session: &mut Session| session.tokens.as_mut().unwrap().access.expires_at = NOW;
    let home = Home::with(|settings| settings.default_life = Duration::from_secs(900), never_known).await;
    home.server.script("/token", Reply::json(200, &json!({"access_token": "at-new"})));
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    assert_eq!(home.session().tokens.unwrap().access.expires_at, at(900));
}

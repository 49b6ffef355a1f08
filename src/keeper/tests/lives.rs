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
        |settings| settings.refresh = mode,
        |session| {
            session.tokens.as_mut().unwrap().access.expires_at = at(life);
            session.due_at = Some(at(2 * DAY));
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

#[tokio::test]
async fn a_refresh_token_that_nobody_uses_is_used_once_a_week() {
    let home = Home::new().await;
    let mut times = Vec::new();
    for day in 1..=22 {
        home.sleep_until(day * DAY);
        let before = home.posts();
        home.attend_to_all_due().await;
        if home.posts() > before {
            times.push(day);
        }
    }
    assert_eq!(times, [1, 8, 15, 22], "for a day it counts as used, and then once a week");
    assert!(home.session().state.is_active());
}

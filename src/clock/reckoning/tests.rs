//! Jumps of all sizes, confirmed, contradicted and taken back; and starts with a clock that is wrong.

use super::*;

const DAY: i64 = 86_400;
const TEN_YEARS: i64 = 3650 * DAY;
const START: i64 = 1_790_000_000;
const BOOT: u64 = 5000;

/// So many seconds after the beginning, with a wall clock that is `ahead`.
fn reading(seconds: u64, ahead: i64) -> Reading {
    let passed = i64::try_from(seconds).unwrap();
    Reading { wall: UnixSeconds(START + passed + ahead), boot: Duration::from_secs(BOOT + seconds) }
}

fn at(seconds: i64) -> UnixSeconds {
    UnixSeconds(START + seconds)
}

fn begun() -> Reckoning {
    Reckoning::from(reading(0, 0))
}

/// A provider that was asked so many seconds after the beginning, and whose clock was ahead of the true one.
fn witness(seconds: i64, ahead: i64) -> Witness {
    Witness { asked_at: at(seconds), told: Told::Date(at(seconds + ahead)) }
}

#[test]
fn small_steps_are_followed_and_add_up_to_no_jump() {
    let mut reckoning = begun();
    for step in 1..=10 {
        let reading = reading(30 * u64::try_from(step).unwrap(), 50 * step);
        assert_eq!(reckoning.look(reading, &[]), None);
        assert_eq!(reckoning.now(reading), reading.wall);
    }
}

#[test]
fn a_night_of_suspend_is_no_jump() {
    let mut reckoning = begun();
    assert_eq!(reckoning.look(reading(36_000, 1), &[]), None);
    assert_eq!(reckoning.now(reading(36_000, 1)), at(36_001));
}

#[test]
fn time_goes_on_by_boot_time_over_a_jump_and_its_return() {
    for by in [DAY, -DAY, TEN_YEARS, -TEN_YEARS, 70, -70] {
        let mut reckoning = begun();
        assert_eq!(reckoning.now(reading(100, by)), at(100), "before it is noticed");
        assert_eq!(reckoning.look(reading(100, by), &[]), Some(Turn::Jumped(by)));
        assert_eq!(reckoning.look(reading(400, by + 2), &[]), None);
        assert_eq!(reckoning.now(reading(400, by + 2)), at(402), "two seconds are skipped");
        assert_eq!(reckoning.look(reading(500, 1), &[]), Some(Turn::Returned));
        assert_eq!((reckoning.now(reading(500, 1)), reckoning.era), (at(501), 0));
    }
}

#[test]
fn a_token_of_before_a_jump_forward_is_judged_by_the_later_time_and_one_of_after_it_by_its_age() {
    let mut reckoning = begun();
    reckoning.look(reading(100, DAY), &[]);
    let judged = |obtained_at| reckoning.now_for(at(obtained_at), 0, reading(200, DAY));
    assert_eq!((judged(101), judged(102)), (at(200 + DAY), at(202)));
}

#[test]
fn a_jump_back_lets_no_token_live_longer() {
    let mut reckoning = begun();
    reckoning.look(reading(100, -DAY), &[]);
    for obtained_at in [0, 99, 100, 150] {
        assert_eq!(reckoning.now_for(at(obtained_at), 0, reading(200, -DAY)), at(202));
    }
    assert_eq!(reckoning.look(reading(700, -DAY), &[]), Some(Turn::Settled(-DAY)));
    assert_eq!(reckoning.now(reading(700, -DAY)), at(700 - DAY));
    assert_eq!(reckoning.now_for(at(600), 0, reading(700, -DAY)), UnixSeconds::NEVER, "times of before say nothing");
    assert_eq!(reckoning.now_for(at(700 - DAY), 1, reading(701, -DAY)), at(701 - DAY));
}

#[test]
fn ten_stable_minutes_confirm_a_jump_and_another_jump_begins_them_anew() {
    let mut reckoning = begun();
    reckoning.look(reading(100, DAY), &[]);
    assert_eq!(reckoning.look(reading(699, DAY), &[]), None);
    assert_eq!(reckoning.look(reading(700, 2 * DAY), &[]), Some(Turn::Jumped(2 * DAY - 2)));
    assert_eq!(reckoning.look(reading(1299, 2 * DAY), &[]), None);
    assert_eq!(reckoning.look(reading(1300, 2 * DAY), &[]), Some(Turn::Settled(2 * DAY - 2)));
    assert_eq!((reckoning.now(reading(1300, 2 * DAY)), reckoning.era), (at(1300 + 2 * DAY), 0));
    assert_eq!(reckoning.look(reading(1330, 2 * DAY), &[]), None);
}

#[test]
fn a_provider_confirms_or_contradicts_a_jump_if_it_was_asked_since_then() {
    for by in [DAY, -DAY, TEN_YEARS, -TEN_YEARS, 70] {
        let mut reckoning = begun();
        reckoning.look(reading(100, by), &[]);
        assert_eq!(reckoning.look(reading(110, by), &[witness(99, by)]), None, "asked before");
        assert_eq!(reckoning.look(reading(120, by), &[witness(111, by + 2)]), Some(Turn::Agreed(by)));

        let mut reckoning = begun();
        reckoning.look(reading(100, by), &[]);
        for seconds in [110, 3000] {
            assert_eq!(reckoning.look(reading(seconds, by), &[witness(105, 1), witness(106, by)]), None);
        }
        assert_eq!(reckoning.doubt.map(|doubt| doubt.contradicted), Some(true));
        assert_eq!(reckoning.now(reading(3000, by)), at(3002), "not even after ten minutes");
    }
}

#[test]
fn a_provider_that_agrees_with_neither_is_not_heard() {
    let mut reckoning = begun();
    reckoning.look(reading(100, DAY), &[]);
    let lost = [witness(105, DAY / 2)];
    assert_eq!(reckoning.look(reading(110, DAY), &lost), None);
    assert_eq!(reckoning.look(reading(700, DAY), &lost), Some(Turn::Settled(DAY)));
}

fn started(wall: i64, boot: u64, same_boot: bool) -> (Option<Turn>, UnixSeconds, u32) {
    let mark = Mark { now: at(0), boot_id: String::new(), boot: 5000, era: 3 };
    let reading = Reading { wall: at(wall), boot: Duration::from_secs(boot) };
    let mut reckoning = Reckoning::from(reading);
    reckoning.resume(&mark, same_boot, reading);
    (reckoning.look(reading, &[]), reckoning.now(reading), reckoning.era)
}

#[test]
fn a_start_with_a_clock_behind_or_years_ahead_of_the_last_run_is_noticed() {
    assert_eq!(started(3 * DAY, 20, false), (None, at(3 * DAY), 3));
    assert_eq!(started(-START, 20, false), (Some(Turn::Jumped(-START)), at(2), 3), "1970");
    assert_eq!(started(TEN_YEARS, 20, false), (Some(Turn::Jumped(TEN_YEARS)), at(2), 3));
}

#[test]
fn a_restart_on_a_running_machine_notices_every_jump() {
    assert_eq!(started(600, 5600, true), (None, at(600), 3));
    assert_eq!(started(600 + DAY, 5600, true), (Some(Turn::Jumped(DAY)), at(602), 3));
    assert_eq!(started(600 - DAY, 5600, true), (Some(Turn::Jumped(-DAY)), at(602), 3));
}

#[test]
fn small_steps_back_that_follow_each_other_add_up_to_a_jump() {
    let mut it = Reckoning::from(reading(0, 0));
    assert_eq!(it.look(reading(40, -50), &[]), None);
    assert_eq!(it.now(reading(40, -50)), at(-10), "one is followed");
    assert!(it.is_surprised(reading(80, -100)));
    assert_eq!(it.look(reading(80, -100), &[]), Some(Turn::Jumped(-100)));
    assert!(it.now(reading(80, -100)) >= at(80), "and the sum is not");

    let mut slow = Reckoning::from(reading(0, 0));
    for step in 1..10_u16 {
        let reading = reading(u64::from(step) * 700, -50 * i64::from(step));
        assert_eq!(slow.look(reading, &[]), None, "a clock that is set now and then");
    }
}

#[test]
fn a_jump_past_the_end_of_a_certificate_that_was_good_is_not_settled_by_waiting() {
    let mut it = begun();
    it.look(reading(1_000, DAY * 100), &[]);
    let unheard = Witness { asked_at: at(1_100), told: Told::Certificate };
    assert_eq!(it.look(reading(2_000, DAY * 100), &[unheard]), None);
    assert_eq!(it.look(reading(9_000, DAY * 100), &[unheard]), None);
    let other = witness(1_100, DAY * 100);
    assert_eq!(it.look(reading(9_001, DAY * 100), &[unheard, other]), Some(Turn::Agreed(DAY * 100)));
}

//! SIGKILLs at failpoints, and faults of provider and disk, in four ways of treating refresh tokens. The provider remembers every
//! token that it ever gave: no session is lost where none has to be, and nothing is done that must never be.
//!
//! `docs/testing.md` says what is proved. A failure tells the seed, the life, where it ended, and all about the session.

mod calm;
mod figures;
mod host;
mod ledger;
mod life;
mod plan;

use std::panic::resume_unwind;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use self::figures::Figures;
use self::host::{Host, Pace};
use self::life::Death;
use crate::extent;
use crate::support::{Daemon, Fault, Rotation, Wire};

#[test]
fn where_refresh_tokens_stay_and_are_named_again_no_session_is_lost() {
    prove(Rotation::Repeated, "");
}

#[test]
fn where_refresh_tokens_stay_and_are_not_spoken_of_no_session_is_lost() {
    prove(Rotation::Silent, "");
}

#[test]
fn where_spent_refresh_tokens_have_a_grace_no_session_is_lost() {
    prove(Rotation::Grace(30), "reuse_grace = \"30s\"");
}

#[test]
fn where_refresh_tokens_rotate_strictly_only_what_was_on_its_way_at_a_kill_is_lost() {
    prove(Rotation::Strict, "");
}

/// Nothing can be unsent. A provider that is short of time reads a request when who sent it is gone, and the next life has sent the
/// same refresh token once more: the oracle is not to take that for the deed of this one.
#[test]
fn what_a_killed_daemon_had_sent_is_not_held_against_its_next_life() {
    let host = Host::new(Rotation::Grace(30), "reuse_grace = \"30s\"", Pace::Together);
    let mut figures = Figures::default();
    let daemon = Daemon::start_command(&host.home, host.home.failpoint_command(&[]));
    *host.slots[0].lock().unwrap() = host.log_in(&mut Wire::connect(&host.home.socket())).unwrap();
    host.provider.fault("refresh_token", Fault::Unread);
    // When half of the life of its token is over.
    host.provider.wait_for("refresh_token", 1);
    daemon.kill();
    host.account(&mut figures, &Death::InTime, true);

    host.provider.client_restarted();
    let death = host.rest(&mut figures);
    host.provider.hear_out();
    host.check(&figures, None, &death);
}

/// As many kills at failpoints and as many faults, at hosts that have nothing to do with each other.
fn prove(rotation: Rotation, line: &str) {
    let mut random = extent::random();
    let (hosts, times) = (extent::times(2, 4), extent::times(26, 1_000));
    // A kill can cost one session for each refresh that is inside the window. Half of the hosts make one refresh at a time: there it
    // costs one at most.
    let pace = |host| if rotation == Rotation::Strict && host % 2 == 0 { Pace::OneByOne } else { Pace::Together };
    let all: Vec<_> = std::thread::scope(|scope| {
        let begin = |(host, seed): (usize, u64)| {
            let endure =
                move || Host::new(rotation, line, pace(host)).endure(times / hosts, &mut StdRng::seed_from_u64(seed));
            (pace(host), scope.spawn(endure))
        };
        let running: Vec<_> = (0..hosts).map(|host| begin((host, random.random()))).collect();
        let ended = running.into_iter().map(|(pace, host)| (pace, host.join().unwrap_or_else(|it| resume_unwind(it))));
        ended.collect()
    });
    for pace in [Pace::OneByOne, Pace::Together] {
        let of_pace = all.iter().filter(|(of, _)| *of == pace).map(|(_, figures)| figures.clone());
        let Some(sum) = of_pace.reduce(Figures::and) else { continue };
        println!("{rotation:?}, {pace:?}: {sum}");
        assert!(sum.refreshes >= sum.kills, "too few refreshes to prove anything");
        assert!(sum.lost_by_kill <= sum.inside, "more sessions were lost than refreshes were inside the window");
        assert!(pace == Pace::Together || sum.lost_by_kill <= sum.kills_inside, "a kill cost more than one session");
    }
}

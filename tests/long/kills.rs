//! SIGKILL at any moment of a life that writes: nothing acknowledged is lost, and nothing is there in part.

use std::sync::mpsc::channel;
use std::time::Duration;

use rand::Rng as _;

use super::extent;
use super::lives::{self, Life, SESSIONS};

/// From before the store is open to well into the load.
const LIFE: std::ops::Range<u64> = 5..400;

#[test]
fn no_acknowledged_write_is_lost_by_a_sigkill() {
    let course = extent::course(30, 1_000);
    let kills = course.len();
    let dir = tempfile::tempdir().unwrap();
    let (mut steps, mut acknowledged, mut cut_off) = (vec![0; SESSIONS], 0, 0);
    for (_, mut random) in course {
        let life = Life::begin(dir.path(), &steps);
        pause(random.random_range(LIFE));
        let heard = life.end();
        acknowledged += heard.len();
        let before: u64 = steps.iter().sum::<u64>() + heard.len() as u64;
        steps = lives::judge(dir.path(), steps, &heard);
        cut_off += steps.iter().sum::<u64>() - before;
    }
    println!(
        "{kills} kills, {acknowledged} acknowledged writes, none lost; {cut_off} more were on disk unacknowledged"
    );
    assert!(acknowledged >= kills * 5, "too few writes got through to prove anything: {acknowledged}");
}

/// Waits for a moment of which nobody else knows.
pub(crate) fn pause(milliseconds: u64) {
    let (_nobody, moment) = channel::<()>();
    let _ = moment.recv_timeout(Duration::from_millis(milliseconds));
}

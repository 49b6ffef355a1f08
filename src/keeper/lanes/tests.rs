//! Lanes: who is kept, when one comes to rest, and how often the agenda is read.

use super::*;
use crate::keeper::tests::Home;

#[test]
fn a_lane_that_is_full_keeps_those_that_are_needed_soonest_and_knows_that_there_are_others() {
    let mut lane = Lane::default();
    let session = |number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        SessionRef::from_random([d, c, b, a, 9])
    };
    for number in 0..1_000 {
        // In no order.
        let number = number * 7 % 1_000;
        lane.take_in(session(number), UnixSeconds(number.into()), 100);
        assert_eq!(lane.known.len(), lane.queue.len());
    }
    let kept: Vec<_> = lane.queue.iter().map(|(needed_by, _)| needed_by.0).collect();
    assert_eq!((kept, lane.left_some_out), ((0..100).collect(), true));
}

#[test]
fn the_whole_agenda_is_read_every_ten_seconds_or_for_a_tenth_of_the_time() {
    let seconds = Duration::from_secs;
    assert_eq!(next_lap(seconds(100), seconds(100)), seconds(110));
    assert_eq!(next_lap(seconds(100), seconds(130)), seconds(130 + 270));
}

#[tokio::test]
async fn a_lane_does_not_come_to_rest_with_somebody_in_it_who_need_not_wait() {
    let home = Home::new().await;
    let (keeper, name) = (&home.keeper, home.session().provider);
    keeper.lanes.take_in(&name, home.id, UnixSeconds(1));
    let is_running = || keeper.lanes.all().get(&name).map(|lane| lane.is_running);
    keeper.lanes.all().get_mut(&name).unwrap().is_running = true;
    let mut rest = Rest { keeper, name: &name, is_taken: false };
    assert!(!rest.take(true));
    assert_eq!(is_running(), Some(true));
    assert!(rest.take(false));
    assert_eq!(is_running(), Some(false), "it waits for the gate");
}

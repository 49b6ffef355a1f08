//! The relay against real sockets: late, deaf, vanishing and returning receivers.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use tokenkeeper_protocol::UnixSeconds;

use super::*;
use crate::audit::{Event, What};

/// Longer than anything here takes, so that a fault fails a test instead of hanging it.
const LONG: Duration = Duration::from_secs(20);

/// An outbox in memory that can tell when it was read or emptied.
#[derive(Default)]
struct Memory {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<(u64, Event)>,
    added: u64,
    reads: u64,
    refusals: u32,
}

impl Memory {
    /// Adds events whose field `why` is their number, from 1.
    fn add(&self, count: u64) {
        let mut state = self.state.lock().unwrap();
        for _ in 0..count {
            state.added += 1;
            let number = state.added;
            let what = What::ConfigRefused { why: format!("no. {number}") };
            state.events.push_back((number, Event { at: UnixSeconds(0), what }));
        }
    }

    /// Lets the next so many removals fail.
    fn refuse_removals(&self, count: u32) {
        self.state.lock().unwrap().refusals = count;
    }

    fn wait_until(&self, holds: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, LONG, |state| !holds(state)).unwrap();
        assert!(holds(&state), "waited in vain; {} events wait", state.events.len());
    }

    /// Waits until the relay has failed: it reads again only after its first try.
    fn wait_for_another_try(&self) {
        let before = self.state.lock().unwrap().reads;
        self.wait_until(|state| state.reads >= before + 2);
    }
}

impl Outbox for Memory {
    fn pending(&self, limit: usize) -> Result<Vec<(u64, Event)>, OutboxError> {
        let mut state = self.state.lock().unwrap();
        state.reads += 1;
        self.changed.notify_all();
        Ok(state.events.iter().take(limit).cloned().collect())
    }

    fn delivered(&self, sequences: &[u64]) -> Result<(), OutboxError> {
        let mut state = self.state.lock().unwrap();
        if state.refusals > 0 {
            state.refusals -= 1;
            return Err(OutboxError::new("the disk is full"));
        }
        state.events.retain(|(number, _)| !sequences.contains(number));
        self.changed.notify_all();
        Ok(())
    }
}

fn socket_path() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    (directory, path)
}

fn bind(path: &PathBuf) -> UnixDatagram {
    let receiver = UnixDatagram::bind(path).unwrap();
    receiver.set_read_timeout(Some(LONG)).unwrap();
    receiver
}

fn datagram(receive: impl Fn(&mut [u8]) -> std::io::Result<usize>) -> String {
    let mut buffer = [0; 4096];
    let length = receive(&mut buffer).expect("a record comes");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn assert_is_number(record: &str, number: u64) {
    assert!(record.contains(&format!("why=\"no. {number}\"")), "expected no. {number}, got {record}");
}

fn assert_numbers(receiver: &UnixDatagram, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        assert_is_number(&datagram(|buffer| receiver.recv(buffer)), number);
    }
}

fn assert_nothing_more(receiver: &UnixDatagram) {
    receiver.set_nonblocking(true).unwrap();
    assert_eq!(receiver.recv(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "a record came twice");
}

#[test]
fn a_receiver_that_comes_late_gets_everything_in_order_and_once() {
    let (_directory, path) = socket_path();
    let outbox = Arc::new(Memory::default());
    outbox.add(150);
    let relay = Relay::start(outbox.clone(), AuditTarget::Local(path.clone())).unwrap();
    outbox.wait_for_another_try();
    let fault = relay.fault().expect("it says why");
    assert!(fault.contains(path.to_str().unwrap()) && fault.contains("No such file"), "{fault}");

    let receiver = bind(&path);
    assert_numbers(&receiver, 1..=150);
    outbox.add(1);
    relay.waker().wake();
    assert_numbers(&receiver, 151..=151);
    outbox.wait_until(|state| state.events.is_empty());
    assert!(relay.finish(LONG));
    assert_nothing_more(&receiver);
}

#[test]
fn a_receiver_that_is_replaced_gets_what_its_predecessor_did_not() {
    let (_directory, path) = socket_path();
    let outbox = Arc::new(Memory::default());
    outbox.add(3);
    let first = bind(&path);
    let relay = Relay::start(outbox.clone(), AuditTarget::Local(path.clone())).unwrap();
    assert_numbers(&first, 1..=3);
    outbox.wait_until(|state| state.events.is_empty());
    drop(first);
    std::fs::remove_file(&path).unwrap();
    outbox.add(3);
    relay.wake();
    outbox.wait_for_another_try();

    let second = bind(&path);
    assert_numbers(&second, 4..=6);
    assert!(relay.finish(LONG));
}

#[test]
fn a_receiver_that_does_not_read_loses_nothing() {
    let (_directory, path) = socket_path();
    let receiver = bind(&path);
    let outbox = Arc::new(Memory::default());
    outbox.add(2000);
    let relay = Relay::start(outbox.clone(), AuditTarget::Local(path)).unwrap();
    // The queue is full once a try has ended with events left: the next read then begins where the last one stopped.
    outbox.wait_until(|state| state.events.len() < 2000 && state.reads > (2000 - state.events.len() as u64) / 64 + 2);
    assert!(relay.fault().is_some(), "it says why");
    assert_numbers(&receiver, 1..=2000);
    assert!(relay.finish(LONG));
    assert_nothing_more(&receiver);
}

#[test]
fn what_was_sent_is_not_sent_again_when_the_outbox_cannot_be_written() {
    let (_directory, path) = socket_path();
    let receiver = bind(&path);
    let outbox = Arc::new(Memory::default());
    outbox.add(100);
    outbox.refuse_removals(2);
    let relay = Relay::start(outbox.clone(), AuditTarget::Local(path)).unwrap();
    assert_numbers(&receiver, 1..=100);
    assert!(relay.finish(LONG));
    assert_nothing_more(&receiver);
}

#[test]
fn a_new_target_gets_what_the_old_one_did_not_take() {
    let (_directory, path) = socket_path();
    let outbox = Arc::new(Memory::default());
    outbox.add(5);
    let relay = Relay::start(outbox.clone(), AuditTarget::Local("/nonexistent/log".into())).unwrap();
    outbox.wait_for_another_try();
    let receiver = bind(&path);
    relay.retarget(AuditTarget::UnixDatagram(path));
    let record = datagram(|buffer| receiver.recv(buffer));
    assert!(record.starts_with("<84>1 "), "the form of the new target: {record}");
    assert_numbers(&receiver, 2..=5);
    assert!(relay.finish(LONG));
}

#[test]
fn an_idle_relay_does_not_read_the_outbox_over_and_over() {
    let (_directory, path) = socket_path();
    let receiver = bind(&path);
    let outbox = Arc::new(Memory::default());
    let relay = Relay::start(outbox.clone(), AuditTarget::Local(path)).unwrap();
    for _ in 0..3 {
        outbox.add(1);
        relay.wake();
        datagram(|buffer| receiver.recv(buffer));
    }
    assert!(relay.finish(LONG));
    // Each round that sends is followed by one that finds nothing; one more at each end.
    let reads = outbox.state.lock().unwrap().reads;
    assert!(reads <= 3 * 2 + 2, "{reads} reads");
}

#[test]
fn finishing_without_a_receiver_ends_in_time_and_keeps_the_events() {
    let outbox = Arc::new(Memory::default());
    outbox.add(1);
    let relay = Relay::start(outbox.clone(), AuditTarget::Local("/nonexistent/log".into())).unwrap();
    assert!(!relay.finish(Duration::from_millis(50)));
    assert_eq!(outbox.state.lock().unwrap().events.len(), 1);
}

#[test]
fn a_relay_that_is_dropped_has_let_go_of_the_outbox() {
    for finished_first in [false, true] {
        let outbox = Arc::new(Memory::default());
        outbox.add(1);
        let relay = Relay::start(outbox.clone(), AuditTarget::Local("/nonexistent/log".into())).unwrap();
        outbox.wait_for_another_try();
        assert!(!finished_first || !relay.finish(Duration::ZERO));
        drop(relay);
        assert_eq!(Arc::strong_count(&outbox), 1);
    }
}

#[test]
fn udp_takes_one_record_in_each_datagram() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(LONG)).unwrap();
    let outbox = Arc::new(Memory::default());
    outbox.add(20);
    let target = AuditTarget::Udp(receiver.local_addr().unwrap().to_string());
    let relay = Relay::start(outbox, target).unwrap();
    for number in 1..=20 {
        let record = datagram(|buffer| receiver.recv(buffer));
        assert!(record.starts_with("<84>1 "), "{record}");
        assert_is_number(&record, number);
    }
    assert!(relay.finish(LONG));
}

#[test]
fn tcp_counts_octets_and_outlives_its_receiver() {
    fn frame(stream: &mut impl BufRead) -> String {
        let mut length = Vec::new();
        stream.read_until(b' ', &mut length).unwrap();
        let length: usize = String::from_utf8(length).unwrap().trim_end().parse().expect("an octet count");
        let mut record = vec![0; length];
        stream.read_exact(&mut record).unwrap();
        String::from_utf8(record).unwrap()
    }
    let accept = |listener: &TcpListener| {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        BufReader::new(stream)
    };

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let outbox = Arc::new(Memory::default());
    outbox.add(100);
    let target = AuditTarget::Tcp(listener.local_addr().unwrap().to_string());
    let relay = Relay::start(outbox.clone(), target).unwrap();
    let mut stream = accept(&listener);
    for number in 1..=100 {
        let record = frame(&mut stream);
        assert!(record.starts_with("<84>1 "), "{record}");
        assert_is_number(&record, number);
    }
    outbox.wait_until(|state| state.events.is_empty());
    drop(stream);

    outbox.add(100);
    relay.wake();
    let mut stream = accept(&listener);
    for number in 101..=200 {
        assert_is_number(&frame(&mut stream), number);
    }
    assert!(relay.finish(LONG));
}

//! RocksDB's log format, as far as it takes to tell a log that the power cut short from one that is damaged.
//!
//! A log is blocks, blocks hold fragments, and fragments make up records (`db/log_format.h` of RocksDB). A record is one batch, and
//! is on the disk before the next is written: so the power can tear the last one only, and what it tears off is missing, or reads as
//! zeros where the file had grown and its content had not yet arrived. Whatever else is wrong with a log is damage.

use std::io::{self, Read};
use std::ops::Range;

/// No fragment goes beyond the end of one.
const BLOCK: usize = 32 * 1024;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Checksum, u32; length, u16; kind, u8; all little-endian.
const HEADER: usize = 7;

/// What a log is like.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// Whole records, and nothing else.
    Whole,
    /// So many bytes of whole records, and behind them one that was not written to its end.
    Torn(u64),
    /// What stands at this byte was never written like that.
    Damaged(u64),
    /// At this byte stands something that this version cannot read.
    Unknown(u64),
}

/// Reads a log.
pub(super) fn judge(mut log: impl Read) -> io::Result<Log> {
    let (mut walk, mut block) = (Walk::default(), Vec::with_capacity(BLOCK));
    while log.by_ref().take(BLOCK as u64).read_to_end(&mut block)? > 0 {
        walk.go_through(&block);
        block.clear();
    }
    Ok(walk.verdict())
}

/// How far a log was read.
#[derive(Default)]
struct Walk {
    /// Where the next block begins.
    at: u64,
    /// Up to here there are whole records.
    whole: u64,
    /// A record has begun behind that.
    is_open: bool,
    wrong: Option<Wrong>,
}

/// The first thing in a log that is not as it should be, and what is behind it.
struct Wrong {
    at: u64,
    is_known_kind: bool,
    /// A part of it is missing, or reads as zeros.
    is_in_part: bool,
    is_followed_by_a_record: bool,
}

impl Walk {
    fn go_through(&mut self, block: &[u8]) {
        let mut from = 0;
        while self.wrong.is_none() && from < block.len() {
            if BLOCK - from < HEADER {
                // Too little for a fragment: nothing stands there.
                from = block.len();
                break;
            }
            match Fragment::read(&block[from..]).filter(|fragment| fragment.continues() == self.is_open) {
                Some(fragment) => {
                    from += fragment.size;
                    self.is_open = !fragment.ends();
                    if fragment.ends() {
                        self.whole = self.at + from as u64;
                    }
                }
                None => self.wrong = Some(Wrong::new(self.at + from as u64, &block[from..], block.len() < BLOCK)),
            }
        }
        if let Some(wrong) = &mut self.wrong {
            wrong.look_behind(block, from);
        }
        self.at += block.len() as u64;
    }

    fn verdict(self) -> Log {
        match self.wrong {
            None if self.is_open => Log::Torn(self.whole),
            None => Log::Whole,
            Some(wrong) if !wrong.is_known_kind => Log::Unknown(wrong.at),
            Some(wrong) if wrong.is_torn() => Log::Torn(self.whole),
            Some(wrong) => Log::Damaged(wrong.at),
        }
    }
}

impl Wrong {
    /// With what is left of its block, which may be the one that the log ends in.
    fn new(at: u64, rest: &[u8], is_last: bool) -> Self {
        let length = rest.get(4..6).map_or(0, |length| usize::from(u16::from_le_bytes([length[0], length[1]])));
        Self {
            at,
            is_known_kind: rest.get(6).is_none_or(|kind| *kind <= LAST),
            is_in_part: is_last && HEADER + length > rest.len(),
            is_followed_by_a_record: false,
        }
    }

    /// Goes through the block that it is in, from where it is, and through all that follow.
    fn look_behind(&mut self, block: &[u8], from: usize) {
        let sectors = (0..block.len()).step_by(SECTOR).map(|start| start.max(from)..block.len().min(start + SECTOR));
        let is_zero = |sector: Range<usize>| !sector.is_empty() && block[sector].iter().all(|byte| *byte == 0);
        self.is_in_part |= sectors.into_iter().any(is_zero);
        let mut fragments = (from..block.len()).filter_map(|place| Fragment::read(&block[place..]));
        self.is_followed_by_a_record |= fragments.any(|fragment| !fragment.continues());
    }

    fn is_torn(&self) -> bool {
        self.is_in_part && !self.is_followed_by_a_record
    }
}

/// The kinds of fragments; of the one between, a record begins with it and does not end.
const FULL: u8 = 1;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// A piece of a record that is as it was written.
struct Fragment {
    kind: u8,
    /// With its header.
    size: usize,
}

impl Fragment {
    /// The one that `bytes` begin with.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER>()?;
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        let size = HEADER + usize::from(u16::from_le_bytes([l0, l1]));
        if !(FULL..=LAST).contains(&kind) {
            return None;
        }
        // The checksum is of the kind and what follows it.
        let is_good = u32::from_le_bytes([c0, c1, c2, c3]) == mask(crc32c(bytes.get(HEADER - 1..size)?));
        is_good.then_some(Self { kind, size })
    }

    fn continues(&self) -> bool {
        [MIDDLE, LAST].contains(&self.kind)
    }

    fn ends(&self) -> bool {
        [FULL, LAST].contains(&self.kind)
    }
}

/// RocksDB stores no checksum as it is (`util/crc32c.h`).
fn mask(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The checksum of RFC 3720, appendix B.4, which is the one of RocksDB.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| (sum >> 8) ^ CHECKSUMS[usize::from(sum.to_le_bytes()[0] ^ byte)])
}

/// The checksums of all bytes.
const CHECKSUMS: [u32; 256] = {
    let mut table = [0; 256];
    let mut number = 0_u32;
    while number < 256 {
        let (mut sum, mut bit) = (number, 0);
        while bit < 8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 * (sum & 1));
            bit += 1;
        }
        table[number as usize] = sum;
        number += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{Batch, RocksStore, Store as _, Table};

    /// The log of a store that was written to three times, and where the records of these end: in one block, over three, in one.
    fn log() -> (Vec<u8>, [usize; 3]) {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(dir.path()).unwrap();
        let log = super::super::mend::logs(dir.path()).unwrap().pop().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ends = [("a", 1_000), ("b", 70_000), ("c", 5_000)].map(|(key, size)| {
            let mut batch = Batch::default();
            batch.put(Table::Sessions, key, 0, vec![0x5a; size]);
            runtime.block_on(store.write_if(batch)).unwrap();
            fs::read(&log).unwrap().len()
        });
        (fs::read(&log).unwrap(), ends)
    }

    /// The end of the last record that is whole up to `place`.
    fn whole(ends: [usize; 3], place: usize) -> u64 {
        ends.into_iter().filter(|end| *end <= place).max().unwrap() as u64
    }

    #[test]
    fn the_checksum_is_the_one_of_its_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_log_as_it_was_written_is_whole_and_so_is_an_empty_one() {
        assert_eq!(judge(&log().0[..]).unwrap(), Log::Whole);
        assert_eq!(judge(&[][..]).unwrap(), Log::Whole);
    }

    #[test]
    fn a_log_that_ends_within_its_last_record_is_torn_behind_the_one_before() {
        let (log, ends) = log();
        for place in (ends[0]..log.len()).step_by(97).filter(|place| !ends.contains(place)) {
            assert_eq!(judge(&log[..place]).unwrap(), Log::Torn(whole(ends, place)), "{place}");
        }
    }

    #[test]
    fn a_last_record_of_which_sectors_read_as_zeros_is_torn_off() {
        let (log, ends) = log();
        for (begin, end) in [(ends[0], ends[1]), (ends[1], ends[2])] {
            for sector in (begin - begin % SECTOR..end).step_by(SECTOR) {
                let (from, to) = (sector.max(begin), end.min(sector + SECTOR));
                let (mut behind, mut alone) = (log[..end].to_vec(), log[..end].to_vec());
                behind[from..].fill(0);
                alone[from..to].fill(0);
                if behind == log[..end] {
                    // The record ends in zeros.
                    continue;
                }
                assert_eq!(judge(&behind[..]).unwrap(), Log::Torn(begin as u64), "from {from}");
                assert_eq!(judge(&alone[..]).unwrap(), Log::Torn(begin as u64), "{from} to {to}");
            }
        }
    }

    #[test]
    fn sectors_that_read_as_zeros_before_the_last_record_are_damage() {
        let (mut log, ends) = log();
        for sector in (0..ends[1] - SECTOR).step_by(SECTOR) {
            let before = log[sector..sector + SECTOR].to_vec();
            log[sector..sector + SECTOR].fill(0);
            assert!(matches!(judge(&log[..]).unwrap(), Log::Damaged(_)), "{sector}");
            log[sector..sector + SECTOR].copy_from_slice(&before);
        }
    }

    #[test]
    fn a_flipped_bit_is_never_taken_for_a_record_that_was_cut_short() {
        let (mut log, ends) = log();
        // A length that leads out of the log looks like a log that ends early, and a kind may be one of a later version.
        let is_header = |place: usize| (ends[1]..ends[1] + HEADER).contains(&place) || place % BLOCK < HEADER;
        for place in (0..log.len()).step_by(331).filter(|place| !is_header(*place)) {
            log[place] ^= 1;
            assert!(matches!(judge(&log[..]).unwrap(), Log::Damaged(_) | Log::Unknown(_)), "{place}");
            log[place] ^= 1;
        }
    }

    #[test]
    fn a_record_of_an_unknown_kind_is_not_judged() {
        let (mut log, ends) = log();
        log[ends[1] + 6] = 9;
        assert_eq!(judge(&log[..]).unwrap(), Log::Unknown(ends[1] as u64));
    }
}

//! Bytes on their way in: cut into frames, never more than one frame beyond what was handled, wiped when done.

use tokenkeeper_protocol::frame::{FrameTooLong, HEADER_LEN, HELLO_LEN, Header, MAX_PAYLOAD};
use zeroize::{Zeroize, Zeroizing};

/// The largest number of bytes that wait to be handled.
const CAPACITY: usize = HEADER_LEN + MAX_PAYLOAD;
/// What a connection starts with; most requests are under a hundred bytes.
const FIRST_CAPACITY: usize = 1024;

/// A buffer of received bytes.
pub(super) struct Input {
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
    handled: usize,
}

impl Input {
    pub(super) fn new() -> Self {
        Self { bytes: Zeroizing::new(vec![0; FIRST_CAPACITY]), filled: 0, handled: 0 }
    }

    /// The hello, once it is there.
    pub(super) fn hello(&mut self) -> Option<[u8; HELLO_LEN]> {
        let hello = self.waiting().first_chunk().copied()?;
        self.handled += HELLO_LEN;
        Some(hello)
    }

    /// The next frame, once it is there whole.
    pub(super) fn frame(&mut self) -> Result<Option<(Header, &[u8])>, FrameTooLong> {
        let Some(header) = self.waiting().first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let header = Header::from_bytes(*header)?;
        let length = HEADER_LEN + header.length as usize;
        if self.waiting().len() < length {
            return Ok(None);
        }
        let start = self.handled;
        self.handled += length;
        Ok(Some((header, &self.bytes[start + HEADER_LEN..start + length])))
    }

    /// Whether the beginning of a frame is waiting for its end.
    pub(super) fn is_partial(&self) -> bool {
        !self.waiting().is_empty()
    }

    /// Room for more bytes; call [`Input::received`] with how many came.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes[..self.handled].zeroize();
        self.bytes.copy_within(self.handled..self.filled, 0);
        self.filled -= self.handled;
        self.handled = 0;
        if self.filled == self.bytes.len() && self.filled < CAPACITY {
            let mut larger = Zeroizing::new(vec![0; CAPACITY]);
            larger[..self.filled].copy_from_slice(&self.bytes[..self.filled]);
            self.bytes = larger;
        }
        let filled = self.filled;
        &mut self.bytes[filled..]
    }

    pub(super) fn received(&mut self, count: usize) {
        self.filled += count;
    }

    fn waiting(&self) -> &[u8] {
        &self.bytes[self.handled..self.filled]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(input: &mut Input, mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut seen = Vec::new();
        while !bytes.is_empty() {
            let room = input.room();
            let count = room.len().min(bytes.len());
            assert!(count > 0, "no room is left for a frame that is not whole");
            room[..count].copy_from_slice(&bytes[..count]);
            input.received(count);
            bytes = &bytes[count..];
            while let Ok(Some((header, payload))) = input.frame() {
                seen.push((header.id, payload.to_vec()));
            }
        }
        seen
    }

    fn frame(id: u64, payload: &[u8]) -> Vec<u8> {
        let header = Header { length: u32::try_from(payload.len()).unwrap(), kind: 1, flags: 0, id };
        [&header.to_bytes()[..], payload].concat()
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let (first, second) = (vec![7; 3000], vec![9; MAX_PAYLOAD]);
        let stream = [frame(1, &first), frame(2, &second), frame(3, b"")].concat();
        for cut in [1, 15, 16, 17, 3000, 3016, 3040] {
            let mut input = Input::new();
            let mut seen = Vec::new();
            for piece in stream.chunks(cut) {
                seen.extend(feed(&mut input, piece));
            }
            assert_eq!(seen, [(1, first.clone()), (2, second.clone()), (3, Vec::new())]);
            assert!(!input.is_partial());
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_is_read() {
        let mut input = Input::new();
        feed(&mut input, &Header { length: u32::MAX, kind: 1, flags: 0, id: 5 }.to_bytes());
        assert_eq!(input.frame().err(), Some(FrameTooLong { length: u32::MAX, id: 5 }));
    }
}

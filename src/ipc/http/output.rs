//! A buffer for what may hold a token: it grows without leaving copies behind, and is wiped when it was sent.

use std::io;

use hyper::body::Bytes;
use zeroize::Zeroizing;

/// A text on its way out.
pub(super) struct Output(Zeroizing<Vec<u8>>);

impl Output {
    /// With room for about so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    /// What was written; wiped when the last of its owners lets go of it.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if self.0.capacity() < needed {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_comes_out_is_what_was_written_however_much_it_is() {
        let mut output = Output::with_capacity(1);
        for _ in 0..100 {
            output.write_all(b"abc").unwrap();
        }
        assert_eq!(output.into_bytes(), "abc".repeat(100));
    }
}

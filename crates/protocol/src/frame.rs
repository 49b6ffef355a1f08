//! The outermost layer of the native protocol: a hello of fixed bytes, then frames of a fixed header and a payload.
//!
//! ```text
//! hello   "tkpr" | major u16 | minor u16                      8 bytes, each side once, the client first
//! header  length u32 | type u16 | flags u16 | id u64         16 bytes, little-endian
//! payload length bytes, at most 65,536
//! ```

/// Length of a hello.
pub const HELLO_LEN: usize = 8;
/// Length of a frame header.
pub const HEADER_LEN: usize = 16;
/// The longest payload: room for an access token of 16 KiB or an ID token of 32 KiB, and small enough to allocate for a stranger.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// Set in a header when more frames with the same id follow.
pub const FLAG_MORE: u16 = 1;

const MAGIC: [u8; 4] = *b"tkpr";

/// The version of the protocol that a side speaks. Sides with the same `major` understand each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Raised when frames change.
    pub major: u16,
    /// Raised when types are added.
    pub minor: u16,
}

impl Version {
    /// What this version of the crate speaks.
    pub const CURRENT: Self = Self { major: 1, minor: 0 };

    /// The hello that says so.
    pub fn hello(self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.major.to_le_bytes());
        bytes[6..].copy_from_slice(&self.minor.to_le_bytes());
        bytes
    }

    /// The version that a hello announces; nothing if the other side speaks something else altogether.
    pub fn from_hello([m0, m1, m2, m3, a, b, c, d]: [u8; HELLO_LEN]) -> Option<Self> {
        let version = Self { major: u16::from_le_bytes([a, b]), minor: u16::from_le_bytes([c, d]) };
        ([m0, m1, m2, m3] == MAGIC).then_some(version)
    }
}

/// What precedes every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload that follow.
    pub length: u32,
    /// What the payload is.
    pub kind: u16,
    /// [`FLAG_MORE`]; other bits are zero and ignored.
    pub flags: u16,
    /// Chosen by the client; the reply carries it back. Replies may come in another order than requests.
    pub id: u64,
}

/// A header that announces more than [`MAX_PAYLOAD`]: the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes; at most {MAX_PAYLOAD} are accepted")]
pub struct FrameTooLong {
    /// What it announced.
    pub length: u32,
    /// The request it belongs to.
    pub id: u64,
}

impl Header {
    /// The bytes of the header.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.kind.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.flags.to_le_bytes());
        bytes[8..].copy_from_slice(&self.id.to_le_bytes());
        bytes
    }

    /// The header in these bytes, checked before anything is allocated for its payload.
    pub fn from_bytes(bytes: [u8; HEADER_LEN]) -> Result<Self, FrameTooLong> {
        let [l0, l1, l2, l3, k0, k1, f0, f1, id @ ..] = bytes;
        let header = Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            kind: u16::from_le_bytes([k0, k1]),
            flags: u16::from_le_bytes([f0, f1]),
            id: u64::from_le_bytes(id),
        };
        if header.length as usize > MAX_PAYLOAD {
            return Err(FrameTooLong { length: header.length, id: header.id });
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hello_is_these_bytes() {
        assert_eq!(Version { major: 1, minor: 2 }.hello(), *b"tkpr\x01\0\x02\0");
        assert_eq!(Version::from_hello(*b"tkpr\x01\0\x02\0"), Some(Version { major: 1, minor: 2 }));
        assert_eq!(Version::from_hello(*b"GET / HT"), None);
    }

    #[test]
    fn the_header_is_these_bytes() {
        let header = Header { length: 0x0102, kind: 0x8001, flags: FLAG_MORE, id: 7 };
        let bytes = [2, 1, 0, 0, 1, 0x80, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(header.to_bytes(), bytes);
        assert_eq!(Header::from_bytes(bytes), Ok(header));
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_header() {
        let longest = Header { length: 65_536, kind: 1, flags: 0, id: 9 };
        assert_eq!(Header::from_bytes(longest.to_bytes()), Ok(longest));
        let header = Header { length: 65_537, ..longest };
        assert_eq!(Header::from_bytes(header.to_bytes()), Err(FrameTooLong { length: 65_537, id: 9 }));
    }
}

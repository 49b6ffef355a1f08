//! What a stranger can send: every wrong payload is an error that says which kind of wrong, and none is a panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use tokenkeeper_protocol::codec::CodecError;
use tokenkeeper_protocol::frame::{Header, MAX_PAYLOAD};
use tokenkeeper_protocol::reply::TokenReply;
use tokenkeeper_protocol::request::{LoginComplete, SessionsRequest};
use tokenkeeper_protocol::{LoginId, Reply, Request, UnixSeconds};

const REQUESTS: std::ops::RangeInclusive<u16> = 0x0001..=0x0019;
const REPLIES: [u16; 24] = [
    0x8001, 0x8002, 0x8003, 0x8004, 0x8005, 0x8006, 0x8007, 0x8008, 0x8009, 0x800a, 0x800b, 0x800c, 0x800d, 0x800e,
    0x8011, 0x8012, 0x8013, 0x8014, 0x8015, 0x8016, 0x8017, 0x8018, 0x8019, 0xffff,
];

#[test]
fn an_unknown_type_is_told_apart_from_a_malformed_payload() {
    let known = |kind: &u16| Request::decode(*kind, &[0xff; 7]) != Err(CodecError::UnknownType(*kind));
    assert!((0..=u16::MAX).filter(known).eq(REQUESTS));
    let known = |kind: &u16| Reply::decode(*kind, &[0xff; 7]) != Err(CodecError::UnknownType(*kind));
    assert!((0..=u16::MAX).filter(known).eq(REPLIES));
    for kind in [0x0000, 0x7000, 0x7fff, 0x8001] {
        assert_eq!(Request::decode(kind, &[]), Err(CodecError::UnknownType(kind)));
    }
    for kind in [0x0000, 0x0001, 0x8000, 0x800f, 0xfffe] {
        assert_eq!(Reply::decode(kind, &[]), Err(CodecError::UnknownType(kind)));
    }
}

#[test]
fn a_payload_with_something_behind_its_end_is_malformed() {
    let requests = [Request::Status, Request::Sessions(SessionsRequest::default()), completion("code=x".to_owned())];
    for request in requests {
        let (kind, mut bytes) = request.encode().unwrap();
        bytes.push(0);
        assert_eq!(Request::decode(kind, &bytes), Err(CodecError::Malformed(kind)));
    }
}

#[test]
fn a_payload_cut_anywhere_is_malformed() {
    let (kind, bytes) = completion("code=x".to_owned()).encode().unwrap();
    for end in 0..bytes.len() {
        assert_eq!(Request::decode(kind, &bytes[..end]), Err(CodecError::Malformed(kind)), "cut at {end}");
    }
    let (kind, bytes) = token("secret".to_owned()).encode().unwrap();
    for end in 0..bytes.len() {
        assert_eq!(Reply::decode(kind, &bytes[..end]), Err(CodecError::Malformed(kind)), "cut at {end}");
    }
}

#[test]
fn the_longest_message_fits_exactly_and_one_byte_more_does_not() {
    // Beside the query: 16 bytes of login id and 8 of length.
    let longest = completion("q".repeat(MAX_PAYLOAD - 24));
    let (kind, bytes) = longest.encode().unwrap();
    assert_eq!(bytes.len(), MAX_PAYLOAD);
    assert_eq!(Request::decode(kind, &bytes), Ok(longest));
    let longer = completion("q".repeat(MAX_PAYLOAD - 23));
    assert_eq!(longer.encode(), Err(CodecError::TooLarge(kind)));
    assert_eq!(token("t".repeat(MAX_PAYLOAD)).encode(), Err(CodecError::TooLarge(0x8001)));
}

#[test]
fn a_length_that_lies_is_malformed_and_nothing_is_allocated_for_it() {
    let mut bytes = vec![0; 16];
    bytes.extend_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(Request::decode(0x0003, &bytes), Err(CodecError::Malformed(0x0003)));
    let mut page = u64::MAX.to_le_bytes().to_vec();
    page.push(0);
    assert_eq!(Reply::decode(0x8004, &page), Err(CodecError::Malformed(0x8004)));
}

#[test]
fn names_that_are_not_well_formed_do_not_decode() {
    let sessions_at = |provider: &[u8]| {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&(provider.len() as u64).to_le_bytes());
        bytes.extend_from_slice(provider);
        bytes.extend_from_slice(&[0, 0]);
        Request::decode(0x0004, &bytes)
    };
    assert!(sessions_at(b"corp").is_ok());
    for wrong in [b"".as_slice(), b"Corp", b"../x", b"\xff\xfe"] {
        assert_eq!(sessions_at(wrong), Err(CodecError::Malformed(0x0004)), "{wrong:?}");
    }
    assert_eq!(Request::decode(0x0005, b"7k3vq2mu"), Err(CodecError::Malformed(0x0005)));
    assert_eq!(Request::decode(0x0005, b"7K3VQ2MX"), Err(CodecError::Malformed(0x0005)));
}

#[test]
fn ten_thousand_random_payloads_decode_or_fail_and_what_decodes_encodes_again() {
    let mut random = Random(0x7067_6a6b);
    for _ in 0..10_000 {
        let length = usize::try_from(random.next() % 96).unwrap();
        // Small bytes now and then, so that lengths and variants are met that make sense.
        let mask = if random.next().is_multiple_of(2) { 0xff } else { 0x03 };
        let bytes: Vec<u8> = (0..length).map(|_| random.byte() & mask).collect();
        for kind in REQUESTS {
            if let Ok(request) = Request::decode(kind, &bytes) {
                let (again, encoded) = request.encode().unwrap();
                assert_eq!((again, encoded.as_slice()), (kind, bytes.as_slice()));
            }
        }
        for kind in REPLIES {
            if let Ok(reply) = Reply::decode(kind, &bytes) {
                let (again, encoded) = reply.encode().unwrap();
                assert_eq!((again, encoded.as_slice()), (kind, bytes.as_slice()));
            }
        }
    }
}

#[test]
fn ten_thousand_random_headers_are_read_or_refused_by_their_length_alone() {
    let mut random = Random(0x1234_5678);
    for _ in 0..10_000 {
        let mut bytes: [u8; 16] = std::array::from_fn(|_| random.byte());
        if random.next().is_multiple_of(2) {
            bytes[2..4].fill(0);
        }
        let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        match Header::from_bytes(bytes) {
            Ok(header) => assert_eq!(header.to_bytes(), bytes),
            Err(refused) => assert_eq!(refused.length, length),
        }
        assert_eq!(Header::from_bytes(bytes).is_ok(), length <= 65_536);
    }
}

fn completion(query: String) -> Request {
    Request::LoginComplete(LoginComplete { login_id: LoginId::from_random([7; 16]), callback_query: query.into() })
}

fn token(token: String) -> Reply {
    Reply::Token(TokenReply {
        session: "7k3vq2mx".parse().unwrap(),
        access_token: token.into(),
        token_type: "Bearer".to_owned(),
        expires_at: UnixSeconds(0),
        scope: String::new(),
    })
}

/// The same sequence on every machine: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

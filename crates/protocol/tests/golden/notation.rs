//! The notation of golden bytes: hexadecimal, with ASCII text in double quotes; blanks separate fields.

use tokenkeeper_protocol::{LoginId, Reply, Request, SessionRef, UnixSeconds};

/// 1,700,000,000 seconds: 2023-11-14T22:13:20Z.
pub(crate) const EVENING: &str = "00f1536500000000";
pub(crate) const AT: UnixSeconds = UnixSeconds(1_700_000_000);

pub(crate) fn session() -> SessionRef {
    "7k3vq2mx".parse().unwrap()
}

pub(crate) fn login_id() -> LoginId {
    LoginId::from_random(std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

pub(crate) fn pin_request(request: Request, kind: u16, golden: &str) {
    let encoded = request.encode().unwrap();
    assert_eq!((encoded.0, hex(&encoded.1)), (kind, hex(&bytes(golden))));
    assert_eq!(Request::decode(kind, &bytes(golden)), Ok(request));
}

pub(crate) fn pin_reply(reply: Reply, kind: u16, golden: &str) {
    let encoded = reply.encode().unwrap();
    assert_eq!((encoded.0, hex(&encoded.1)), (kind, hex(&bytes(golden))));
    assert_eq!(Reply::decode(kind, &bytes(golden)), Ok(reply));
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// The bytes that the notation of this file stands for.
pub(crate) fn bytes(golden: &str) -> Vec<u8> {
    let mut parts = golden.split('"').enumerate();
    parts
        .try_fold(Vec::new(), |mut all, (index, part)| {
            if index % 2 == 1 {
                all.extend_from_slice(part.as_bytes());
            } else {
                let digits: String = part.split_whitespace().collect();
                all.extend(data_encoding::HEXLOWER.decode(digits.as_bytes())?);
            }
            Ok::<_, data_encoding::DecodeError>(all)
        })
        .unwrap()
}

//! Names of things, checked once when they are read: whoever holds one knows that it is well formed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Crockford's base 32 in lower case: no letter that is mistaken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Why a text is not the name it should be. The message says what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not a [`SessionRef`].
    #[error("a session reference is 8 letters and digits, such as 7k3vq2mx")]
    SessionRef,
    /// Not a [`LoginId`].
    #[error("a login id is the 26 letters and digits that the begin of the login answered")]
    LoginId,
    /// Not a [`ProviderName`].
    #[error("a provider name is 1 to 64 of a-z, 0-9, '-' and '_', and begins with a letter or digit")]
    ProviderName,
    /// Not an [`AccountName`].
    #[error("the name of a service account is 1 to 64 of a-z, 0-9, '-' and '_', and begins with a letter or digit")]
    AccountName,
    /// Not a [`UserName`].
    #[error("a user name is 1 to 256 bytes without control characters")]
    UserName,
}

/// What people, audit records and requests call a session. Short, not secret, and no capability: knowing it grants nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionRef([u8; 8]);

/// As its characters: in a format for people a text, in any other the bare bytes.
impl Serialize for SessionRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.as_str())
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for SessionRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(D::Error::custom);
        }
        Self::try_from(<[u8; 8]>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl SessionRef {
    /// A reference from 40 random bits.
    pub fn from_random(random: [u8; 5]) -> Self {
        Self(base32(&random))
    }

    /// The eight ASCII characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The same, as the key of the store.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl FromStr for SessionRef {
    type Err = InvalidId;

    /// Reads what a person typed: case does not matter, `o` is 0, `i` and `l` are 1.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        forgiving(text).map(Self).ok_or(InvalidId::SessionRef)
    }
}

impl TryFrom<[u8; 8]> for SessionRef {
    type Error = InvalidId;

    fn try_from(bytes: [u8; 8]) -> Result<Self, InvalidId> {
        let known = bytes.iter().all(|byte| ALPHABET.contains(byte));
        known.then_some(Self(bytes)).ok_or(InvalidId::SessionRef)
    }
}

impl From<SessionRef> for [u8; 8] {
    fn from(session: SessionRef) -> Self {
        session.0
    }
}

impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one running login flow to the peer that began it. Whoever completes a login needs it, so it is kept out of logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LoginId([u8; 16]);

impl LoginId {
    /// An id from 128 random bits.
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// The raw bits.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The text form that a service keeps in its cookie.
    pub fn expose(&self) -> String {
        let text: [u8; 26] = base32(&self.0);
        text.iter().copied().map(char::from).collect()
    }
}

impl FromStr for LoginId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits: [u8; 26] = forgiving(text).ok_or(InvalidId::LoginId)?;
        let mut value = 0_u128;
        for (position, digit) in digits.iter().enumerate() {
            let bits = ALPHABET.iter().position(|letter| letter == digit).unwrap_or_default() as u128;
            // 26 digits carry 130 bits: the last two are always zero.
            value = if position < 25 { value << 5 | bits } else { value << 3 | bits >> 2 };
            if position == 25 && bits & 0b11 != 0 {
                return Err(InvalidId::LoginId);
            }
        }
        Ok(Self(value.to_be_bytes()))
    }
}

impl fmt::Debug for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[login id]")
    }
}

/// The name that the configuration gives to one client registration at an identity provider.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderName(String);

impl ProviderName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProviderName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        if is_plain(&text) { Ok(Self(text)) } else { Err(InvalidId::ProviderName) }
    }
}

/// The name that the configuration gives to a service account: a session without a user.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

impl AccountName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AccountName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        if is_plain(&text) { Ok(Self(text)) } else { Err(InvalidId::AccountName) }
    }
}

/// Names of the configuration stand in URLs, files and logs: they need no escaping anywhere.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'_')
        && name.bytes().next().is_some_and(plain)
}

/// What a user is called at one provider, by the claim that the configuration chose (`preferred_username` unless told).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// The name itself. It comes from the provider: escape it before it goes to a terminal or a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        let well_formed = (1..=256).contains(&text.len()) && !text.chars().any(char::is_control);
        if well_formed { Ok(Self(text)) } else { Err(InvalidId::UserName) }
    }
}

macro_rules! text_name {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_name!(AccountName);
text_name!(ProviderName);
text_name!(UserName);

/// The first `N` base-32 digits of `bytes`, padded with zero bits.
fn base32<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let bit = |index: usize| bytes.get(index / 8).map_or(0, |byte| byte >> (7 - index % 8) & 1);
    std::array::from_fn(|digit| {
        let value = (0..5).fold(0, |value, offset| value << 1 | bit(digit * 5 + offset));
        ALPHABET[usize::from(value)]
    })
}

/// `N` base-32 digits as a person may type them, in their canonical form.
fn forgiving<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut digits: [u8; N] = text.as_bytes().try_into().ok()?;
    for digit in &mut digits {
        *digit = match digit.to_ascii_lowercase() {
            b'o' => b'0',
            b'i' | b'l' => b'1',
            other => other,
        };
    }
    digits.iter().all(|digit| ALPHABET.contains(digit)).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_reference_survives_what_people_do_to_it() {
        let session = SessionRef::from_random([0x3c, 0x87, 0xd6, 0x0a, 0x9d]);
        let typed = session.to_string().to_uppercase().replace('0', "O").replace('1', "l");
        assert_eq!(typed.parse(), Ok(session));
        assert_eq!("7k3vq2m".parse::<SessionRef>(), Err(InvalidId::SessionRef));
        assert_eq!("7k3vq2m!".parse::<SessionRef>(), Err(InvalidId::SessionRef));
        assert_eq!("7k3vq2mü".parse::<SessionRef>(), Err(InvalidId::SessionRef));
    }

    #[test]
    fn a_login_id_reads_back_and_has_one_spelling() {
        for random in [[0; 16], [0xff; 16], [0x5a; 16]] {
            let id = LoginId::from_random(random);
            assert_eq!(id.expose().parse(), Ok(id));
        }
        let one_bit_too_many = format!("{}1", "0".repeat(25));
        assert_eq!(one_bit_too_many.parse::<LoginId>(), Err(InvalidId::LoginId));
    }

    #[test]
    fn a_login_id_stays_out_of_debug_output() {
        assert_eq!(format!("{:?}", LoginId::from_random([7; 16])), "[login id]");
    }

    #[test]
    fn provider_names_are_plain() {
        assert!("corp-2_x".parse::<ProviderName>().is_ok());
        for wrong in ["", "Corp", "-corp", "co rp", "corp/x", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<ProviderName>(), Err(InvalidId::ProviderName), "{wrong:?}");
        }
    }

    #[test]
    fn user_names_hold_no_control_characters() {
        assert!("Zoë O'Hara <zoe@corp.example>".parse::<UserName>().is_ok());
        for wrong in ["", "a\nb", "a\u{9b}b", &"a".repeat(257)] {
            assert_eq!(wrong.parse::<UserName>(), Err(InvalidId::UserName), "{wrong:?}");
        }
    }
}

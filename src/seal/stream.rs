//! Age files that do not fit into memory: backups, encrypted to recipients of an administrator. Stock `age` opens them.

use std::io::{self, BufRead, Read, Write};
use std::iter;

use age::stream::StreamWriter;
use age::{DecryptError, Decryptor, EncryptError, Encryptor, Recipient};

use super::{HostIdentity, SealError};

/// Encrypts what is written to it. Without [`finish`](StreamWriter::finish) the file is cut short, and no reader takes it for whole.
pub type Encrypting<W> = StreamWriter<W>;

/// Encrypts to age recipients (`age1...`) what is written to the result.
///
/// # Errors
/// [`SealError::NotARecipient`] when a text is none.
pub fn encrypt_to<W: Write>(recipients: &[String], out: W) -> Result<Encrypting<W>, SealError> {
    let parse = |(index, text): (usize, &String)| {
        let parsed = text.trim().parse::<age::x25519::Recipient>();
        parsed.map_err(|_| SealError::NotARecipient { number: index + 1 })
    };
    let recipients = recipients.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
    let encryptor = Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn Recipient));
    let encrypting = encryptor.and_then(|encryptor| Ok(encryptor.wrap_output(out)?));
    encrypting.map_err(|error| {
        SealError::Unsealed(match error {
            EncryptError::Io(error) => error,
            other => io::Error::other(other.to_string()),
        })
    })
}

/// What an age file holds, opened with an identity as it is read.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when the identity does not open it.
pub fn decrypt_with<R: BufRead>(identity: &HostIdentity, file: R) -> io::Result<impl Read + use<R>> {
    let refused = |error: DecryptError| match error {
        DecryptError::Io(error) => error,
        DecryptError::NoMatchingKeys => {
            io::Error::new(io::ErrorKind::InvalidData, "it is not encrypted to this identity")
        }
        other => io::Error::new(io::ErrorKind::InvalidData, format!("it is no age file, or a damaged one ({other})")),
    };
    Decryptor::new_buffered(file).map_err(refused)?.decrypt(iter::once(identity.as_age() as _)).map_err(refused)
}

//! Reads a line from a terminal without showing it. Invariant: the terminal is put back as it was, also after Ctrl-C.
//!
//! Byte by byte rather than by the terminal's own line editing, which cuts lines at 4096 bytes: callbacks may be longer.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::{Zeroize, Zeroizing};

use crate::context::tell;
use crate::failure::Failure;

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;

/// The line, without its end. What goes beyond `limit` bytes is dropped.
pub(crate) fn read(terminal: &impl AsFd, limit: usize) -> Result<Zeroizing<String>, Failure> {
    let mut input = File::from(terminal.as_fd().try_clone_to_owned().map_err(Failure::Input)?);
    let line = {
        let _put_back_when_dropped = Hidden::over(terminal.as_fd()).map_err(Failure::Input)?;
        edit(&mut input, limit)
    };
    tell("");
    line
}

fn edit(input: &mut impl Read, limit: usize) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(limit));
    let mut chunk = Zeroizing::new([0; 256]);
    loop {
        let count = match input.read(&mut *chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(Failure::Input)?,
        };
        let end = chunk[..count].iter().position(|byte| matches!(*byte, b'\r' | b'\n' | CTRL_D));
        for byte in &chunk[..end.unwrap_or(count)] {
            match *byte {
                CTRL_C => return Err(Failure::Interrupted),
                CTRL_U => line.zeroize(),
                BACKSPACE | DELETE => drop(line.pop()),
                byte if line.len() < limit => line.push(byte),
                _ => {}
            }
        }
        if end.is_some() || count == 0 {
            break;
        }
    }
    // Addresses are ASCII. Anything else is none, and is found out by whoever reads it.
    let text = std::str::from_utf8(&line).unwrap_or_default();
    let mut copy = Zeroizing::new(String::with_capacity(limit));
    copy.push_str(text);
    Ok(copy)
}

/// A terminal that neither shows nor interprets what is typed.
struct Hidden<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn over(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
        tcsetattr(terminal, SetArg::TCSADRAIN, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to put back.
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Result<String, Failure> {
        edit(&mut &*bytes, 8192).map(|line| line.to_string())
    }

    #[test]
    fn a_line_longer_than_a_terminal_would_take_comes_whole() {
        let long = "x".repeat(6000);
        assert_eq!(typed(format!("{long}\nbehind").as_bytes()).unwrap(), long);
    }

    #[test]
    fn typing_errors_can_be_mended() {
        assert_eq!(typed(b"oops\x15abd\x7fc\r").unwrap(), "abc");
        assert_eq!(typed(b"no end").unwrap(), "no end");
    }

    #[test]
    fn ctrl_c_interrupts() {
        assert!(matches!(typed(b"abc\x03"), Err(Failure::Interrupted)));
    }
}

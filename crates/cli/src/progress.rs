//! One line on a terminal that is written over itself while something takes long, and wiped in the end.
//!
//! By blanks and never by control sequences, so that it is the same where no colours are wanted.

use std::io::{IsTerminal, Write, stderr};

use terminal_size::{Width, terminal_size_of};

/// Where a terminal does not tell how wide it is.
const USUAL_COLUMNS: usize = 80;

/// The line on standard error. Silent where that is no terminal.
pub(crate) struct Progress {
    /// Characters that fit without going on in the next line.
    room: Option<usize>,
    shown: usize,
}

impl Progress {
    /// Silent if it is not `wanted`.
    pub(crate) fn on_stderr(wanted: bool) -> Self {
        let columns = || terminal_size_of(stderr()).map_or(USUAL_COLUMNS, |(Width(columns), _)| columns.into());
        Self { room: (wanted && stderr().is_terminal()).then(|| columns().saturating_sub(1)), shown: 0 }
    }

    /// Shows `line`, in the place of the one before. It must be safe for a terminal.
    pub(crate) fn show(&mut self, line: &str) {
        if let Some(room) = self.room {
            let mut out = stderr().lock();
            // A line that cannot be written is missed by nobody.
            drop(write!(out, "\r{}", self.fit(line, room)).and_then(|()| out.flush()));
        }
    }

    /// As much as there is room for, and blanks over what stood there.
    fn fit(&mut self, line: &str, room: usize) -> String {
        let line: String = line.chars().take(room).collect();
        let length = line.chars().count();
        let blanks = self.shown.saturating_sub(length);
        self.shown = length;
        format!("{line}{:blanks$}", "")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown > 0 {
            self.show("");
            drop(write!(stderr(), "\r"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_in_its_line_and_leaves_nothing_of_the_one_before() {
        let mut progress = Progress { room: None, shown: 0 };
        assert_eq!(progress.fit("[####......] sessions 12", 20), "[####......] session");
        assert_eq!(progress.fit("[#########.] due 20", 20), "[#########.] due 20 ");
        assert_eq!(progress.fit("", 20), " ".repeat(19));
        assert_eq!(progress.fit("", 20), "");
    }
}

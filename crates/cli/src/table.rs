//! Columns for people: two blanks between them, no lines, widths as a terminal shows them.
//!
//! On a terminal a cell that would push the others off the screen is cut; in files and pipes, and in the last column, nothing is.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal};

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::color;

/// Wide enough for the names that people choose.
const WIDEST: usize = 40;

/// A text in a style. The text must be safe for a terminal.
pub(crate) struct Cell(pub(crate) String, pub(crate) Style);

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(text.into(), Style::new())
    }
}

/// Rows of cells, shown below each other.
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    /// The widest that a column gets, the last one excepted.
    widest: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { rows: Vec::new(), widest: if io::stdout().is_terminal() { WIDEST } else { usize::MAX } }
    }
}

impl Table {
    pub(crate) fn headed<const N: usize>(titles: [&str; N]) -> Self {
        let mut table = Self::default();
        table.row(titles.map(|title| Cell(title.to_owned(), color::HEAD)));
        table
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    fn width(&self, column: usize) -> usize {
        let widths = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.0.width());
        widths.max().unwrap_or_default().min(self.widest)
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        for row in &self.rows {
            for (index, (Cell(text, style), width)) in row.iter().zip(&widths).enumerate() {
                if index + 1 == row.len() {
                    write!(f, "{style}{text}{style:#}")?;
                } else {
                    let text = cut(text, *width);
                    write!(f, "{style}{text}{style:#}{:1$}", "", width.saturating_sub(text.width()) + 2)?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The text, or as much of its beginning as leaves room for an ellipsis.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = text.chars().take_while(|character| {
        let left = room.checked_sub(character.width().unwrap_or_default());
        room = left.unwrap_or_default();
        left.is_some()
    });
    fits.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let mut table = Table::headed(["REF", "USER", "ENDS"]);
        table.row(["7k3vq2mx".into(), "山田".into(), "-".into()]);
        table.row(["x".into(), Cell("bob".into(), Style::new()), "12 Dec".into()]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(text, "REF       USER  ENDS\n7k3vq2mx  山田  -\nx         bob   12 Dec\n");
    }

    #[test]
    fn a_long_cell_is_cut_at_the_width_of_its_characters_and_the_last_one_never() {
        let mut table = Table { widest: 5, ..Table::default() };
        table.row(["山田太郎".into(), "a much longer reason".into()]);
        table.row(["alice".into(), "-".into()]);
        assert_eq!(table.to_string(), "山田…  a much longer reason\nalice  -\n");
        assert_eq!(cut("alice b", 6), "alice…");
        assert_eq!(cut("山田太郎", 4), "山…");
    }
}

//! Columns for people: two blanks between them, no lines, widths as a terminal shows them.

use std::fmt::{self, Display};

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

/// A text in a style. The text must be safe for a terminal.
pub(crate) struct Cell(pub(crate) String, pub(crate) Style);

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(text.into(), Style::new())
    }
}

/// Rows of cells, shown below each other.
#[derive(Default)]
pub(crate) struct Table(Vec<Vec<Cell>>);

impl Table {
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.0.push(cells.into());
    }

    fn width(&self, column: usize) -> usize {
        self.0.iter().filter_map(|row| row.get(column)).map(|cell| cell.0.width()).max().unwrap_or_default()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        for row in &self.0 {
            for (index, (Cell(text, style), width)) in row.iter().zip(&widths).enumerate() {
                write!(f, "{style}{text}{style:#}")?;
                if index + 1 < row.len() {
                    write!(f, "{:1$}", "", width - text.width() + 2)?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let mut table = Table::default();
        table.row(["REF".into(), "USER".into(), "ENDS".into()]);
        table.row(["7k3vq2mx".into(), "山田".into(), "-".into()]);
        table.row(["x".into(), Cell("bob".into(), Style::new()), "12 Dec".into()]);
        assert_eq!(table.to_string(), "REF       USER  ENDS\n7k3vq2mx  山田  -\nx         bob   12 Dec\n");
    }
}

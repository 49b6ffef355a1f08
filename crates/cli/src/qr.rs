//! A QR code on a terminal: two modules in each character, black on white whatever the colours of the terminal are.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code, without which scanners do not find it. The standard wants four; two do on a screen.
const MARGIN: usize = 2;

/// The lines of the code of `text`, if it fits into `columns`.
pub(crate) fn lines(text: &str, columns: usize) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let side = code.width() + 2 * MARGIN;
    if side > columns {
        return None;
    }
    let is_dark = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < code.width());
        matches!((inside(column), inside(row)), (Some(x), Some(y)) if code[(x, y)] == Color::Dark)
    };
    let line = |row: usize| {
        let modules = (0..side).map(|column| match (is_dark(row, column), is_dark(row + 1, column)) {
            (false, false) => ' ',
            (true, false) => '▀',
            (false, true) => '▄',
            (true, true) => '█',
        });
        modules.collect()
    };
    Some((0..side).step_by(2).map(line).collect())
}

/// `line` in black on white.
pub(crate) fn black_on_white(line: &str) -> String {
    use anstyle::{AnsiColor, Style};
    let style = Style::new().fg_color(Some(AnsiColor::Black.into())).bg_color(Some(AnsiColor::BrightWhite.into()));
    format!("{style}{line}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_hold_every_module_of_the_code_inside_a_light_margin() {
        let text = "https://id.example/device?user_code=WDJB-MJHT";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let lines = lines(text, 80).unwrap();
        let halves = |line: &String| -> [Vec<bool>; 2] {
            [['▀', '█'], ['▄', '█']].map(|dark| line.chars().map(|module| dark.contains(&module)).collect())
        };
        let rows: Vec<_> = lines.iter().flat_map(halves).collect();
        for (y, row) in rows.iter().enumerate().take(code.width() + 2 * MARGIN) {
            for (x, dark) in row.iter().enumerate() {
                let inside = |at: usize| (MARGIN..MARGIN + code.width()).contains(&at);
                let expected = inside(x) && inside(y) && code[(x - MARGIN, y - MARGIN)] == Color::Dark;
                assert_eq!(*dark, expected, "{x} {y}");
            }
        }
    }

    #[test]
    fn a_terminal_that_is_too_narrow_gets_no_code() {
        let width = lines("https://id.example", 80).unwrap()[0].chars().count();
        assert!(lines("https://id.example", width).is_some());
        assert_eq!(lines("https://id.example", width - 1), None);
    }

    #[test]
    fn the_colours_are_those_of_the_code_and_not_of_the_terminal() {
        assert_eq!(black_on_white("█"), "\u{1b}[30m\u{1b}[107m█\u{1b}[0m");
    }
}

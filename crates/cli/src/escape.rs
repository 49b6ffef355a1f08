//! Makes text of others safe for a terminal: users and providers choose names, devices and messages, and a terminal obeys
//! control characters, while bidirectional marks make one thing look like another.

use std::fmt::Write;

/// The text with every character that a terminal would not just show as `\u{..}`.
pub(crate) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_treacherous(character) {
            write!(safe, "\\u{{{:x}}}", u32::from(character)).ok();
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The same for something that may be missing, which shows as `-`.
pub(crate) fn plain_or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), plain)
}

/// Control characters of both sets, line and paragraph separators, bidirectional controls, and what is not seen at all.
pub(crate) fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_of_all_scripts_stay_as_they_are() {
        for name in ["alice", "Zoë O'Hara <zoe@corp.example>", "山田太郎", "דוד", "C:\\x"] {
            assert_eq!(plain(name), name);
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(plain("a\u{1b}]0;x\u{7}b"), "a\\u{1b}]0;x\\u{7}b");
        assert_eq!(plain("a\r\nb\u{9b}1m\u{7f}"), "a\\u{d}\\u{a}b\\u{9b}1m\\u{7f}");
        assert_eq!(plain("\u{202e}ecila\u{2066}\u{200b}"), "\\u{202e}ecila\\u{2066}\\u{200b}");
        assert_eq!(plain("x\u{e0041}"), "x\\u{e0041}");
    }
}

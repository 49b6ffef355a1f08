//! Makes a value fit for a record: user names and error texts come from providers, targets from peers.
//!
//! What could end a line, drive a terminal or turn the reading direction is spelled out as its code point, and the value is cut
//! so that a whole record stays within 2 KiB. Quoting is the business of each form ([`format`](super::format)).

/// The longest value in bytes, quoting included. No event has more than four that are not short by themselves.
const LONGEST: usize = 400;

/// `value` without anything that could forge, hide or blow up a record.
pub(super) fn fit(value: &str) -> String {
    let mut text = String::with_capacity(value.len().min(LONGEST));
    let mut length = 0;
    for character in value.chars() {
        let spelled = deceives(character).then(|| format!("<U+{:04X}>", u32::from(character)));
        length += match (&spelled, character) {
            (Some(spelled), _) => spelled.len(),
            (None, '"' | '\\' | ']') => 2,
            (None, other) => other.len_utf8(),
        };
        if length > LONGEST {
            text.push('…');
            break;
        }
        match spelled {
            Some(spelled) => text.push_str(&spelled),
            None => text.push(character),
        }
    }
    text
}

/// Control characters, line separators, and what Unicode calls format characters: bidi marks, joiners, tags, and the like.
fn deceives(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_stay_as_they_are() {
        for name in ["Zoë O'Hara <zoe@corp.example>", "山田太郎", "שרה", ""] {
            assert_eq!(fit(name), name);
        }
    }

    #[test]
    fn what_could_end_a_line_or_drive_a_terminal_is_spelled_out() {
        assert_eq!(fit("alice\n<85>sshd: root"), "alice<U+000A><85>sshd: root");
        assert_eq!(fit("a\0b\x1b[2Jc\u{7f}\u{9b}"), "a<U+0000>b<U+001B>[2Jc<U+007F><U+009B>");
        assert_eq!(fit("a\u{2028}b\u{2029}"), "a<U+2028>b<U+2029>");
    }

    #[test]
    fn what_turns_or_hides_text_is_spelled_out() {
        assert_eq!(fit("\u{202e}nimda\u{2069}"), "<U+202E>nimda<U+2069>");
        assert_eq!(fit("ad\u{200b}min\u{e0041}"), "ad<U+200B>min<U+E0041>");
    }

    #[test]
    fn a_long_value_is_cut_between_characters_and_says_so() {
        assert_eq!(fit(&"a".repeat(400)), "a".repeat(400));
        assert_eq!(fit(&"a".repeat(401)), format!("{}…", "a".repeat(400)));
        assert_eq!(fit(&"ü".repeat(300)), format!("{}…", "ü".repeat(200)));
        assert_eq!(fit(&"]".repeat(300)), format!("{}…", "]".repeat(200)), "quoting counts");
        assert_eq!(fit(&"\n".repeat(300)), format!("{}…", "<U+000A>".repeat(50)));
    }
}

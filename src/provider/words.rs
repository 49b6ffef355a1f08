//! Which characters of a text that comes from elsewhere may be displayed.

/// `text` as it is, if it is fit to be kept as a name: not empty, not too long, and displayed as it is written.
pub(super) fn plain(text: &str, max_bytes: usize) -> Option<String> {
    let fit = (1..=max_bytes).contains(&text.len()) && !text.chars().any(is_treacherous);
    fit.then(|| text.to_owned())
}

/// Control characters, and those that reorder or hide text.
pub(super) fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_as_it_is_or_not_at_all() {
        assert_eq!(plain("Zoë", 10).as_deref(), Some("Zoë"));
        for wrong in ["", "a\tb", "a\u{202e}b", "much too long"] {
            assert_eq!(plain(wrong, 10), None, "{wrong:?}");
        }
    }
}

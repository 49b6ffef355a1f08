//! Sentences with gaps: `{provider}` stands for a value that is known, `{cause}` and the like for any text but none.

/// What is known of a row while it runs.
pub(super) type Known = Vec<(&'static str, String)>;

/// `template` with everything in place that is known.
pub(super) fn fill(template: &str, known: &Known) -> String {
    known.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Whether `text` is what `template` says. What is not known may be anything on one line.
pub(super) fn fits(text: &str, template: &str, known: &Known) -> bool {
    let filled = fill(template, known);
    let mut parts = pieces(&filled).into_iter();
    let Some(mut rest) = parts.next().and_then(|start| text.strip_prefix(start)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let found = match parts.peek() {
            None => rest.ends_with(part).then(|| rest.len() - part.len()),
            Some(_) => rest.get(1..).and_then(|tail| tail.find(part)).map(|at| at + 1),
        };
        let Some(at) = found.filter(|at| *at > 0 && !rest[..*at].contains('\n')) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

/// What stands between the gaps.
fn pieces(template: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{name:?} is no name of a gap in {template:?}");
        pieces.push(before);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

#[test]
fn a_template_fits_what_it_says_and_nothing_else() {
    let known = vec![("provider", "corp".to_owned())];
    for (text, template, expected) in [
        ("corp is down", "{provider} is down", true),
        ("corp is down", "corp is", false),
        ("corp is", "corp is down", false),
        ("crop is down", "{provider} is down", false),
        ("wait 12 s now", "wait {n} s now", true),
        ("wait  s now", "wait {n} s now", false),
        ("wait 1 s", "wait {n} s or {m} s", false),
        ("wait 1 s or 2 s", "wait {n} s or {m} s", true),
        ("a\nb", "a{x}b", false),
        ("anything", "{token}", true),
        ("", "{token}", false),
    ] {
        assert_eq!(fits(text, template, &known), expected, "{text:?} {template:?}");
    }
}

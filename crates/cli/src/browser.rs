//! Whether a browser can be opened here, and opening it.

use std::ffi::OsString;

use crate::context::tell;

/// A display of one's own, not that of the far end of an SSH connection; or a browser that the person chose.
pub(crate) fn can_open(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    set("BROWSER") || !set("SSH_CONNECTION") && !set("SSH_TTY") && (set("DISPLAY") || set("WAYLAND_DISPLAY"))
}

/// Opens the address beside what else is done: some browsers keep their caller waiting until they are closed.
pub(crate) fn open(url: String) {
    let opening = std::thread::Builder::new().spawn(move || {
        if webbrowser::open(&url).is_err() {
            tell("The browser did not open; open the address above yourself.");
        }
    });
    if opening.is_err() {
        tell("The browser did not open; open the address above yourself.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_needs_a_display_here_unless_one_was_chosen() {
        let with = |variables: &[&str]| can_open(|name| variables.contains(&name).then(|| "x".into()));
        assert!(with(&["DISPLAY"]) && with(&["WAYLAND_DISPLAY"]));
        assert!(!with(&[]));
        assert!(!with(&["DISPLAY", "SSH_CONNECTION"]) && !with(&["WAYLAND_DISPLAY", "SSH_TTY"]));
        assert!(with(&["BROWSER", "SSH_CONNECTION"]));
    }
}

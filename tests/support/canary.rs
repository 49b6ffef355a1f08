//! Looks for secrets where none may be.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};

use super::Home;

/// Fails if one of `secrets` is to be found in what the daemon logged, in its audit records, or in a file of its state directory.
pub(crate) fn assert_none_leaked(home: &Home, secrets: &[String]) {
    let found = places_with(home, secrets);
    assert!(found.is_empty(), "secrets are to be found: {found:?}");
}

/// A place where one of `secrets` is: the path of a file, or a word for what is none. The other half is the secret as it stands there.
pub(crate) fn places_with(home: &Home, secrets: &[String]) -> Vec<(PathBuf, String)> {
    assert!(!secrets.is_empty(), "there are no secrets to look for");
    let mut places = vec![(PathBuf::from("stderr"), home.stderr())];
    places.extend(home.syslog.records().into_iter().map(|record| (PathBuf::from("an audit record"), record)));
    let before = places.len();
    files(&home.state_dir(), &mut places);
    assert!(places.len() > before, "the state directory is empty: nothing was tested");
    let needles: Vec<_> = secrets.iter().flat_map(|secret| disguises(secret)).collect();
    let mut found = Vec::new();
    for (place, text) in &places {
        let here = needles.iter().filter(|needle| text.contains(needle.as_str()));
        found.extend(here.map(|needle| (place.clone(), needle.clone())));
    }
    found
}

fn files(dir: &Path, places: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).expect("the state directory can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, places);
        } else {
            // Byte for byte a character, so that the search of strings can be used on what is no text.
            let bytes = fs::read(&path).unwrap_or_default();
            places.push((path, bytes.into_iter().map(char::from).collect()));
        }
    }
}

/// The bytes themselves, in hexadecimal, and in base 64 at each of the three ways they can fall into its groups.
fn disguises(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned(), HEXLOWER.encode(secret.as_bytes())];
    for offset in 0..3 {
        let shifted = [&[0; 3][..offset], secret.as_bytes()].concat();
        for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            // The first and last characters also carry bits of the neighbours.
            let text = encoding.encode(&shifted);
            all.push(text[if offset == 0 { 0 } else { offset + 1 }..text.len() - 1].to_owned());
        }
    }
    all
}

#[test]
fn a_secret_is_found_in_every_disguise() {
    let secret = "at-1-0123456789";
    for text in
        [format!("x{secret}y"), format!("{{\"token\":\"{secret}\"}}"), format!("ab{secret}cd"), secret.to_owned()]
    {
        let encoded = BASE64_NOPAD.encode(text.as_bytes());
        assert!(disguises(secret).iter().any(|needle| encoded.contains(needle)), "{text}");
    }
}

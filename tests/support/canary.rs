//! Looks for secrets where none may be.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::Home;

/// Of a longer secret, so much from its beginning and so much from its end is looked for.
const PIECE: usize = 64;

/// Fails if one of `secrets` is to be found in what the daemon logged, in its audit records, or in a file of its state directory.
pub(crate) fn assert_none_leaked(home: &Home, secrets: &[String]) {
    let found = places_with(home, secrets);
    assert!(found.is_empty(), "secrets are to be found: {found:?}");
}

/// Fails if one of `secrets` is to be found in what somebody was shown.
pub(crate) fn assert_not_shown(shown: &str, secrets: &[String]) {
    // Where a line ends is up to whoever shows it.
    let unbroken: String = shown.split_whitespace().collect();
    let found = Needles::disguised(secrets).within(Path::new("what was shown"), unbroken.as_bytes());
    assert!(found.is_empty(), "{found:?} in {shown}");
}

/// A place where one of `secrets` is: the path of a file, or a word for what is none. The other half is the secret as it stands there.
pub(crate) fn places_with(home: &Home, secrets: &[String]) -> Vec<(PathBuf, String)> {
    let needles = Needles::disguised(secrets);
    let mut found = needles.within(Path::new("stderr"), home.stderr().as_bytes());
    for record in home.syslog.records() {
        found.extend(needles.within(Path::new("an audit record"), record.as_bytes()));
    }
    let files = files(&home.state_dir());
    assert!(!files.is_empty(), "the state directory is empty: nothing was tested");
    found.extend(files.iter().flat_map(|file| needles.within_file(file)));
    found
}

/// Texts that are looked for, all at once.
pub(crate) struct Needles {
    texts: Vec<String>,
    search: AhoCorasick,
}

impl Needles {
    /// In every form that a secret could be written down in.
    pub(crate) fn disguised(secrets: &[String]) -> Self {
        Self::new(secrets.iter().flat_map(|secret| pieces(secret)).flat_map(disguises).collect())
    }

    /// As they are.
    pub(crate) fn plain(secrets: &[String]) -> Self {
        Self::new(secrets.iter().flat_map(|secret| pieces(secret)).map(str::to_owned).collect())
    }

    fn new(texts: Vec<String>) -> Self {
        assert!(!texts.is_empty(), "there are no secrets to look for");
        let search = AhoCorasick::new(&texts).expect("the secrets of a test fit into a search");
        Self { texts, search }
    }

    fn within(&self, place: &Path, bytes: &[u8]) -> Vec<(PathBuf, String)> {
        let found = self.search.find_iter(bytes);
        found.map(|it| (place.to_owned(), self.texts[it.pattern().as_usize()].clone())).collect()
    }

    /// What is in a file, however large. One that vanishes meanwhile holds nothing.
    pub(crate) fn within_file(&self, file: &Path) -> Vec<(PathBuf, String)> {
        let Ok(opened) = File::open(file) else { return Vec::new() };
        let found = self.search.stream_find_iter(BufReader::new(opened)).map(|it| it.expect("the file can be read"));
        found.map(|it| (file.to_owned(), self.texts[it.pattern().as_usize()].clone())).collect()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the state directory can be read").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn pieces(secret: &str) -> Vec<&str> {
    if secret.len() <= 2 * PIECE {
        return vec![secret];
    }
    vec![&secret[..PIECE], &secret[secret.len() - PIECE..]]
}

/// The bytes themselves, in hexadecimal, as in a URL, and in base 64 at each of the three ways they can fall into its groups.
fn disguises(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned(), HEXLOWER.encode(secret.as_bytes()), HEXUPPER.encode(secret.as_bytes())];
    all.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    for offset in 0..3 {
        let shifted = [&[0; 3][..offset], secret.as_bytes()].concat();
        for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            // The first and last characters also carry bits of the neighbours.
            let text = encoding.encode(&shifted);
            all.push(text[if offset == 0 { 0 } else { offset + 1 }..text.len() - 1].to_owned());
        }
    }
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_secret_is_found_in_every_disguise() {
    let secret = "at-1-0123+45/6789";
    for text in
        [format!("x{secret}y"), format!("{{\"token\":\"{secret}\"}}"), format!("ab{secret}cd"), secret.to_owned()]
    {
        let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let needles = Needles::disguised(&[secret.to_owned()]);
        for encoded in [
            BASE64_NOPAD.encode(text.as_bytes()),
            BASE64URL_NOPAD.encode(text.as_bytes()),
            HEXLOWER.encode(text.as_bytes()),
            HEXUPPER.encode(text.as_bytes()),
            form,
        ] {
            assert!(!needles.within(Path::new("here"), encoded.as_bytes()).is_empty(), "{text} as {encoded}");
        }
    }
}

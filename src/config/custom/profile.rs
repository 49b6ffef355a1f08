//! What is known of some providers already: tables that ship with the program, beneath the one of the administrator.
//!
//! They are read by the same code as any configuration. What a profile cannot know it names, and where it is to be found.

use crate::config::document::Document;
use crate::config::keys;
use crate::config::provider::not_one_of;
use crate::config::table::Table;
use crate::config::value::Complaint;

const PROFILES: [(&str, &str); 2] =
    [("cripsa", include_str!("profiles/cripsa.toml")), ("cognito", include_str!("profiles/cognito.toml"))];

/// Their names.
pub(super) const NAMES: [&str; 2] = [PROFILES[0].0, PROFILES[1].0];

/// The profile that a provider's `table` names, as a document with its variables filled in; and the variables it lacks.
pub(in crate::config) fn of(table: Table<'_>) -> Option<(Document, Vec<String>)> {
    let name = table.parsed("profile", |text| {
        let known = NAMES.iter().find(|name| **name == text);
        known.copied().ok_or_else(|| not_one_of(text, &NAMES))
    })?;
    let (_, text) = PROFILES.iter().find(|(known, _)| *known == name)?;
    let (mut text, mut missing) = ((*text).to_owned(), Vec::new());
    for variable in keys::PROFILE_VARIABLES {
        let written = format!("{{{variable}}}");
        if !text.contains(&written) {
            continue;
        }
        if table.place_of(variable).is_none() {
            missing.push((*variable).to_owned());
        }
        // Something that can be read stands for what is not there: one finding for one fault.
        let value = table.parsed(variable, variable_value).unwrap_or_else(|| "missing.invalid".to_owned());
        text = text.replace(&written, &value);
    }
    Some((Document::new(usize::MAX, &format!("profile {name}"), text), missing))
}

/// A part of a URL that cannot be anything else: a host name, a region, the name of a pool.
fn variable_value(text: &str) -> Result<String, Complaint> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !text.is_empty() && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!(
        "must be a plain name such as \"shop.auth.eu-west-1.amazoncognito.com\", without https://, not {text:?}"
    )))
}

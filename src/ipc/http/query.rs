//! The query of a path, as strict as a body: every name is known and stands there once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use url::form_urlencoded;

use super::object::unknown;
use super::problem::Failure;

/// What was asked for behind the `?`.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a query.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Failure> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(unknown(&name, known));
            }
            if values.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Failure::bad(format!("{name} stands in the query twice")));
            }
        }
        Ok(Self(values))
    }

    /// A value; an empty one counts as none.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let value = self.0.get(name).filter(|value| !value.is_empty());
        value.map(|value| value.parse().map_err(|error| Failure::bad(format!("{name}: {error}")))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_empty_ones_are_none() {
        let query = Query::parse(Some("user=a%20b&provider="), &["user", "provider"]).unwrap();
        assert_eq!(query.parsed::<String>("user").unwrap().as_deref(), Some("a b"));
        assert_eq!(query.parsed::<String>("provider").unwrap(), None);
        assert!(Query::parse(None, &[]).is_ok());
    }

    #[test]
    fn strange_and_repeated_names_are_refused() {
        let refusal = |query| Query::parse(Some(query), &["user"]).map(|_| ()).unwrap_err().problem.message;
        assert_eq!(refusal("usr=a"), "unknown key \"usr\"; did you mean \"user\"?");
        assert_eq!(refusal("user=a&user=b"), "user stands in the query twice");
    }
}

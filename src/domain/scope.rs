//! What a token is good for, in the words of whoever granted it (RFC 6749 section 3.3).

/// Whether `granted`, a list with spaces between, has the scope that somebody `wanted`. Some providers write a short name out as an
/// address: Entra ID grants `User.Read` as `https://graph.microsoft.com/User.Read`, Google `email` as
/// `https://www.googleapis.com/auth/userinfo.email`.
pub fn has_scope(granted: &str, wanted: &str) -> bool {
    granted.split(' ').any(|granted| granted == wanted || short_name(granted) == Some(wanted))
}

fn short_name(scope: &str) -> Option<&str> {
    let (_, name) = scope.strip_prefix("https://")?.rsplit_once('/')?;
    Some(name.strip_prefix("userinfo.").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_that_is_written_out_is_the_same_scope() {
        let google = "openid https://www.googleapis.com/auth/userinfo.email";
        let entra = "https://graph.microsoft.com/User.Read openid";
        for (granted, wanted, has) in [
            (google, "email", true),
            (google, "openid", true),
            (google, "profile", false),
            (entra, "User.Read", true),
            (entra, "https://graph.microsoft.com/User.Read", true),
            (entra, "https://elsewhere.example/User.Read", false),
            ("User.Read", "https://graph.microsoft.com/User.Read", false),
            ("repo:read", "read", false),
            ("", "", true),
        ] {
            assert_eq!(has_scope(granted, wanted), has, "{wanted} in {granted:?}");
        }
    }
}

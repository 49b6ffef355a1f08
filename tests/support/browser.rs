//! What a person does in a browser: follow redirects with cookies, and fill in the login page.

use std::collections::BTreeMap;

use url::Url;

use super::http::{self, Answer};

/// A browser with nobody logged in anywhere.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
    /// Press the button that refuses instead of the one that logs in.
    pub(crate) refuse: bool,
}

impl Browser {
    /// Logs `user` in at the page that `authorize_url` leads to and follows the way back to the end. Returns the last page.
    pub(crate) fn log_in(&mut self, authorize_url: &str, user: &str) -> Answer {
        match self.walk(authorize_url, user, None) {
            Arrival::Page(answer) => answer,
            Arrival::Callback(url) => panic!("stopped at {url}"),
        }
    }

    /// The same, but does not open the page that begins with `callback`: returns its address.
    pub(crate) fn log_in_until(&mut self, authorize_url: &str, user: &str, callback: &str) -> String {
        match self.walk(authorize_url, user, Some(callback)) {
            Arrival::Callback(url) => url,
            Arrival::Page(answer) => panic!("never came to {callback}, but to {answer:?}"),
        }
    }

    fn walk(&mut self, start: &str, user: &str, stop_at: Option<&str>) -> Arrival {
        let mut url = http::parse(start);
        let (mut form, mut refused) = (None::<String>, false);
        for _ in 0..20 {
            if stop_at.is_some_and(|callback| url.as_str().starts_with(callback)) {
                return Arrival::Callback(url.into());
            }
            let answer = self.request(&url, form.take());
            let (location, action) = (answer.headers_named("location").next(), form_action(&answer.body));
            // Whoever has refused does not begin again on the next page that asks for something.
            let Some(next) = location.or(action.filter(|_| !refused)) else { return Arrival::Page(answer) };
            refused |= self.refuse && answer.body.contains(r#"name="refuse""#);
            let typed = || if self.refuse { "refuse=1".to_owned() } else { format!("login={user}") };
            form = location.is_none().then(|| format!("{}{}", hidden_fields(&answer.body), typed()));
            url = url.join(next).unwrap_or_else(|error| panic!("a redirect to {next:?}: {error}"));
        }
        panic!("more than 20 pages from {start}");
    }

    fn request(&mut self, url: &Url, form: Option<String>) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = vec![("Cookie", cookies.join("; "))];
        if form.is_some() {
            headers.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let method = if form.is_some() { "POST" } else { "GET" };
        let answer = http::request(method, url, &headers, &form.unwrap_or_default());
        let answer = answer.unwrap_or_else(|error| panic!("the browser cannot open {url}: {error}"));
        for cookie in answer.headers_named("set-cookie") {
            let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).unwrap_or_default();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }
}

enum Arrival {
    Page(Answer),
    Callback(String),
}

/// What a page wants to have sent back as it is.
fn hidden_fields(body: &str) -> String {
    let fields = body.split(r#"<input type="hidden" name=""#).skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once(r#"" value=""#)?;
        Some(format!("{name}={}&", rest.split_once('"')?.0))
    });
    fields.collect()
}

fn form_action(body: &str) -> Option<&str> {
    body.split_once(r#"method="post" action=""#)?.1.split_once('"').map(|(action, _)| action)
}

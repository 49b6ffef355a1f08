//! The few HTTP answers of the loopback listener: self-contained, never cached, nothing to load, nothing to follow.

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem;color:#222;background:#fff}\
                     @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}h1{font-size:1.5rem}";

/// A page that says one thing.
pub(super) fn page(status: &str, title: &str, text: &str) -> String {
    let (title, text) = (escape(title), escape(text));
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><h1>{title}</h1><p>{text}</p></body></html>\n"
    );
    answer(status, "", &body)
}

/// Sends the browser on. `location` is printable ASCII.
pub(super) fn redirect(location: &str) -> String {
    answer("302 Found", &format!("Location: {location}\r\n"), "")
}

fn answer(status: &str, more: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'\r\n\
         {more}\r\n{body}",
        body.len()
    )
}

fn escape(text: &str) -> String {
    let text = crate::escape::plain(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_said_is_text_on_the_page_and_nothing_else() {
        let page = page("400 Bad Request", "No", "<script>alert('1')</script>&\u{202e}");
        assert!(page.contains("<p>&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;\\u{202e}</p>"), "{page}");
    }

    #[test]
    fn the_length_is_that_of_the_body() {
        let page = page("200 OK", "Größe", "x");
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    }
}

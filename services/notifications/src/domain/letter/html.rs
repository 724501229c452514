//! A letter's text as a simple page of HTML: paragraphs, and addresses that can be clicked.

use super::super::locale::Locale;
use super::fill;

/// The page of these paragraphs, their blanks filled with escaped values.
pub(super) fn page<'v>(
    locale: Locale,
    subject: &str,
    paragraphs: &[&str],
    value: &impl Fn(&str) -> Option<&'v str>,
) -> String {
    let mut body = String::new();
    for paragraph in paragraphs {
        let inner = match *paragraph {
            "{link}" => anchor(value("link").unwrap_or_default()),
            text => fill(&escape(text), value, escape).replace('\n', "<br>"),
        };
        body.push_str("<p>");
        body.push_str(&inner);
        body.push_str("</p>\n");
    }
    format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"font-family: sans-serif; max-width: 40em; margin: 2em auto; color: #2b1d14\">\n\
         {body}</body>\n</html>\n",
        lang = locale.as_str(),
        title = escape(subject),
    )
}

fn anchor(address: &str) -> String {
    let address = escape(address);
    format!("<a href=\"{address}\">{address}</a>")
}

/// `text` as HTML shows it, inside elements and quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

//! How one entry answers on several paths: its body bare with a list's facts in headers, or inside the envelope
//! with the facts beside it.

use std::borrow::Cow;
use std::fmt::Write;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, LINK};
use bytes::Bytes;

use super::headers::ascii;
use crate::cache_policy::{Form, Read};
use crate::negotiation::Encoding;
use crate::representation::{Head, ListFacts};

const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");
const X_PAGE: HeaderName = HeaderName::from_static("x-page");
const X_LIMIT: HeaderName = HeaderName::from_static("x-limit");
const X_UNREAD_COUNT: HeaderName = HeaderName::from_static("x-unread-count");

/// The plain bytes of the answer.
pub(super) fn body(form: Form, head: &Head<'_>, body: Bytes) -> Bytes {
    let Form::Data(member) = form else { return body };
    let mut whole = Vec::with_capacity(body.len() + 160);
    whole.extend_from_slice(b"{\"data\":{\"");
    whole.extend_from_slice(member.as_bytes());
    whole.extend_from_slice(b"\":");
    whole.extend_from_slice(&body);
    if let Some(facts) = head.facts() {
        whole.extend_from_slice(pagination(&facts).as_bytes());
    }
    whole.extend_from_slice(b"}}");
    Bytes::from(whole)
}

/// The entity tag of the answer. The envelope is another representation, with a tag of its own.
pub(super) fn etag<'h>(form: Form, head: &Head<'h>, encoding: Encoding) -> Cow<'h, str> {
    match form {
        Form::Whole | Form::Bare => Cow::Borrowed(head.etag(encoding)),
        Form::Data(_) => {
            let plain = head.etag(Encoding::Identity).trim_matches('"');
            let coding = match encoding {
                Encoding::Identity => "",
                Encoding::Brotli => "-br",
                Encoding::Gzip => "-gz",
            };
            Cow::Owned(format!("\"{plain}-data{coding}\""))
        }
    }
}

/// The same as a header value, without copying where the entry holds it.
pub(super) fn etag_value(form: Form, head: &Head<'_>, encoding: Encoding) -> HeaderValue {
    match etag(form, head, encoding) {
        Cow::Borrowed(_) => head.etag_value(encoding),
        Cow::Owned(made) => ascii(made),
    }
}

/// The facts of a list as headers; nothing for answers that show them in the body.
pub(super) fn facts(read: &Read, head: &Head<'_>) -> Option<Box<HeaderMap>> {
    let Read::Personal(personal) = read else { return None };
    if personal.form != Form::Bare {
        return None;
    }
    let facts = head.facts()?;
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(X_TOTAL_COUNT, HeaderValue::from(facts.total));
    headers.insert(X_PAGE, HeaderValue::from(facts.page));
    headers.insert(X_LIMIT, HeaderValue::from(facts.limit));
    if let Some(unread) = facts.unread {
        headers.insert(X_UNREAD_COUNT, HeaderValue::from(unread));
    }
    if let Some((path, query)) = personal.list() {
        headers.insert(LINK, ascii(links(path, &query, &facts)));
    }
    Some(Box::new(headers))
}

fn pagination(facts: &ListFacts) -> String {
    let ListFacts { total, page, limit, unread } = facts;
    let pages = facts.pages();
    let mut text = String::with_capacity(120);
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        ",\"pagination\":{{\"page\":{page},\"per_page\":{limit},\"total\":{total},\
         \"total_exact\":true,\"pages\":{pages}}}"
    );
    if let Some(unread) = unread {
        let _ = write!(text, ",\"unread\":{unread}");
    }
    text
}

/// RFC 8288: the other pages of the list that can be asked for.
fn links(path: &str, query: &str, facts: &ListFacts) -> String {
    let limit = facts.limit;
    let page = u64::from(facts.page);
    let last = facts.pages().max(1);
    let prev = (page > 1).then(|| (page - 1).min(last));
    let next = (page < last).then_some(page + 1);
    let mut text = String::with_capacity(256);
    for (name, page) in [("first", Some(1)), ("prev", prev), ("next", next), ("last", Some(last))] {
        let Some(page) = page else { continue };
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{separator}<{path}?page={page}&limit={limit}{query}>; rel=\"{name}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::representation::Kind;

    const FACTS: ListFacts = ListFacts { total: 41, page: 2, limit: 20, unread: None };

    #[test]
    fn links_lead_to_the_pages_there_are() {
        let check = |page, total, expected: &str| {
            assert_eq!(links("/api/events", "&kind=aula", &ListFacts { page, total, ..FACTS }), expected);
        };
        let link =
            |page: u64, name: &str| format!("</api/events?page={page}&limit=20&kind=aula>; rel=\"{name}\"");
        let all = [link(1, "first"), link(1, "prev"), link(3, "next"), link(3, "last")];
        check(2, 41, &all.join(", "));
        check(1, 20, &[link(1, "first"), link(1, "last")].join(", "));
        check(1, 0, &[link(1, "first"), link(1, "last")].join(", "));
        check(9, 41, &[link(1, "first"), link(3, "prev"), link(3, "last")].join(", "));
    }

    #[test]
    fn the_envelope_holds_the_very_bytes_and_has_a_tag_of_its_own() {
        let rows = Bytes::from_static(br#"[{"id":1}]"#);
        let facts = ListFacts { unread: Some(3), ..FACTS };
        let head = Head::encode_list(&rows, &facts);
        let head = Head::decode(&head).expect("encoded above");
        assert_eq!(
            body(Form::Data("notifications"), &head, rows.clone()),
            r#"{"data":{"notifications":[{"id":1}],"pagination":{"page":2,"per_page":20,"total":41,"total_exact":true,"pages":3},"unread":3}}"#
        );
        assert_eq!(body(Form::Bare, &head, rows.clone()), rows);
        let mut tags: Vec<_> = [Form::Bare, Form::Data("notifications")]
            .into_iter()
            .flat_map(|form| {
                [Encoding::Identity, Encoding::Gzip, Encoding::Brotli]
                    .map(|encoding| etag(form, &head, encoding).into_owned())
            })
            .collect();
        assert!(tags.iter().all(|tag| tag.starts_with('"') && tag.ends_with('"')), "{tags:?}");
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 6, "{tags:?}");
    }

    /// The rows are the same, the answer is not: it says how many there are.
    #[test]
    fn a_tag_changes_with_the_facts_of_the_list() {
        let tag = |facts: &ListFacts| {
            let head = Head::encode_list(b"[]", facts);
            let head = Head::decode(&head).expect("encoded above");
            assert_eq!(head.facts(), Some(*facts));
            head.etag(Encoding::Identity).to_owned()
        };
        let one = tag(&FACTS);
        assert_eq!(one, tag(&FACTS));
        for other in [
            ListFacts { total: 42, ..FACTS },
            ListFacts { page: 3, ..FACTS },
            ListFacts { limit: 21, ..FACTS },
            ListFacts { unread: Some(0), ..FACTS },
        ] {
            assert_ne!(one, tag(&other), "{other:?}");
        }
    }

    #[test]
    fn one_object_is_enveloped_without_pages() {
        let object = Bytes::from_static(br#"{"id":1}"#);
        let head = Head::encode(Kind::Json, &object);
        let head = Head::decode(&head).expect("encoded above");
        assert_eq!(body(Form::Data("event"), &head, object), r#"{"data":{"event":{"id":1}}}"#);
    }
}

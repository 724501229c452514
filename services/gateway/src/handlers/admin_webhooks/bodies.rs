//! The bodies that change webhook endpoints, read field by field.

use proto::notifications::v1::{CreateEndpointRequest, EventTypes, UpdateEndpointRequest};
use utoipa::ToSchema;

use crate::error::{Error, Text};
use crate::fields::{Fields, Member, Mistakes};
use crate::json::Json;

/// Longest URL, in characters; all of them are ASCII once it is stored.
const URL_CHARS_MAX: usize = 2048;
const TYPES_MAX: usize = 50;
/// More than any type has.
const TYPE_CHARS_MAX: usize = 64;

/// An endpoint that does not exist yet.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct NewEndpointBody {
    /// `https://` and the name of a host on the internet, port 443 or 8443; up to 2048 characters.
    url: String,
    /// 1 to 50 of the public event types, families such as `product.*`, or `*`.
    events: Vec<String>,
}

/// What to change about an endpoint.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct EndpointPatchBody {
    /// As of a new endpoint.
    url: Option<String>,
    /// As of a new endpoint.
    events: Option<Vec<String>>,
    /// `true` forgives what it failed, and sends what waited.
    is_active: Option<bool>,
}

/// Reads a [`NewEndpointBody`].
pub(super) fn new_endpoint(body: Json) -> Result<CreateEndpointRequest, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let url = fields.string("url", 1..=URL_CHARS_MAX);
    let url = fields.required("url", url);
    let events = types(&mut fields);
    let events = fields.required("events", events);
    fields.finish();
    mistakes.finish(CreateEndpointRequest { url, events })
}

/// Reads an [`EndpointPatchBody`]; id and version are the caller's to fill in.
pub(super) fn endpoint_patch(body: Json) -> Result<UpdateEndpointRequest, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let url = fields.string("url", 1..=URL_CHARS_MAX);
    let url = never_null(&mut fields, "url", url);
    let events = types(&mut fields);
    let events = never_null(&mut fields, "events", events).map(|types| EventTypes { types });
    let is_active = fields.boolean("is_active");
    let is_active = never_null(&mut fields, "is_active", is_active);
    fields.finish();
    mistakes.finish(UpdateEndpointRequest { url, events, is_active, ..UpdateEndpointRequest::default() })
}

/// A list of words; which of them are types, the service knows.
fn types(fields: &mut Fields<'_>) -> Member<Vec<String>> {
    let elements = match fields.take("events") {
        Member::Absent => return Member::Absent,
        Member::Null => return Member::Null,
        Member::Present(Json::Array(elements)) => elements,
        Member::Present(_) => {
            fields.mistake("events", "type", Text::fixed("deve ser uma lista", "must be a list"));
            return Member::Present(Vec::new());
        }
    };
    if !(1..=TYPES_MAX).contains(&elements.len()) {
        let code = if elements.is_empty() { "min" } else { "max" };
        fields.mistake("events", code, Text::fixed("de 1 a 50 elementos", "from 1 to 50 elements"));
        return Member::Present(Vec::new());
    }
    let words = elements.into_iter().map(|element| match element {
        Json::String(word) if word.len() <= TYPE_CHARS_MAX => Some(word),
        _ => None,
    });
    match words.collect::<Option<Vec<_>>>() {
        Some(words) => Member::Present(words),
        None => {
            let detail = Text::fixed("deve conter tipos de evento", "must contain event types");
            fields.mistake("events", "type", detail);
            Member::Present(Vec::new())
        }
    }
}

fn never_null<T>(fields: &mut Fields<'_>, name: &'static str, member: Member<T>) -> Option<T> {
    match member {
        Member::Absent => None,
        Member::Present(value) => Some(value),
        Member::Null => {
            fields.mistake(name, "type", Text::fixed("não pode ser nulo", "must not be null"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        crate::json::parse(text.as_bytes()).expect("JSON")
    }

    #[track_caller]
    fn mistakes<T: std::fmt::Debug>(read: Result<T, Error>) -> Vec<(String, String)> {
        let Err(Error::Validation(errors)) = read else { panic!("{read:?}") };
        errors.into_iter().map(|error| (error.pointer, error.code.into_owned())).collect()
    }

    #[test]
    fn a_new_endpoint_names_both_and_nothing_else() {
        let read = new_endpoint(json(r#"{"url":"https://hooks.example.com/","events":["product.*"]}"#));
        let expected = CreateEndpointRequest {
            url: "https://hooks.example.com/".into(),
            events: vec!["product.*".into()],
        };
        assert_eq!(read.expect("good"), expected);

        let found = mistakes(new_endpoint(json(r#"{"events":[],"secret":"x"}"#)));
        let expected = [("/url", "required"), ("/events", "min"), ("/secret", "unknown")];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
        for events in [r#""*""#, "[1]", "[null]", r#"["a",{}]"#, "{}"] {
            let body = format!(r#"{{"url":"https://hooks.example.com/","events":{events}}}"#);
            assert_eq!(
                mistakes(new_endpoint(json(&body))),
                [("/events".to_owned(), "type".to_owned())],
                "{events}"
            );
        }
        let many = vec![r#""*""#; 51].join(",");
        let body = format!(r#"{{"url":"https://hooks.example.com/","events":[{many}]}}"#);
        assert_eq!(mistakes(new_endpoint(json(&body))), [("/events".to_owned(), "max".to_owned())]);
    }

    #[test]
    fn a_patch_leaves_out_what_stays() {
        assert_eq!(endpoint_patch(json("{}")).expect("good"), UpdateEndpointRequest::default());
        let read = endpoint_patch(json(r#"{"is_active":false}"#)).expect("good");
        assert_eq!(read, UpdateEndpointRequest { is_active: Some(false), ..Default::default() });
        let found = mistakes(endpoint_patch(json(r#"{"url":null,"events":null,"is_active":null}"#)));
        assert_eq!(found.len(), 3);
    }
}

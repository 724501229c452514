//! Problem documents, and what services' refusals become.

use gateway::error::{Call, Current, Error, FieldError, Text};
use gateway::problem::{Language, document};
use serde_json::{Value, json};
use tonic::{Code, Status};

fn render(error: &Error, language: Language) -> Value {
    serde_json::from_slice(&document(error, language, "/api/v1/x", "req-1")).expect("a problem is JSON")
}

#[test]
fn a_document_has_every_member_in_both_languages() {
    assert_eq!(
        render(&Error::NotFound, Language::Portuguese),
        json!({
            "type": "https://mestrescafe.com/problems/not-found",
            "title": "Não encontrado",
            "status": 404,
            "detail": "não há nada neste endereço",
            "instance": "/api/v1/x",
            "code": "not_found",
            "error": "Não encontrado",
            "request_id": "req-1",
        })
    );
    let english = render(&Error::NotFound, Language::English);
    assert_eq!(english["title"], "Not found");
    assert_eq!(english["code"], "not_found");
}

#[test]
fn fields_parameters_and_current_versions_are_named() {
    let field = FieldError {
        pointer: "/name".to_owned(),
        code: "required".into(),
        detail: Text::fixed("é obrigatório", "is required"),
    };
    let document = render(&Error::Validation(vec![field]), Language::English);
    assert_eq!(document["status"], 422);
    assert_eq!(
        document["errors"],
        json!([{"pointer": "/name", "code": "required", "detail": "is required"}])
    );
    assert_eq!(render(&Error::OffsetTooDeep, Language::English)["parameter"], "page");
    assert!(render(&Error::OffsetTooDeep, Language::English)["detail"].as_str().unwrap().contains("cursor"));
    let current = Current { etag: "\"p-1-v2\"".to_owned(), body: br#"{"product":{"id":1}}"#.to_vec() };
    let document = render(&Error::PreconditionFailed { current: Some(Box::new(current)) }, Language::English);
    assert_eq!(document["current"], json!({"product": {"id": 1}}));
}

#[test]
fn refusals_of_services() {
    fn check(code: Code, call: Call, reason: Option<&str>, status: u16, expected: &str) {
        let mut refusal = Status::new(code, "slug: is taken, says /var/lib/postgresql");
        if let Some(reason) = reason {
            refusal.metadata_mut().insert("mc-reason", reason.parse().expect("ASCII"));
        }
        refusal.metadata_mut().insert("mc-field", "variants[0].sku".parse().expect("ASCII"));
        let error = Error::from_status(&refusal, call);
        assert_eq!((error.status().as_u16(), error.code()), (status, expected), "{code:?} {call:?}");
    }
    check(Code::InvalidArgument, Call::Read, None, 400, "invalid_parameter");
    check(Code::InvalidArgument, Call::Read, Some("offset_too_deep"), 400, "offset_too_deep");
    check(Code::InvalidArgument, Call::Write, None, 422, "validation_failed");
    check(Code::NotFound, Call::Read, None, 404, "not_found");
    check(Code::AlreadyExists, Call::Write, None, 409, "conflict");
    check(Code::Aborted, Call::Write, None, 412, "precondition_failed");
    check(Code::PermissionDenied, Call::Write, None, 403, "forbidden");
    check(Code::Unauthenticated, Call::Write, None, 401, "unauthenticated");
    check(Code::ResourceExhausted, Call::Read, None, 503, "overloaded");
    check(Code::Unavailable, Call::Read, None, 503, "upstream_unavailable");
    check(Code::Unavailable, Call::Write, Some("overloaded"), 503, "overloaded");
    check(Code::Unauthenticated, Call::Write, Some("invalid_credentials"), 401, "unauthenticated");
    check(Code::Unauthenticated, Call::Write, Some("totp_required"), 401, "totp_required");
    check(Code::PermissionDenied, Call::Write, Some("step_up_required"), 403, "step_up_required");
    check(Code::InvalidArgument, Call::Write, Some("invalid_token"), 400, "invalid_token");
    check(Code::DeadlineExceeded, Call::Read, None, 504, "timeout");
    check(Code::Cancelled, Call::Read, None, 504, "timeout");
    check(Code::Unknown, Call::Write, Some("outcome_unknown"), 504, "timeout");
    for code in [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unimplemented] {
        check(code, Call::Read, None, 500, "internal_error");
    }
}

#[test]
fn a_field_becomes_a_pointer_and_our_own_failures_say_nothing() {
    let mut refusal = Status::new(Code::AlreadyExists, "sku: is taken");
    refusal.metadata_mut().insert("mc-field", "variants[0].sku".parse().expect("ASCII"));
    let document = render(&Error::from_status(&refusal, Call::Write), Language::English);
    assert_eq!(document["errors"][0]["pointer"], "/variants/0/sku");
    assert_eq!(document["errors"][0]["detail"], "is taken");

    let mut refusal = Status::new(Code::InvalidArgument, "attributes_json: must be a JSON object");
    refusal.metadata_mut().insert("mc-field", "attributes_json".parse().expect("ASCII"));
    let document = render(&Error::from_status(&refusal, Call::Write), Language::English);
    assert_eq!(document["errors"][0]["pointer"], "/attributes");
    refusal.metadata_mut().insert("mc-field", "max_price_amount".parse().expect("ASCII"));
    let document = render(&Error::from_status(&refusal, Call::Read), Language::English);
    assert_eq!(document["parameter"], "max_price");

    let failure = Status::new(Code::Internal, "password=hunter2 at 10.0.0.7");
    let document = render(&Error::from_status(&failure, Call::Read), Language::English).to_string();
    assert!(!document.contains("hunter2") && !document.contains("10.0.0.7"), "{document}");
}

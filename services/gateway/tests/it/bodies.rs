//! Bodies: what is not plain JSON is malformed, what is plain JSON and wrong is named field by field.

use gateway::bodies;
use gateway::error::Error;
use gateway::json::{Json, parse};

fn check_malformed(body: &[u8]) {
    let error = parse(body).expect_err("malformed");
    assert_eq!((error.status().as_u16(), error.code()), (400, "malformed_json"));
}

/// The pointers and codes of what is wrong with a new product.
fn mistakes(body: &str) -> Vec<(String, String)> {
    let json = parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
    match bodies::new_product(json) {
        Ok(_) => Vec::new(),
        Err(Error::Validation(errors)) => {
            errors.into_iter().map(|error| (error.pointer, error.code.into_owned())).collect()
        }
        Err(other) => panic!("{body}: {other}"),
    }
}

fn check(body: &str, expected: &[(&str, &str)]) {
    let found = mistakes(body);
    let found: Vec<_> = found.iter().map(|(pointer, code)| (pointer.as_str(), code.as_str())).collect();
    assert_eq!(found, expected, "{body}");
}

const VARIANT: &str = r#"{"sku":"A-1","name":"250 g","weight_g":250,"price_amount":4290}"#;

#[test]
fn json_with_surprises_is_malformed() {
    for body in [
        "",
        " ",
        "{",
        "}",
        "nul",
        "{'a':1}",
        "{\"a\":1,}",
        "[1,]",
        "{\"a\":1}{}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "// x\n{}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"\\u0062\":2}}",
        "{\"a\":NaN}",
        "{\"a\":1e999}",
        "{\"a\":\"\\ud800\"}",
        "\u{feff}{}",
        "{\"a\":\"\u{1}\"}",
    ] {
        check_malformed(body.as_bytes());
    }
    check_malformed(b"{\"a\":\"\xff\"}");
    check_malformed(format!("{{\"a\":{}}}", "9".repeat(400)).as_bytes());
    check_malformed("[".repeat(200).as_bytes());
    check_malformed("[".repeat(100_000).as_bytes());
    check_malformed(format!("{}1{}", "[".repeat(33), "]".repeat(33)).as_bytes());
    let keys: Vec<_> = (0..1_001).map(|n| format!("\"k{n}\":1")).collect();
    check_malformed(format!("{{{}}}", keys.join(",")).as_bytes());
    check_malformed(format!("[{}1]", "1,".repeat(20_000)).as_bytes());
}

#[test]
fn depth_up_to_the_limit_is_fine_and_text_comes_back() {
    parse(format!("{}1{}", "[".repeat(32), "]".repeat(32)).as_bytes()).expect("32 levels are allowed");
    let text = r#"{"b":[1,-2,true,null,"é\n"],"a":{"x":1.5}}"#;
    assert_eq!(parse(text.as_bytes()).expect("it is JSON").text(), text, "order and all");
    assert_eq!(parse(b"9223372036854775807").ok(), Some(Json::Integer(i64::MAX)));
}

#[test]
fn a_good_product_is_read() {
    let json = parse(
        format!(
            r#"{{"slug":"bourbon-amarelo","name":"Bourbon Amarelo","roast":"media","attributes":{{"notas":["mel"]}},
                "category_id":3,"variants":[{VARIANT}]}}"#
        )
        .as_bytes(),
    )
    .expect("it is JSON");
    let (fields, variants) = bodies::new_product(json).expect("nothing is wrong");
    assert_eq!(fields.slug, "bourbon-amarelo");
    assert_eq!(fields.attributes_json, r#"{"notas":["mel"]}"#);
    assert!(fields.is_active && !fields.is_featured);
    assert_eq!(variants[0].price_amount, 4290);
}

#[test]
fn every_mistake_is_found_with_its_pointer() {
    check("[]", &[("", "type"), ("/slug", "required"), ("/name", "required"), ("/variants", "required")]);
    check(
        &format!(r#"{{"slug":"Ä","name":"","variants":[{VARIANT}]}}"#),
        &[("/slug", "format"), ("/name", "min")],
    );
    check(
        &format!(r#"{{"slug":"a","name":5,"is_active":"yes","price":1.5,"variants":[{VARIANT}]}}"#),
        &[("/name", "type"), ("/is_active", "type"), ("/price", "unknown")],
    );
    check(
        r#"{"slug":"a","name":"b","variants":[{"sku":"A","name":"x","weight_g":0,"price_amount":-1,"a/b":1}]}"#,
        &[
            ("/variants/0/weight_g", "min"),
            ("/variants/0/price_amount", "min"),
            ("/variants/0/a~1b", "unknown"),
        ],
    );
    check(r#"{"slug":"a","name":"b","variants":[]}"#, &[("/variants", "min")]);
    check(r#"{"slug":"a","name":"b","variants":{}}"#, &[("/variants", "type")]);
    check(
        &format!(
            r#"{{"slug":"a","name":"b","roast":"burnt","sca_score_tenths":1001,"variants":[{VARIANT}]}}"#
        ),
        &[("/roast", "invalid"), ("/sca_score_tenths", "max")],
    );
    check(
        &format!(r#"{{"slug":"a","name":"b","category_id":2.5,"attributes":"x","variants":[{VARIANT}]}}"#),
        &[("/category_id", "type"), ("/attributes", "type")],
    );
    check(&format!(r#"{{"slug":"a","name":"a\u0000b","variants":[{VARIANT}]}}"#), &[("/name", "format")]);
}

#[test]
fn a_patch_tells_absent_from_null() {
    let patch = |body: &str| bodies::product_patch(parse(body.as_bytes()).expect("it is JSON"));
    let patched = patch(r#"{"name":"Novo","category_id":null,"roast":null}"#).expect("nothing is wrong");
    assert_eq!(patched.name.as_deref(), Some("Novo"));
    assert_eq!(patched.clear, ["category_id", "roast"]);
    assert_eq!((patched.slug, patched.is_active), (None, None));
    let Err(Error::Validation(errors)) = patch(r#"{"name":null,"nome":"x"}"#) else {
        panic!("a name is needed")
    };
    let found: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(found, ["/name", "/nome"]);
}

#[test]
fn prices_name_each_variant_once() {
    let prices = |body: &str| bodies::prices(parse(body.as_bytes()).expect("it is JSON"));
    let read =
        prices(r#"{"prices":[{"variant_id":1,"amount":4290,"compare_at_amount":4990}]}"#).expect("fine");
    assert_eq!((read[0].amount, read[0].compare_at_amount), (4290, Some(4990)));
    let twice = prices(r#"{"prices":[{"variant_id":1,"amount":1},{"variant_id":1,"amount":2}]}"#);
    let Err(Error::Validation(errors)) = twice else { panic!("a variant is named twice") };
    assert_eq!(errors[0].pointer, "/prices/1/variant_id");
}

//! Encodings, entity tags and languages.

use bytes::Bytes;
use gateway::negotiation::{Encoding, EntityTag, encodings, none_match_names, tags};
use gateway::problem::Language;
use gateway::representation::{Compressed, Head, Kind, compress, content_hash};
use std::io::Read;

#[test]
fn encodings_by_weight() {
    fn check(header: Option<&str>, large: Encoding, small: Encoding) {
        let accepted = encodings(header).unwrap_or_else(|| panic!("{header:?} is acceptable"));
        assert_eq!((accepted.large, accepted.small), (large, small), "{header:?}");
    }
    use Encoding::{Brotli, Gzip, Identity};
    check(None, Identity, Identity);
    check(Some(""), Identity, Identity);
    check(Some("gzip, deflate, br, zstd"), Brotli, Identity);
    check(Some("gzip"), Gzip, Identity);
    check(Some("GZIP;q=1.0"), Gzip, Identity);
    check(Some("br;q=0.5, gzip;q=0.8"), Gzip, Identity);
    check(Some("br;q=0, gzip"), Gzip, Identity);
    check(Some("deflate, zstd"), Identity, Identity);
    check(Some("*"), Brotli, Identity);
    check(Some("*;q=0.1, br;q=0"), Gzip, Identity);
    check(Some("identity;q=1, gzip;q=0.5"), Identity, Identity);
    check(Some("identity;q=0.5, gzip;q=0.5"), Gzip, Identity);
    check(Some("gzip, identity;q=0"), Gzip, Gzip);
    check(Some("br, *;q=0"), Brotli, Brotli);
    check(Some("br;q=nonsense"), Identity, Identity);
    check(Some("br;q=1.5"), Identity, Identity);
}

#[test]
fn nothing_left_is_not_acceptable() {
    for header in ["identity;q=0", "*;q=0", "deflate, identity;q=0", "br;q=0, gzip;q=0, identity;q=0.0"] {
        assert_eq!(encodings(Some(header)), None, "{header}");
    }
}

#[test]
fn entity_tags_of_a_list() {
    fn check(header: &str, expected: &[EntityTag<'_>]) {
        assert_eq!(tags(header).collect::<Vec<_>>(), expected, "{header}");
    }
    use EntityTag::{Any, Strong, Weak};
    check("*", &[Any]);
    check(r#""a""#, &[Strong(r#""a""#)]);
    check(r#"W/"a" , "b,c",,"d""#, &[Weak(r#""a""#), Strong(r#""b,c""#), Strong(r#""d""#)]);
    check("unquoted", &[]);
    check(r#"unquoted, "b""#, &[Strong(r#""b""#)]);
    check(r#""unended"#, &[]);
    check("", &[]);
}

#[test]
fn if_none_match_compares_weakly() {
    for header in [r#""x""#, r#"W/"x""#, "*", r#""a", "x""#] {
        assert!(none_match_names(header, r#""x""#), "{header}");
    }
    for header in [r#""y""#, "x", "", r#""x"#] {
        assert!(!none_match_names(header, r#""x""#), "{header}");
    }
}

#[test]
fn languages_by_weight() {
    fn check(header: Option<&str>, expected: Language) {
        assert_eq!(Language::accepted(header), expected, "{header:?}");
    }
    check(None, Language::Portuguese);
    check(Some("en"), Language::English);
    check(Some("en-US,en;q=0.9,pt;q=0.8"), Language::English);
    check(Some("pt-BR,pt;q=0.9,en;q=0.8"), Language::Portuguese);
    check(Some("fr, en;q=0.3"), Language::English);
    check(Some("fr"), Language::Portuguese);
    check(Some("en;q=0"), Language::Portuguese);
}

#[test]
fn each_encoding_has_an_entity_tag_of_its_own() {
    let stored = Head::encode(Kind::Json, b"{}");
    let head = Head::decode(&stored).expect("just encoded");
    assert_eq!(head.kind(), Kind::Json);
    let identity = head.etag(Encoding::Identity);
    let inner = identity.trim_matches('"');
    assert_eq!(inner.len(), 32);
    assert_eq!(head.etag(Encoding::Brotli), format!("\"{inner}-br\""));
    assert_eq!(head.etag(Encoding::Gzip), format!("\"{inner}-gz\""));
    assert_eq!(head.etag_value(Encoding::Gzip).as_bytes(), head.etag(Encoding::Gzip).as_bytes());
    let other = Head::encode(Kind::Json, b"[]");
    assert_ne!(Head::decode(&other).expect("just encoded").etag(Encoding::Identity), identity);
    assert!(Head::decode(&Bytes::from_static(b"of another release")).is_none());
}

#[tokio::test]
async fn compressed_forms_decompress_to_the_body() {
    let compressed = Compressed::new(1 << 20);
    for size in [2_000_usize, 200_000] {
        let body = Bytes::from((0..size).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        let hash = content_hash(&body);
        if size > 100_000 {
            assert!(compressed.now(hash, &body, Encoding::Brotli).is_none(), "too large to be made at once");
        }
        let brotli = compressed.form(hash, &body, Encoding::Brotli).await;
        let gzip = compressed.form(hash, &body, Encoding::Gzip).await;
        let mut plain = Vec::new();
        brotli::Decompressor::new(&brotli[..], 4096).read_to_end(&mut plain).expect("it is brotli");
        assert_eq!(plain, body);
        plain.clear();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut plain).expect("it is gzip");
        assert_eq!(plain, body);
        assert_eq!(compressed.now(hash, &body, Encoding::Gzip).as_ref(), Some(&gzip), "kept");
        assert!(brotli.len() < body.len() / 2);
        assert_eq!(compress(&body, Encoding::Identity), body);
    }
}

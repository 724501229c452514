//! The request line is encoded, heads pass whole or not at all, and nothing depends on how bytes are cut.

use bytes::BytesMut;
use gateway::listener::{Advance, Framer, Refusal};
use proptest::prelude::*;

/// Feeds `pieces` one after the other; what came out, and how it ended.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Option<Refusal>) {
    let mut framer = Framer::default();
    let (mut input, mut output) = (Vec::new(), BytesMut::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match framer.advance(&input, &mut output) {
                Advance::Used(used) => {
                    input.drain(..used);
                }
                Advance::NeedMore => break,
                Advance::Refused(refusal) => return (output.to_vec(), Some(refusal)),
                Advance::Broken => return (output.to_vec(), None),
            }
        }
    }
    (output.to_vec(), None)
}

fn check(request: &[u8], expected: &[u8]) {
    let (output, refusal) = feed([request]);
    assert_eq!(refusal, None, "{}", String::from_utf8_lossy(request));
    assert_eq!(String::from_utf8_lossy(&output), String::from_utf8_lossy(expected));
}

fn check_refused(request: &[u8], expected: Refusal) {
    let (output, refusal) = feed([request]);
    assert_eq!(refusal, Some(expected), "{}", String::from_utf8_lossy(request));
    assert!(output.starts_with(b"GET /.refused "), "only the stand-in passes");
}

fn check_malformed(request: &[u8]) {
    let (_, refusal) = feed([request]);
    assert!(
        matches!(refusal, Some(Refusal::Malformed(_))),
        "{:?}: {refusal:?}",
        String::from_utf8_lossy(request)
    );
}

#[test]
fn plain_requests_pass_unchanged() {
    for request in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        b"GET /a?b=c%20d HTTP/1.0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
        b"CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n\xc3\xa9 anything",
    ] {
        check(request, request);
    }
}

#[test]
fn raw_utf8_in_the_request_line_is_percent_encoded_and_nowhere_else() {
    check(
        "GET /api/v1/products?search=café HTTP/1.1\r\nHost: x\r\nX-Nome: café\r\n\r\n".as_bytes(),
        "GET /api/v1/products?search=caf%C3%A9 HTTP/1.1\r\nHost: x\r\nX-Nome: café\r\n\r\n".as_bytes(),
    );
    check(
        "POST /é HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\ncaféGET /ü HTTP/1.1\r\nHost: x\r\n\r\n".as_bytes(),
        "POST /%C3%A9 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\ncaféGET /%C3%BC HTTP/1.1\r\nHost: x\r\n\r\n"
            .as_bytes(),
    );
    check(b"GET /?q=a|b<c> HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /?q=a%7Cb%3Cc%3E HTTP/1.1\r\nHost: x\r\n\r\n");
}

#[test]
fn empty_lines_before_a_request_are_dropped() {
    check(b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

#[test]
fn what_two_readers_could_frame_differently_is_refused() {
    for headers in [
        "Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Host: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n",
        "Host: x\r\nContent-Length: 3, 3\r\n",
        "Host: x\r\nContent-Length: +3\r\n",
        "Host: x\r\nContent-Length: 3a\r\n",
        "Host: x\r\nContent-Length:\r\n",
        "Host: x\r\nContent-Length: 99999999999999999999\r\n",
        "Host: x\r\nTransfer-Encoding: xchunked\r\n",
        "Host: x\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: x\r\nTransfer-Encoding : chunked\r\n",
        "Host: x\r\nUpgrade: websocket\r\nContent-Length: 3\r\n",
        "Host: x\r\nX: a\r\n folded\r\n",
        "Host: x\r\nX\r\n",
        "Host: x\r\nX: a\0b\r\n",
        "Host: x\r\nX: a\rb\r\n",
        "Host: x\r\nHost: y\r\n",
        "X: no host\r\n",
        "Host: x\nX: bare line feed\r\n",
    ] {
        check_malformed(format!("POST / HTTP/1.1\r\n{headers}\r\nabc").as_bytes());
    }
    check_malformed(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    check_malformed(b"GET / HTTP/1.1\nHost: x\n\n");
}

#[test]
fn request_lines_out_of_form_are_refused() {
    for line in [
        "GET http://x/ HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT x:443 HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET /",
        "G\x01T / HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET /#x HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        check_malformed(format!("{line}\r\nHost: x\r\n\r\n").as_bytes());
    }
}

#[test]
fn sizes_are_limited_whether_or_not_the_head_ever_ends() {
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9_000));
    check_refused(long_line.as_bytes(), Refusal::UriTooLong);
    check_refused(&long_line.as_bytes()[..8_900], Refusal::UriTooLong);
    let long_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(64_000));
    check_refused(long_header.as_bytes(), Refusal::HeadersTooLarge);
    check_refused(&long_header.as_bytes()[..60_000], Refusal::HeadersTooLarge);
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(200));
    check_refused(many.as_bytes(), Refusal::HeadersTooLarge);
    let few = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(80));
    check(few.as_bytes(), few.as_bytes());
    let fits = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(8_000));
    check(fits.as_bytes(), fits.as_bytes());
}

#[test]
fn a_broken_chunk_ends_the_connection_before_anything_behind_it_passes() {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "x\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nabc",
        "0\r\nTrailer: x\r\n\r\n",
    ] {
        let request = format!("{head}{body}GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n");
        let (output, _) = feed([request.as_bytes()]);
        assert!(!String::from_utf8_lossy(&output).contains("hidden"), "{body:?}");
    }
}

/// A connection's worth of requests, good and bad.
fn traffic() -> impl Strategy<Value = Vec<u8>> {
    let target = "/[a-z?=&é|ü%]{0,12}";
    let request = (target, prop_oneof![Just(0), 1..40_usize], 0..3_u8).prop_map(|(target, length, form)| {
        let body: Vec<u8> = (0..length).map(|n| [b'G', b'\r', b'\n', 0xc3][n % 4]).collect();
        let mut request = format!("POST {target} HTTP/1.1\r\nHost: x\r\n").into_bytes();
        match form {
            0 => request.extend_from_slice(b"\r\n"),
            1 => {
                request.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                request.extend_from_slice(&body);
            }
            _ => {
                request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                if length > 0 {
                    request.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                    request.extend_from_slice(&body);
                    request.extend_from_slice(b"\r\n");
                }
                request.extend_from_slice(b"0\r\n\r\n");
            }
        }
        request
    });
    let noise = prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), any::<u8>()], 0..20);
    (prop::collection::vec(request, 1..4), noise).prop_map(|(requests, noise)| {
        let mut all = requests.concat();
        all.extend_from_slice(&noise);
        all
    })
}

proptest! {
    #[test]
    fn how_the_network_cuts_the_bytes_does_not_matter(
        traffic in traffic(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = feed([&traffic[..]]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(traffic.len())).collect();
        cuts.extend([0, traffic.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &traffic[cut[0]..cut[1]]);
        prop_assert_eq!(&feed(pieces), &whole);
        let single = traffic.chunks(1);
        prop_assert_eq!(&feed(single), &whole);
    }

    #[test]
    fn request_lines_that_pass_are_ascii(target in "/[\\x21-\\x7e\\u{80}-\\u{2fff}]{0,40}") {
        let (output, _) = feed([format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()]);
        let line = output.split(|byte| *byte == b'\n').next().expect("there is always a first line");
        prop_assert!(line.is_ascii());
    }
}

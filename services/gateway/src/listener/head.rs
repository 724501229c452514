//! One complete request head: its grammar, how its body is delimited, and its line in ASCII.

use bytes::{BufMut, BytesMut};

use super::framing::{HEADER_LINES_MAX, HEADERS_BYTES_MAX, REQUEST_LINE_BYTES_MAX, Refusal};

/// How the body of a request is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    Opaque,
}

/// The length of the request line with its line end, and the framing of the body.
pub(super) fn parse_head(head: &[u8]) -> Result<(usize, Framing), Refusal> {
    let (line, mut rest) = split_line(head)?;
    if line.len() > REQUEST_LINE_BYTES_MAX {
        return Err(Refusal::UriTooLong);
    }
    if rest.len() > HEADERS_BYTES_MAX {
        return Err(Refusal::HeadersTooLarge);
    }
    let line_length = line.len() + 2;
    let (connect, version) = parse_line(line)?;

    let mut lines = 0;
    let mut hosts = 0;
    let mut length = None;
    let mut chunked = false;
    loop {
        let (header, next) = split_line(rest)?;
        rest = next;
        if header.is_empty() {
            break;
        }
        lines += 1;
        if lines > HEADER_LINES_MAX {
            return Err(Refusal::HeadersTooLarge);
        }
        let colon = header
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Refusal::Malformed("a header line without a colon"))?;
        let name = &header[..colon];
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Refusal::Malformed("a header name that is not a token"));
        }
        let value = header[colon + 1..].trim_ascii();
        if value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(Refusal::Malformed("a control character in a header value"));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") && value.eq_ignore_ascii_case(b"websocket") => {
                // The parser would read the rest of the connection as this request's body.
                return Err(Refusal::Malformed("websocket upgrades are not served"));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if length.is_some() {
                    return Err(Refusal::Malformed("two Content-Length headers"));
                }
                length = Some(decimal(value).ok_or(Refusal::Malformed("an invalid Content-Length"))?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::Malformed("an unknown or repeated Transfer-Encoding"));
                }
                chunked = true;
            }
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && version == Version::Http11) {
        return Err(Refusal::Malformed("not exactly one Host header"));
    }
    let framing = match (chunked, length) {
        (true, Some(_)) => return Err(Refusal::Malformed("both Content-Length and Transfer-Encoding")),
        (true, None) if version == Version::Http10 => {
            return Err(Refusal::Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        _ if connect => Framing::Opaque,
        (true, None) => Framing::Chunked,
        (false, None | Some(0)) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
    };
    Ok((line_length, framing))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// Whether the method is CONNECT, and the version. The target must be in origin form.
fn parse_line(line: &[u8]) -> Result<(bool, Version), Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed("a request line of other than three parts"));
    };
    if method.is_empty() || method.len() > 32 || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Refusal::Malformed("a method that is not a token"));
    }
    if target.first() != Some(&b'/') {
        return Err(Refusal::Malformed("a request target that is not a path"));
    }
    if target.iter().any(|byte| *byte <= 0x20 || *byte == 0x7f || *byte == b'#') {
        return Err(Refusal::Malformed("a control character or fragment in the request target"));
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        _ => return Err(Refusal::Malformed("an unknown HTTP version")),
    };
    Ok((method == b"CONNECT", version))
}

/// The first line without its CRLF, and what follows it.
fn split_line(input: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let end = input
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("a head that was found complete ends with a line feed");
    match input[..end].strip_suffix(b"\r") {
        Some(line) => Ok((line, &input[end + 1..])),
        None => Err(Refusal::Malformed("a line feed without a carriage return")),
    }
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Percent-encodes what the parser would refuse: bytes from 0x80 up, and the few ASCII characters that
/// browsers encode but command line tools send as they are.
pub(super) fn encode_line(line: &[u8], output: &mut BytesMut) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let must_encode = |byte: u8| byte >= 0x80 || b"<>\\^`{|}\"".contains(&byte);
    if !line.iter().any(|byte| must_encode(*byte)) {
        output.extend_from_slice(line);
        return;
    }
    for byte in line.iter().copied() {
        if must_encode(byte) {
            output.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            output.put_u8(byte);
        }
    }
}

//! Where one request ends and the next begins, and what of it the HTTP parser may see.
//!
//! The parser behind this module refuses bytes from 0x80 up in the request line, and clients do send raw
//! UTF-8 (`?search=café`, S136), so the line is percent-encoded before the parser sees it. Encoding changes
//! lengths. Were this module and the parser to disagree about where a body ends, a client could hide one
//! request inside another; therefore heads pass whole or not at all, and every form whose framing two
//! readers could understand differently (RFC 9112, sections 6 and 11.2) is refused here.

use bytes::BytesMut;

use super::head::{Framing, encode_line, parse_head};

/// The longest request line, in bytes as sent.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;
/// The longest header section, in bytes, without the request line.
pub const HEADERS_BYTES_MAX: usize = 32 * 1024;
/// The most header lines of one request. The parser's own table holds 96.
pub const HEADER_LINES_MAX: usize = 90;
/// Bytes of one body that are passed on at all; what handlers accept is far less.
pub(crate) const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The longest chunk size line, in bytes.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// The path of the request that stands in for a refused one, so that the refusal is answered in its turn and
/// by the same code as every other problem.
pub(crate) const REFUSED_PATH: &str = "/.refused";
/// The stand-in itself.
const REFUSED_HEAD: &[u8] = b"GET /.refused HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// Why a request head is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The head breaks the grammar, or its framing is ambiguous.
    Malformed(&'static str),
    /// The request line is longer than 8 KiB.
    UriTooLong,
    /// The header section is longer than 32 KiB or has more than 90 lines.
    HeadersTooLarge,
    /// The head did not arrive in time.
    Timeout,
}

/// What [`Framer::advance`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// This many bytes of the input are dealt with.
    Used(usize),
    /// Nothing can be done before more bytes arrive.
    NeedMore,
    /// The head is refused; the stand-in was written and nothing more will ever pass.
    Refused(Refusal),
    /// The body breaks the chunk grammar or is endless; nothing more will ever pass.
    Broken,
}

/// What a connection is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length {
        left: u64,
    },
    Chunks(Chunk),
    /// After CONNECT: no requests follow.
    Opaque,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size,
    Data { left: u64 },
    DataEnd,
    LastEnd,
}

/// Follows the requests of one connection, byte by byte.
#[derive(Debug)]
pub struct Framer {
    state: State,
    /// How much of the incomplete head was already searched for its end.
    searched: usize,
    body_length: u64,
    body_seen: u64,
}

impl Default for Framer {
    fn default() -> Self {
        Self { state: State::Head, searched: 0, body_length: 0, body_seen: 0 }
    }
}

impl Framer {
    /// Deals with the start of `input` and appends to `output` what the parser may see.
    pub fn advance(&mut self, input: &[u8], output: &mut BytesMut) -> Advance {
        if input.is_empty() {
            return Advance::NeedMore;
        }
        match self.state {
            State::Head => self.head(input, output),
            State::Length { left } => {
                let used = take(left, input.len());
                output.extend_from_slice(&input[..used]);
                self.body_seen += used as u64;
                let left = left - used as u64;
                self.state = if left == 0 { State::Head } else { State::Length { left } };
                Advance::Used(used)
            }
            State::Chunks(chunk) => self.chunk(chunk, input, output),
            State::Opaque => {
                output.extend_from_slice(input);
                Advance::Used(input.len())
            }
            State::Closed => Advance::Broken,
        }
    }

    /// Whether the next bytes belong to a request head.
    pub fn in_head(&self) -> bool {
        self.state == State::Head
    }

    /// Bytes of the current body by which its time is measured: its declared length, or with chunks what has
    /// arrived so far.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_length.max(self.body_seen).min(BODY_BYTES_MAX)
    }

    /// Gives up on the head that is arriving.
    pub(crate) fn refuse(&mut self, refusal: Refusal, output: &mut BytesMut) -> Advance {
        self.state = State::Closed;
        output.extend_from_slice(REFUSED_HEAD);
        Advance::Refused(refusal)
    }

    fn head(&mut self, input: &[u8], output: &mut BytesMut) -> Advance {
        // RFC 9112, 2.2: empty lines before the request line are ignored.
        if self.searched == 0 && input[0] == b'\r' {
            return match input.get(1) {
                None => Advance::NeedMore,
                Some(b'\n') => Advance::Used(2),
                Some(_) => self.refuse(Refusal::Malformed("a carriage return without a line feed"), output),
            };
        }
        let Some(length) = head_length(input, self.searched) else {
            self.searched = input.len().saturating_sub(3);
            let line = input.iter().position(|byte| *byte == b'\n');
            return match line {
                None if input.len() > REQUEST_LINE_BYTES_MAX => self.refuse(Refusal::UriTooLong, output),
                Some(end) if end > REQUEST_LINE_BYTES_MAX => self.refuse(Refusal::UriTooLong, output),
                Some(end) if input.len() - end > HEADERS_BYTES_MAX => {
                    self.refuse(Refusal::HeadersTooLarge, output)
                }
                _ => Advance::NeedMore,
            };
        };
        self.searched = 0;
        let head = &input[..length];
        match parse_head(head) {
            Err(refusal) => self.refuse(refusal, output),
            Ok((line, framing)) => {
                encode_line(&head[..line], output);
                output.extend_from_slice(&head[line..]);
                self.body_seen = 0;
                self.body_length = 0;
                self.state = match framing {
                    Framing::None => State::Head,
                    Framing::Length(left) => {
                        self.body_length = left;
                        State::Length { left }
                    }
                    Framing::Chunked => State::Chunks(Chunk::Size),
                    Framing::Opaque => State::Opaque,
                };
                Advance::Used(length)
            }
        }
    }

    fn chunk(&mut self, chunk: Chunk, input: &[u8], output: &mut BytesMut) -> Advance {
        let (used, next) = match chunk {
            Chunk::Size => {
                let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
                    if input.len() > CHUNK_LINE_BYTES_MAX {
                        return self.broken();
                    }
                    return Advance::NeedMore;
                };
                let Some(size) = chunk_size(&input[..=end]) else { return self.broken() };
                let next = if size == 0 { Chunk::LastEnd } else { Chunk::Data { left: size } };
                (end + 1, State::Chunks(next))
            }
            Chunk::Data { left } => {
                let used = take(left, input.len());
                self.body_seen += used as u64;
                if self.body_seen > BODY_BYTES_MAX {
                    return self.broken();
                }
                let left = left - used as u64;
                let next = if left == 0 { Chunk::DataEnd } else { Chunk::Data { left } };
                (used, State::Chunks(next))
            }
            Chunk::DataEnd | Chunk::LastEnd => {
                if input.len() < 2 && input[0] == b'\r' {
                    return Advance::NeedMore;
                }
                // Trailers are refused: the parser behind has no use for them.
                if !input.starts_with(b"\r\n") {
                    return self.broken();
                }
                let next = if chunk == Chunk::LastEnd { State::Head } else { State::Chunks(Chunk::Size) };
                (2, next)
            }
        };
        output.extend_from_slice(&input[..used]);
        self.state = next;
        Advance::Used(used)
    }

    fn broken(&mut self) -> Advance {
        self.state = State::Closed;
        Advance::Broken
    }
}

fn take(left: u64, available: usize) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

/// The length of the head with its empty line, when it is complete. `from` was searched before.
fn head_length(input: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(offset) = input[at..].iter().position(|byte| *byte == b'\n') {
        let end = at + offset;
        // A bare line feed would also end the head for a lenient parser: cut there, and refuse it after.
        if input[..end].ends_with(b"\r\n\r") || input[..end].ends_with(b"\n") {
            return Some(end + 1);
        }
        at = end + 1;
    }
    None
}

/// The size in a chunk size line with its line end; extensions are ignored.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let digits = line.split(|byte| *byte == b';').next()?;
    let valid = (1..=15).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_hexdigit)
        && line.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t');
    if !valid {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

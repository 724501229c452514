//! The first bytes of an HTTP/2 connection, under a deadline.
//!
//! The HTTP library waits for the client's preface without one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the preface within 10 s, its first byte within 5 s.
///
/// # Errors
/// When the peer is too slow, leaves, or says something else.
pub(super) async fn open_http2(mut stream: TcpStream) -> io::Result<Opened> {
    let mut read = [0; PREFACE.len()];
    let mut filled = 0;
    timeout(PREFACE_TIMEOUT, async {
        while filled < PREFACE.len() {
            let more = stream.read(&mut read[filled..]);
            let count = if filled == 0 { timeout(FIRST_BYTE_TIMEOUT, more).await?? } else { more.await? };
            filled += count;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if read[..filled] != PREFACE[..filled] {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP/2 preface"));
            }
        }
        Ok(())
    })
    .await??;
    Ok(Opened { stream, unread: PREFACE })
}

/// A stream whose first bytes were already looked at.
pub(super) struct Opened {
    stream: TcpStream,
    /// What the reader above has to see again.
    unread: &'static [u8],
}

impl Opened {
    /// Nothing was looked at.
    pub(super) fn unread(stream: TcpStream) -> Self {
        Self { stream, unread: &[] }
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let (now, later) = self.unread.split_at(self.unread.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.unread = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Opened {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

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

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener, time::Instant};

    use super::*;

    async fn opened(said: &[u8]) -> (io::Result<Opened>, Duration, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(said).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let started = Instant::now();
        (open_http2(stream).await, started.elapsed(), client)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_after_five_seconds_and_half_a_preface_after_ten() {
        let (outcome, took, _client) = opened(b"").await;
        assert_eq!(outcome.map(drop).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(took.as_secs(), 5);

        let (outcome, took, _client) = opened(&PREFACE[..12]).await;
        assert_eq!(outcome.map(drop).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(took.as_secs(), 10);
    }

    #[tokio::test]
    async fn another_protocol_is_refused_at_its_first_wrong_byte() {
        let (outcome, _, _client) = opened(b"GET / HTTP/1.1").await;
        assert_eq!(outcome.map(drop).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn the_preface_is_read_again_above_and_in_pieces() {
        let (outcome, _, mut client) = opened(PREFACE).await;
        client.write_all(b"more").await.unwrap();
        let mut stream = outcome.unwrap();
        let mut read = [0; 28];
        stream.read_exact(&mut read[..5]).await.unwrap();
        stream.read_exact(&mut read[5..]).await.unwrap();
        assert_eq!(&read[..24], PREFACE);
        assert_eq!(&read[24..], b"more");
    }
}

//! Keep-alive HTTP/1.1 clients, one request at a time on each connection.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

const DEADLINE: Duration = Duration::from_secs(10);

/// One connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; its error is the error of the request that was under way.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, host: address.to_string() })
    }

    pub(crate) async fn get(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Response<Bytes>> {
        self.send("GET", path, headers, Bytes::new()).await
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Response<Bytes>> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let exchange = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(DEADLINE, exchange)
            .await
            .with_context(|| format!("{method} {path}: no answer"))?
    }
}

/// Asks for `path` on `connections` connections for `length`; answers how many requests were answered.
pub(crate) async fn load(
    address: SocketAddr,
    path: &'static str,
    connections: usize,
    length: Duration,
) -> anyhow::Result<u64> {
    let mut clients = JoinSet::new();
    let end = Instant::now() + length;
    for _ in 0..connections {
        let mut connection = Connection::open(address).await?;
        clients.spawn(async move {
            let mut answered = 0;
            while Instant::now() < end {
                let answer = connection.get(path, &[]).await?;
                ensure!(answer.status() == 200, "{} for {path}", answer.status());
                answered += 1;
            }
            Ok(answered)
        });
    }
    let mut answered = 0;
    while let Some(client) = clients.join_next().await {
        answered += client??;
    }
    Ok(answered)
}

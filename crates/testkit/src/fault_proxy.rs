//! A network between a client and a server that does what a test wants.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

const CHUNK_BYTES: usize = 64 * 1024;
/// What may be under way in one direction before the sender feels it.
const CHUNKS_UNDER_WAY: usize = 256;
const CONNECT: Duration = Duration::from_secs(1);
const REBIND_PAUSE: Duration = Duration::from_millis(5);

/// A TCP proxy on a port of its own. It passes everything on until told otherwise; dropping it closes all.
///
/// Changes hold for connections that are open and for those to come.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    faults: Arc<Faults>,
    acceptor: JoinHandle<()>,
}

#[derive(Debug)]
struct Faults {
    network: watch::Sender<Network>,
    delay_to_server_us: AtomicU64,
    delay_to_client_us: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Open,
    /// Bytes stop where they are; connections stay.
    Frozen,
    /// Connections break, and new ones are refused.
    Cut,
}

impl FaultProxy {
    /// A proxy in front of `upstream`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("no free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let faults = Arc::new(Faults {
            network: watch::Sender::new(Network::Open),
            delay_to_server_us: AtomicU64::new(0),
            delay_to_client_us: AtomicU64::new(0),
        });
        let acceptor = tokio::spawn(accept(listener, addr, upstream, Arc::clone(&faults)));
        Self { addr, faults, acceptor }
    }

    /// A proxy in front of a server on loopback.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to_port(port: u16) -> Self {
        Self::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// `url` of the server, with this proxy's address in place of the server's.
    ///
    /// # Panics
    /// When `url` has no `127.0.0.1:<port>` in it.
    pub fn url(&self, url: &str) -> String {
        const HOST: &str = "127.0.0.1:";
        let (before, rest) = url.split_once(HOST).expect("the server is on loopback");
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{before}{HOST}{}{after}", self.addr.port())
    }

    /// Everything arrives later by `delay`, in both directions; as much per second as before.
    pub fn delay(&self, delay: Duration) {
        self.delay_to_server(delay);
        self.delay_to_client(delay);
    }

    /// What clients say arrives later by `delay`.
    pub fn delay_to_server(&self, delay: Duration) {
        self.faults.delay_to_server_us.store(micros(delay), Ordering::Relaxed);
    }

    /// What the server answers arrives later by `delay`.
    pub fn delay_to_client(&self, delay: Duration) {
        self.faults.delay_to_client_us.store(micros(delay), Ordering::Relaxed);
    }

    /// Breaks all connections and refuses new ones, as when the server is gone.
    pub fn cut(&self) {
        self.faults.network.send_replace(Network::Cut);
    }

    /// Lets nothing through any more and says so to nobody, as a network that loses every packet does.
    pub fn freeze(&self) {
        self.faults.network.send_replace(Network::Frozen);
    }

    /// No delay, no cut, no freeze; what a freeze held back arrives now.
    pub fn heal(&self) {
        self.delay(Duration::ZERO);
        self.faults.network.send_replace(Network::Open);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // Connections are tasks of the acceptor and end with it.
        self.acceptor.abort();
    }
}

fn micros(delay: Duration) -> u64 {
    u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)
}

/// Accepts while the network is not cut. While it is, the port is closed: the system refuses.
async fn accept(listener: TcpListener, addr: SocketAddr, upstream: SocketAddr, faults: Arc<Faults>) {
    let mut listener = Some(listener);
    let mut network = faults.network.subscribe();
    let mut connections = JoinSet::new();
    loop {
        let state = *network.borrow_and_update();
        if state == Network::Cut {
            listener = None;
            connections.shutdown().await;
            if network.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(addr).await {
                Ok(bound) => listener = Some(bound),
                // Somebody has the port for a moment, as the end of an outgoing connection.
                Err(_) => sleep(REBIND_PAUSE).await,
            }
            continue;
        };
        tokio::select! {
            changed = network.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            accepted = open.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(connect(client, upstream, Arc::clone(&faults)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(client: TcpStream, upstream: SocketAddr, faults: Arc<Faults>) {
    let mut network = faults.network.subscribe();
    if network.wait_for(|network| *network == Network::Open).await.is_err() {
        return;
    }
    // Without a server the client sees its connection close.
    let Ok(Ok(server)) = timeout(CONNECT, TcpStream::connect(upstream)).await else { return };
    for stream in [&client, &server] {
        // Delays are ours to make. A stream that is gone already says so at the first read.
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Each direction ends by itself, so that a half-closed connection works.
    tokio::join!(
        pump(from_client, to_server, &faults, &faults.delay_to_server_us),
        pump(from_server, to_client, &faults, &faults.delay_to_client_us),
    );
}

/// Passes bytes on, each chunk when its time has come and the network is open.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, faults: &Faults, delay_us: &AtomicU64) {
    let (queue, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_UNDER_WAY);
    let read = async move {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(len @ 1..) = from.read(&mut buffer).await {
            let at = Instant::now() + Duration::from_micros(delay_us.load(Ordering::Relaxed));
            if queue.send((at, buffer[..len].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        let mut network = faults.network.subscribe();
        while let Some((at, chunk)) = due.recv().await {
            sleep_until(at).await;
            network.wait_for(|network| *network == Network::Open).await.map_err(io::Error::other)?;
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    // A side that is gone ends the direction; the other one notices at its next read or write.
    let ((), _gone) = tokio::join!(read, write);
}

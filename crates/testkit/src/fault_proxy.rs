//! A network between a client and a server that does what a test wants.

mod pump;
mod toxics;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use pump::pump;
use toxics::Early;
pub use toxics::{Flow, Toxics};

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
    to_server: watch::Sender<Toxics>,
    to_client: watch::Sender<Toxics>,
    /// Connections so far: each draws its own delays.
    connections: AtomicU64,
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
            to_server: watch::Sender::new(Toxics::default()),
            to_client: watch::Sender::new(Toxics::default()),
            connections: AtomicU64::new(0),
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
        self.faults.to_server.send_modify(|toxics| toxics.latency = delay);
    }

    /// What the server answers arrives later by `delay`.
    pub fn delay_to_client(&self, delay: Duration) {
        self.faults.to_client.send_modify(|toxics| toxics.latency = delay);
    }

    /// What is wrong with what clients say, in place of what was.
    pub fn poison_to_server(&self, toxics: Toxics) {
        self.faults.to_server.send_replace(toxics);
    }

    /// What is wrong with what the server answers, in place of what was.
    pub fn poison_to_client(&self, toxics: Toxics) {
        self.faults.to_client.send_replace(toxics);
    }

    /// Connections that clients have made so far.
    pub fn connections(&self) -> u64 {
        self.faults.connections.load(Ordering::Relaxed)
    }

    /// Breaks all connections and refuses new ones, as when the server is gone.
    pub fn cut(&self) {
        self.faults.network.send_replace(Network::Cut);
    }

    /// Lets nothing through any more and says so to nobody, as a network that loses every packet does.
    pub fn freeze(&self) {
        self.faults.network.send_replace(Network::Frozen);
    }

    /// Nothing is wrong any more; what a freeze held back arrives now.
    pub fn heal(&self) {
        self.poison_to_server(Toxics::default());
        self.poison_to_client(Toxics::default());
        self.faults.network.send_replace(Network::Open);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // Connections are tasks of the acceptor and end with it.
        self.acceptor.abort();
    }
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

async fn connect(mut client: TcpStream, upstream: SocketAddr, faults: Arc<Faults>) {
    let seed = faults.connections.fetch_add(1, Ordering::Relaxed);
    let mut network = faults.network.subscribe();
    if network.wait_for(|network| *network == Network::Open).await.is_err() {
        return;
    }
    // Without a server the client sees its connection close.
    let Ok(Ok(mut server)) = timeout(CONNECT, TcpStream::connect(upstream)).await else { return };
    for stream in [&client, &server] {
        // Delays are ours to make. A stream that is gone already says so at the first read.
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let network = &faults.network;
    // Each direction ends by itself, so that a half-closed connection works.
    let ended = tokio::try_join!(
        pump(from_client, to_server, network.subscribe(), faults.to_server.subscribe(), seed),
        pump(from_server, to_client, network.subscribe(), faults.to_client.subscribe(), !seed),
    );
    if ended == Err(Early::Reset) {
        for stream in [&client, &server] {
            // One that is gone already needs no reset.
            let _ = stream.set_zero_linger();
        }
    }
}

//! A small load balancer for one test: it asks each gateway whether it is ready and forwards to those
//! that are, connection by connection, as a Kubernetes Service does.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(crate) struct HealthProxy {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl HealthProxy {
    pub(crate) async fn start(gateways: Vec<SocketAddr>) -> Self {
        let ready = Arc::new(Mutex::new(gateways.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let probed = Arc::clone(&ready);
        tasks.spawn(async move {
            let http = reqwest::Client::new();
            loop {
                let mut answers = Vec::new();
                for gateway in &gateways {
                    let probe = http.get(format!("http://{gateway}/health/ready"));
                    let answer = probe.timeout(Duration::from_millis(500)).send().await;
                    if answer.is_ok_and(|answer| answer.status().is_success()) {
                        answers.push(*gateway);
                    }
                }
                *probed.lock().unwrap() = answers;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        tasks.spawn(async move {
            let next = AtomicUsize::new(0);
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let targets = ready.lock().unwrap().clone();
                let turn = next.fetch_add(1, Ordering::Relaxed);
                connections.spawn(async move {
                    for attempt in 0..targets.len() {
                        let target = targets[(turn + attempt) % targets.len()];
                        if let Ok(mut gateway) = TcpStream::connect(target).await {
                            // Either side may close first; the client's verdict is what the test counts.
                            let _ended = copy_bidirectional(&mut client, &mut gateway).await;
                            return;
                        }
                    }
                });
            }
        });
        Self { address, _tasks: tasks }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

//! A NATS with JetStream of one's own: the product's stream names are fixed, so tests cannot share one.

use data_plane::NatsOptions;
use tokio::sync::Mutex;

use crate::checkout;
use crate::scratch::Scratch;

/// A server without streams, to be killed and restarted at will; gone with this value.
#[derive(Debug)]
pub struct Nats {
    port: u16,
    server: Mutex<data_plane::Nats>,
    _scratch: Scratch,
}

impl Nats {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no program, or it does not come up.
    pub async fn start() -> Self {
        let scratch = Scratch::new();
        let tools = checkout::tools().await.expect("tests need a NATS server");
        let options = NatsOptions::new(scratch.path().join("nats"));
        let server = data_plane::Nats::start(tools, &options).await.expect("NATS does not start");
        Self { port: server.port(), server: Mutex::new(server), _scratch: scratch }
    }

    /// `nats://127.0.0.1:<port>`, the same over restarts.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1, the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process; none while it is killed.
    pub async fn pid(&self) -> Option<u32> {
        self.server.lock().await.pid()
    }

    /// Ends the server by SIGKILL and returns when it is gone; its streams stay on disk.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub async fn kill(&self) {
        self.server.lock().await.kill().await.expect("NATS cannot be killed");
    }

    /// Starts it again on its streams and returns when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&self) {
        self.server.lock().await.restart().await.expect("NATS does not start again");
    }

    /// Starts it again without its streams, as after the loss of a disk.
    ///
    /// # Panics
    /// When its folder cannot be emptied, or it does not come up.
    pub async fn restart_empty(&self) {
        let mut server = self.server.lock().await;
        server.kill().await.expect("NATS cannot be killed");
        let streams = server.data_dir().join("jetstream");
        std::fs::remove_dir_all(streams).expect("the streams cannot be removed");
        server.restart().await.expect("NATS does not start again");
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // The folder goes next, so the process must be gone. A failure leaves it to its supervisor.
        let _ = self.server.get_mut().kill_now();
    }
}

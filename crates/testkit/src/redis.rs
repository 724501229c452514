//! A Redis (or Valkey) of one's own.

use data_plane::RedisOptions;
use tokio::sync::Mutex;

use crate::checkout;
use crate::scratch::Scratch;

/// An empty server, to be killed and restarted at will; gone with this value.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    server: Mutex<data_plane::Redis>,
    _scratch: Scratch,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no program, or it does not come up.
    pub async fn start() -> Self {
        let scratch = Scratch::new();
        let tools = checkout::tools().await.expect("tests need a Redis or Valkey");
        let options = RedisOptions { memory_mib: 64, ..RedisOptions::new(scratch.path().join("redis")) };
        let server = data_plane::Redis::start(tools, &options).await.expect("Redis does not start");
        Self { port: server.port(), server: Mutex::new(server), _scratch: scratch }
    }

    /// `redis://127.0.0.1:<port>`, the same over restarts.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1, the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process; none while it is killed.
    pub async fn pid(&self) -> Option<u32> {
        self.server.lock().await.pid()
    }

    /// Ends the server by SIGKILL; all keys are lost. Returns when it is gone.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub async fn kill(&self) {
        self.server.lock().await.kill().await.expect("Redis cannot be killed");
    }

    /// Starts it again, empty, and returns when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&self) {
        self.server.lock().await.restart().await.expect("Redis does not start again");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // The folder goes next, so the process must be gone. A failure leaves it to its supervisor.
        let _ = self.server.get_mut().kill_now();
    }
}

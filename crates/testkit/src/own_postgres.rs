//! A PostgreSQL of one's own, for tests that take it away. All others share one: [`crate::postgres`].

use data_plane::{Auth, PostgresOptions};
use tokio::sync::Mutex;

use crate::checkout;
use crate::scratch::Scratch;

/// An empty cluster, to be killed and restarted at will; gone with this value. Takes half a second.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    server: Mutex<data_plane::Postgres>,
    _scratch: Scratch,
}

impl Postgres {
    /// Starts one, which asks for no passwords.
    ///
    /// # Panics
    /// When there is no program, or it does not come up.
    pub async fn start() -> Self {
        let scratch = Scratch::new();
        let tools = checkout::tools().await.expect("tests need PostgreSQL");
        let options =
            PostgresOptions { auth: Auth::Trust, ..PostgresOptions::new(scratch.path().join("data")) };
        let server = data_plane::Postgres::start(tools, &options).await.expect("PostgreSQL does not start");
        Self { port: server.port(), server: Mutex::new(server), _scratch: scratch }
    }

    /// The superuser's URL, the same over restarts.
    pub fn admin_url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port on 127.0.0.1, the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process; none while it is killed.
    pub async fn pid(&self) -> Option<u32> {
        self.server.lock().await.pid()
    }

    /// Ends the server and its sessions at once, as a crash would; what was committed is kept.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub async fn kill(&self) {
        self.server.lock().await.kill().await.expect("PostgreSQL cannot be killed");
    }

    /// Starts it again on its data and returns when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&self) {
        self.server.lock().await.restart().await.expect("PostgreSQL does not start again");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The folder goes next, so the process must be gone. A failure leaves it to its supervisor.
        let _ = self.server.get_mut().kill_now();
    }
}

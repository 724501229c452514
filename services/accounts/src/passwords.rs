//! Password hashes (Argon2id), and how many of them are computed at once.
//!
//! Each costs 19 MiB and tens of milliseconds of a core, on purpose. So a permit bounds how many run, a short
//! queue bounds how many wait, and the permit moves into the computation: a caller who leaves frees nothing
//! that is still in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::domain::password::Password;
use crate::error::Error;
use crate::secrets::{Pepper, Secrets, random};

/// The floor that OWASP names: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// A stored hash that demands more was not made here and is refused: it could stop the service.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
const PASSES_MAX: u32 = 5;
const LANES_MAX: u32 = 4;
/// Callers that may wait for a permit; one more is refused at once.
const WAITING_MAX: usize = 32;
/// How long one may wait.
const WAIT: Duration = Duration::from_secs(1);
/// When one who was refused may come again; spread, so that they do not come together.
const RETRY_AFTER_MS: std::ops::Range<u64> = 1_000..3_000;

/// Computes and checks password hashes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    current: Pepper,
    previous: Option<Pepper>,
    /// Checked in the place of a hash that there is none of: the same work, never right.
    nobody: String,
    permits: Arc<Semaphore>,
    /// One for each that may compute or wait.
    line: Arc<Semaphore>,
    waiting: AtomicUsize,
    computed: AtomicU64,
    refused: AtomicU64,
}

/// The right to compute one hash. Whoever waits for it has tried nothing yet, so that a storm of strangers uses
/// up nobody's attempts without looking at them.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// What checking a password found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and made with less than is used today: the moment to make it anew.
    RightButOutdated,
}

impl Passwords {
    /// For a machine with so many cores: half of them, at least one, are for passwords.
    pub(crate) fn new(secrets: &Secrets, cores: usize) -> Self {
        let (current, previous) = secrets.peppers();
        let nobody = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: (&params(&current))
                .try_into()
                .expect("three numbers and four bytes fit into a PHC string"),
            salt: Some(Salt::new(&random::<16>()).expect("16 bytes are a salt")),
            hash: Some(Output::new(&random::<32>()).expect("32 bytes are a hash")),
        };
        let permits = (cores / 2).max(1);
        Self {
            inner: Arc::new(Inner {
                current,
                previous,
                nobody: nobody.to_string(),
                permits: Arc::new(Semaphore::new(permits)),
                line: Arc::new(Semaphore::new(permits + WAITING_MAX)),
                waiting: AtomicUsize::new(0),
                computed: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            }),
        }
    }

    /// A place in the line, for callers that have statements to run before their password is looked at: when
    /// the line is full they are told before they cost anything.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many are under way.
    pub(crate) fn line_up(&self) -> Result<InLine, Error> {
        let place = Arc::clone(&self.inner.line).try_acquire_owned();
        place.map(InLine).map_err(|_full| self.overloaded())
    }

    /// A new hash of `password`, as a PHC string.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many are under way.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Error> {
        let turn = self.turn().await?;
        let pepper = self.inner.current;
        self.compute(turn, move || {
            let argon2 = context(&pepper, params(&pepper));
            argon2.hash_password(password.as_bytes()).map(|hash| hash.to_string())
        })
        .await?
        .map_err(|_broken| Error::Internal("a password could not be hashed"))
    }

    /// Whether `password` is the one of `stored`. Without `stored` the answer is no, after the same work.
    ///
    /// # Errors
    /// [`Error::Internal`] when the computation breaks off.
    pub(crate) async fn verify(
        &self,
        turn: Turn,
        password: Password,
        stored: Option<String>,
    ) -> Result<Verdict, Error> {
        let usable = stored.as_deref().and_then(|stored| self.usable(stored));
        let (hash, pepper, outdated) = match usable {
            Some(usable) => usable,
            None => {
                if stored.is_some() {
                    tracing::error!(
                        "a stored password hash is not one of ours; its account cannot be opened"
                    );
                }
                let nobody = PasswordHash::new(&self.inner.nobody).expect("made from its parts at the start");
                (nobody, self.inner.current, false)
            }
        };
        let right = self
            .compute(turn, move || {
                let argon2 = context(&pepper, Params::DEFAULT);
                argon2.verify_password(password.as_bytes(), &hash).is_ok()
            })
            .await?;
        Ok(match (right, outdated) {
            (false, _) => Verdict::Wrong,
            (true, false) => Verdict::Right,
            (true, true) => Verdict::RightButOutdated,
        })
    }

    /// Appends the counts in the Prometheus text format.
    pub(crate) fn prometheus(&self, out: &mut String) {
        use std::fmt::Write as _;
        let inner = &self.inner;
        for (name, kind, help, value) in [
            (
                "accounts_password_hashes_total",
                "counter",
                "Password hashes computed, to make or to check one.",
                inner.computed.load(Ordering::Relaxed),
            ),
            (
                "accounts_password_hashes_refused_total",
                "counter",
                "Passwords not looked at because too many were under way.",
                inner.refused.load(Ordering::Relaxed),
            ),
            (
                "accounts_password_hashes_waiting",
                "gauge",
                "Passwords waiting for their turn.",
                inner.waiting.load(Ordering::Relaxed) as u64,
            ),
        ] {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
    }

    /// The hash, its pepper, and whether it is weaker than today's; nothing for a hash that we do not compute.
    fn usable(&self, stored: &str) -> Option<(PasswordHash, Pepper, bool)> {
        let hash = PasswordHash::new(stored).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let affordable = params.m_cost() <= MEMORY_KIB_MAX
            && params.t_cost() <= PASSES_MAX
            && params.p_cost() <= LANES_MAX
            && hash.algorithm == Algorithm::Argon2id.ident();
        let peppers = [Some(self.inner.current), self.inner.previous];
        let pepper = peppers.into_iter().flatten().find(|pepper| pepper.key_id == params.keyid())?;
        let outdated = params.m_cost() < MEMORY_KIB
            || params.t_cost() < PASSES
            || pepper.key_id != self.inner.current.key_id;
        affordable.then_some((hash, pepper, outdated))
    }

    /// Waits until one more hash may be computed.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many are under way.
    pub(crate) async fn turn(&self) -> Result<Turn, Error> {
        if let Ok(permit) = Arc::clone(&self.inner.permits).try_acquire_owned() {
            return Ok(Turn { _permit: permit });
        }
        let place = Place::take(&self.inner.waiting).ok_or_else(|| self.overloaded())?;
        let permit = timeout(WAIT, Arc::clone(&self.inner.permits).acquire_owned()).await;
        drop(place);
        let permit = permit.map_err(|_late| self.overloaded())?;
        Ok(Turn { _permit: permit.expect("the semaphore is never closed") })
    }

    /// Runs `work` on a thread of its own. The turn goes with it: it ends when the memory is free again.
    async fn compute<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.computed.fetch_add(1, Ordering::Relaxed);
        let computed = tokio::task::spawn_blocking(move || {
            let _until_done = turn;
            work()
        });
        computed.await.map_err(|_panicked| Error::Internal("a password computation panicked"))
    }

    fn overloaded(&self) -> Error {
        self.inner.refused.fetch_add(1, Ordering::Relaxed);
        Error::Overloaded { retry_after: Duration::from_millis(fastrand::u64(RETRY_AFTER_MS)) }
    }
}

fn params(pepper: &Pepper) -> Params {
    let key_id = KeyId::new(&pepper.key_id).expect("four bytes are a key id");
    ParamsBuilder::new()
        .m_cost(MEMORY_KIB)
        .t_cost(PASSES)
        .p_cost(LANES)
        .keyid(key_id)
        .build()
        .expect("the parameters are constants within Argon2's limits")
}

fn context(pepper: &Pepper, params: Params) -> Argon2<'_> {
    Argon2::new_with_secret(&pepper.secret, Algorithm::Argon2id, Version::V0x13, params)
        .expect("32 bytes are not too long for a secret")
}

/// A place in the line, given back on drop.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
pub(crate) struct InLine(OwnedSemaphorePermit);

/// A place in the queue, given back on drop.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(current: u8, previous: Option<u8>) -> Passwords {
        let previous = previous.map(|byte| [byte; 32]);
        Passwords::new(&Secrets::new(&[current; 32], previous.as_ref()), 2)
    }

    fn password(text: &str) -> Password {
        Password::given("password", text).unwrap()
    }

    fn computed(passwords: &Passwords) -> u64 {
        passwords.inner.computed.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_hash_names_its_parameters_and_its_key_and_fits_its_password_only() {
        let passwords = passwords(1, None);
        let hash = passwords.hash(password("a long enough password")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid="), "{hash}");
        let verify = async |text| {
            let turn = passwords.turn().await.unwrap();
            passwords.verify(turn, password(text), Some(hash.clone())).await.unwrap()
        };
        assert_eq!(verify("a long enough password").await, Verdict::Right);
        assert_eq!(verify("a long enough passwore").await, Verdict::Wrong);
        assert_ne!(passwords.hash(password("a long enough password")).await.unwrap(), hash, "salted");
    }

    #[tokio::test]
    async fn an_account_that_is_not_there_costs_the_same_work() {
        let passwords = passwords(1, None);
        let hash = passwords.hash(password("x")).await.unwrap();
        let before = computed(&passwords);
        for stored in [None, Some(hash), Some("$argon2id$nonsense".to_owned())] {
            let turn = passwords.turn().await.unwrap();
            assert_eq!(passwords.verify(turn, password("y"), stored).await.unwrap(), Verdict::Wrong);
        }
        assert_eq!(computed(&passwords), before + 3);
        let nobody = PasswordHash::new(&passwords.inner.nobody).unwrap();
        let params = Params::try_from(&nobody).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
    }

    #[tokio::test]
    async fn a_new_pepper_makes_old_hashes_outdated_and_a_lost_one_useless() {
        let hash = passwords(1, None).hash(password("secret")).await.unwrap();
        let verify = async |passwords: Passwords| {
            let turn = passwords.turn().await.unwrap();
            passwords.verify(turn, password("secret"), Some(hash.clone())).await.unwrap()
        };
        assert_eq!(verify(passwords(2, Some(1))).await, Verdict::RightButOutdated);
        assert_eq!(verify(passwords(2, None)).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn hashes_that_cost_too_much_are_not_computed() {
        let passwords = passwords(1, None);
        let pepper = passwords.inner.current;
        let made = async |memory, passes| {
            let key_id = KeyId::new(&pepper.key_id).unwrap();
            let params = ParamsBuilder::new().m_cost(memory).t_cost(passes).keyid(key_id).build().unwrap();
            let hash = context(&pepper, params).hash_password(b"secret").unwrap().to_string();
            let turn = passwords.turn().await.unwrap();
            passwords.verify(turn, password("secret"), Some(hash)).await.unwrap()
        };
        assert_eq!(made(8, 1).await, Verdict::RightButOutdated);
        assert_eq!(made(MEMORY_KIB_MAX + 1, 1).await, Verdict::Wrong);
        assert_eq!(made(64, PASSES_MAX + 1).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn the_queue_is_bounded_in_length_and_in_time() {
        let passwords = passwords(1, None);
        // Nobody gives the one permit back.
        let held = Arc::clone(&passwords.inner.permits).acquire_owned().await.unwrap();
        let asked = (0..WAITING_MAX + 8).map(|_| passwords.hash(password("secret")));
        let begun = std::time::Instant::now();
        let answers = futures_util::future::join_all(asked).await;
        assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Overloaded { .. }))));
        assert!(begun.elapsed() >= WAIT, "those in the queue waited");
        assert_eq!(passwords.inner.refused.load(Ordering::Relaxed), WAITING_MAX as u64 + 8);
        assert_eq!(passwords.inner.waiting.load(Ordering::Relaxed), 0);
        drop(held);
        assert!(passwords.hash(password("secret")).await.is_ok());
    }
}

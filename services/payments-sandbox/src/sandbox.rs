//! One request from the bearer to the answer: the key, the waiting, the effect, and what is heard of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::chance::{Luck, Wait};
use crate::error::Refusal;
use crate::form::Form;
use crate::intent::{Act, Fact, Intent, new_id};
use crate::knobs::{Knobs, LostAnswer, WAIT_MAX};
use crate::operation::Operation;
use crate::token::Answering;
use crate::world::{Claim, KeptResult, World};

/// Requests under way at once; more are told to come back.
const REQUESTS_MAX: usize = 1024;

/// A running provider. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sandbox(Arc<Shared>);

struct Shared {
    secret: String,
    public_url: String,
    world: Mutex<World>,
    /// Counts changes of the configuration, for those who hang until one.
    changed: watch::Sender<u64>,
    /// Something may have come due.
    wake: Notify,
    places: Arc<Semaphore>,
}

/// What is heard.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Answer(Answer),
    /// Nothing: the connection is reset.
    Reset,
}

/// What an answer is made of.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) request_id: String,
    /// The first result of its key once more; then the first request's id.
    pub(crate) original: Option<String>,
}

impl Answer {
    fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), request_id: new_id("req"), original: None }
    }

    fn refusal(refusal: &Refusal) -> Self {
        Self::new(refusal.status, &refusal.body())
    }
}

impl Sandbox {
    pub(crate) fn new(secret: String, public_url: String, world: World) -> Self {
        Self(Arc::new(Shared {
            secret,
            public_url,
            world: Mutex::new(world),
            changed: watch::Sender::new(0),
            wake: Notify::new(),
            places: Arc::new(Semaphore::new(REQUESTS_MAX)),
        }))
    }

    /// Whether that is the bearer's secret.
    pub(crate) fn knows(&self, authorization: &str) -> bool {
        let shown = authorization.strip_prefix("Bearer ").unwrap_or_default();
        // A sandbox's secret guards nothing; still, comparing does not tell how much of it was right.
        let differences = shown.bytes().zip(self.0.secret.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        shown.len() == self.0.secret.len() && differences == 0
    }

    /// A call that changes something.
    pub(crate) async fn post(
        &self,
        path: &str,
        key: Option<&str>,
        form: &Form,
        operation: Result<Operation, Refusal>,
    ) -> Heard {
        let Some(place) = self.place() else { return refused(&Refusal::too_many()) };
        if let Some(key) = key {
            match self.world().keys.claim(key, path, &form.fingerprint(), now_ms()) {
                Err(refusal) => return refused(&refusal),
                Ok(Claim::Replay(result)) => return replayed(result),
                Ok(Claim::Fresh) => {}
            }
        }
        let held = Held { sandbox: self.clone(), key: key.map(str::to_owned), _place: place };
        let operation = match operation {
            Ok(operation) => operation,
            Err(refusal) => return refused(&refusal),
        };
        let (luck, lost) = {
            let mut world = self.world();
            let subject = key.map_or_else(|| operation.subject(&world).to_owned(), str::to_owned);
            let knobs = world.knobs.clone();
            let lost = knobs.lost_answer;
            (world.chance.luck(&knobs, operation.name(), &subject), lost)
        };
        if luck.reset_connection {
            return Heard::Reset;
        }
        // The provider goes on when its caller leaves: that is what makes an answer lost.
        let (path, fingerprint) = (path.to_owned(), form.fingerprint());
        let work = tokio::spawn(async move { held.work(&path, fingerprint, &operation, &luck, lost).await });
        work.await.unwrap_or_else(|_panicked| refused(&Refusal::internal()))
    }

    /// A call that only reads.
    pub(crate) async fn get(
        &self,
        subject: &str,
        read: impl FnOnce(&World) -> Result<Value, Refusal>,
    ) -> Heard {
        let Some(_place) = self.place() else { return refused(&Refusal::too_many()) };
        let luck = {
            let mut world = self.world();
            let knobs = world.knobs.clone();
            let subject = world.intent(subject).map_or(subject, Intent::subject).to_owned();
            world.chance.luck(&knobs, "get", &subject)
        };
        if luck.reset_connection {
            return Heard::Reset;
        }
        self.wait(luck.wait).await;
        let found = read(&self.world());
        match found {
            Ok(body) => Heard::Answer(Answer::new(200, &body)),
            Err(refusal) => refused(&refusal),
        }
    }

    /// What the payer, the bank or the passing of time does to an intent.
    pub(crate) fn happen(
        &self,
        id: &str,
        what: impl FnOnce(&mut Intent, &Act<'_>) -> Result<Vec<Fact>, Refusal>,
    ) -> Result<Intent, Refusal> {
        let act = Act { now_ms: now_ms(), key: None, public_url: &self.0.public_url };
        let mut world = self.world();
        let found = world.intent(id).cloned();
        let mut intent = found.ok_or_else(|| Refusal::no_such("payment_intent", "intent", id))?;
        let facts = what(&mut intent, &act)?;
        world.keep(intent.clone(), facts, &act);
        world.save();
        drop(world);
        self.0.wake.notify_one();
        Ok(intent)
    }

    /// Does what came due by itself.
    pub(crate) fn pass_time(&self, now_ms: i64) {
        let act = Act { now_ms, key: None, public_url: &self.0.public_url };
        let mut world = self.world();
        for mut intent in world.take_due(now_ms) {
            let facts = intent.came_due(&act);
            world.keep(intent, facts, &act);
        }
        world.save();
    }

    /// Other knobs; who hangs goes on.
    pub(crate) fn set_knobs(&self, knobs: Knobs) {
        let mut world = self.world();
        world.set_knobs(knobs);
        world.save();
        drop(world);
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// Forgets everything; who hangs goes on.
    pub(crate) fn reset(&self) {
        let mut world = self.world();
        world.reset();
        world.save();
        drop(world);
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// The state. Never held while waiting for anything.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // Every change is made on a copy and put back whole, so a panic leaves nothing half done.
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when something may have come due.
    pub(crate) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.places).try_acquire_owned().ok()
    }

    async fn wait(&self, wait: Wait) {
        match wait {
            Wait::For(Duration::ZERO) => {}
            Wait::For(wait) => tokio::time::sleep(wait).await,
            Wait::UntilChanged => {
                let mut changed = self.0.changed.subscribe();
                // A minute is the same to a caller as a change: it goes on.
                let _either = tokio::time::timeout(WAIT_MAX, changed.changed()).await;
            }
        }
    }
}

/// A request under way; its key is free again when it is over, however that comes.
struct Held {
    sandbox: Sandbox,
    key: Option<String>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    async fn work(
        mut self,
        path: &str,
        fingerprint: String,
        operation: &Operation,
        luck: &Luck,
        lost: LostAnswer,
    ) -> Heard {
        if let Some(token) = operation.token() {
            self.sandbox.wait(Wait::For(token.slow)).await;
        }
        self.sandbox.wait(luck.wait).await;

        let silence = match (operation.answering(), luck.answer_lost) {
            (Answering::InternalError, _) => Some(LostAnswer::Error),
            (Answering::Nothing, _) => Some(LostAnswer::Hang),
            (Answering::Truth, true) => Some(lost),
            (Answering::Truth, false) => None,
        };
        let answer = self.perform(path, fingerprint, operation, luck, silence);
        self.sandbox.0.wake.notify_one();
        // Nobody else may wait for an answer that nobody will hear.
        self.release_key();
        match silence {
            None | Some(LostAnswer::Error) => Heard::Answer(answer),
            Some(LostAnswer::Reset) => Heard::Reset,
            Some(LostAnswer::Hang) => {
                self.sandbox.wait(Wait::UntilChanged).await;
                Heard::Reset
            }
        }
    }

    /// The effect and the result of the key, under one lock.
    fn perform(
        &self,
        path: &str,
        fingerprint: String,
        operation: &Operation,
        luck: &Luck,
        silence: Option<LostAnswer>,
    ) -> Answer {
        let now_ms = now_ms();
        let act = Act { now_ms, key: self.key.as_deref(), public_url: &self.sandbox.0.public_url };
        let mut world = self.sandbox.world();
        let done = if luck.before_effect {
            Err(Refusal::internal())
        } else {
            operation.perform(&mut world, luck, &act)
        };
        let (answer, is_result) = match done {
            Err(refusal) if !refusal.is_result => (Answer::refusal(&refusal), false),
            _ if silence == Some(LostAnswer::Error) => (Answer::refusal(&Refusal::internal()), true),
            Ok(body) => (Answer::new(200, &body), true),
            Err(refusal) => (Answer::refusal(&refusal), true),
        };
        if let Some(key) = self.key.as_deref().filter(|_| is_result) {
            let result = KeptResult {
                path: path.to_owned(),
                fingerprint,
                request_id: answer.request_id.clone(),
                status: answer.status,
                body: answer.body.clone(),
                at_ms: now_ms,
            };
            world.keep_result(key, result);
        }
        world.save();
        answer
    }

    fn release_key(&mut self) {
        if let Some(key) = self.key.take() {
            self.sandbox.world().keys.release(&key);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release_key();
    }
}

fn refused(refusal: &Refusal) -> Heard {
    Heard::Answer(Answer::refusal(refusal))
}

fn replayed(result: KeptResult) -> Heard {
    Heard::Answer(Answer {
        status: result.status,
        body: result.body,
        request_id: new_id("req"),
        original: Some(result.request_id),
    })
}

/// The clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

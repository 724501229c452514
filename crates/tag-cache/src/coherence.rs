//! What this gateway knows about purges, and the one rule by which an entry may be served.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::Moment;
use crate::entry::Entry;
use crate::lookup::Class;
use crate::mode::{LogState, Mode, Permit, Pipeline, Pulse};
use crate::position::Position;
use crate::ring::{Applied, Ring};
use crate::sketch::{Sketch, SlotsPerRow};
use crate::tag::Tag;

/// Whether purges allow an entry. Its lifetime is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Clean,
    /// One of its tags was purged after its stamp, or this gateway cannot judge a stamp that old.
    Dead,
}

/// The state of one gateway. Readers take no lock: they load a few integers.
///
/// One follower task writes positions; the heartbeat task writes the pipeline; publishers of this process
/// raise slots early.
#[derive(Debug)]
pub(crate) struct Coherence {
    sketch: Sketch,
    /// Grows after every change that could turn a clean entry dead. An entry that was found clean at the
    /// current version is clean.
    version: AtomicU64,
    /// Everything up to here is in the sketch.
    applied: AtomicU64,
    /// The greatest position this process raised before it was applied.
    raised: AtomicU64,
    /// Stamps below this cannot be judged.
    floor: AtomicU64,
    /// Until this moment everything is in order if nothing more is heard.
    live_until: AtomicU64,
    /// The sequence whose application would improve the mode; `u64::MAX` for none.
    awaited: AtomicU64,
    last_named: AtomicU64,
    epoch: watch::Sender<u16>,
    progress: watch::Sender<Position>,
    pipeline: Mutex<Pipeline>,
    ring: Mutex<Ring>,
}

impl Coherence {
    pub(crate) fn new(slots: SlotsPerRow) -> Self {
        Self {
            sketch: Sketch::new(slots),
            // Entries are born validated at 0, which is never current.
            version: AtomicU64::new(1),
            applied: AtomicU64::new(Position::START.to_bits()),
            raised: AtomicU64::new(Position::START.to_bits()),
            // Nothing can be judged before the epoch is known.
            floor: AtomicU64::new(u64::MAX),
            live_until: AtomicU64::new(Moment::NEVER.to_bits()),
            awaited: AtomicU64::new(u64::MAX),
            last_named: AtomicU64::new(0),
            epoch: watch::Sender::new(0),
            progress: watch::Sender::new(Position::START),
            pipeline: Mutex::new(Pipeline::new()),
            ring: Mutex::new(Ring::starting_at(Position::START)),
        }
    }

    /// The last position applied. A stamp is this value, read before the origin is asked.
    #[inline]
    pub(crate) fn applied(&self) -> Position {
        Position::from_bits(self.applied.load(Ordering::Acquire))
    }

    /// What a request that arrives now may expect to be honoured: everything applied, and everything this
    /// process itself published.
    pub(crate) fn arrival(&self) -> Position {
        self.applied().max(Position::from_bits(self.raised.load(Ordering::Acquire)))
    }

    pub(crate) fn floor(&self) -> Position {
        Position::from_bits(self.floor.load(Ordering::Acquire))
    }

    /// 0 until the first heartbeat.
    pub(crate) fn epoch(&self) -> u16 {
        *self.epoch.borrow()
    }

    /// The last sequence a heartbeat named.
    pub(crate) fn last_named(&self) -> u64 {
        self.last_named.load(Ordering::Relaxed)
    }

    pub(crate) fn epochs(&self) -> watch::Receiver<u16> {
        self.epoch.subscribe()
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Position> {
        self.progress.subscribe()
    }

    /// The serve rule, for every serve of every tier.
    #[inline]
    pub(crate) fn judge(&self, entry: &Entry) -> Verdict {
        // Read before the slots: a purge that raises one of them later also moves the version on, so a
        // verdict that missed it is not remembered for the new version.
        let version = self.version.load(Ordering::Acquire);
        if entry.validated.is_at(version) {
            return Verdict::Clean;
        }
        if entry.stamp < self.floor() {
            return Verdict::Dead;
        }
        if entry.tags().iter().any(|&tag| self.sketch.last_purge(tag) > entry.stamp) {
            return Verdict::Dead;
        }
        entry.validated.set(version);
        Verdict::Clean
    }

    /// What a request of `class` may do now.
    #[inline]
    pub(crate) fn permit(&self, class: Class, now: Moment) -> Permit {
        if now.to_bits() < self.live_until.load(Ordering::Acquire) {
            return Permit::Serve;
        }
        self.pipeline().permit(class, now)
    }

    pub(crate) fn mode(&self, now: Moment) -> Mode {
        self.pipeline().mode(now)
    }

    pub(crate) fn behind(&self, now: Moment) -> std::time::Duration {
        self.pipeline().behind(now)
    }

    pub(crate) fn log(&self) -> LogState {
        self.pipeline().log()
    }

    /// The next purge, in order.
    pub(crate) fn apply(&self, now: Moment, purge: Applied, tags: impl IntoIterator<Item = Tag>) {
        for tag in tags {
            self.sketch.raise(tag, purge.position);
        }
        self.ring().push(purge);
        self.advance(now, purge.position);
    }

    /// A place of the log whose content is not known: nothing older than it can be judged.
    pub(crate) fn apply_unknown(&self, now: Moment, position: Position) {
        *self.ring() = Ring::starting_at(position);
        self.floor.fetch_max(position.to_bits(), Ordering::AcqRel);
        self.advance(now, position);
    }

    /// Reading starts behind `position` (the first time, or in a new epoch): whatever was purged before is
    /// not in the sketch, so nothing older can be judged.
    pub(crate) fn start_at(&self, now: Moment, position: Position) {
        *self.ring() = Ring::starting_at(position);
        self.applied.store(position.to_bits(), Ordering::Release);
        self.floor.store(position.to_bits(), Ordering::Release);
        self.moved(now, position);
    }

    fn advance(&self, now: Moment, position: Position) {
        self.applied.store(position.to_bits(), Ordering::Release);
        self.moved(now, position);
    }

    fn moved(&self, now: Moment, position: Position) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.progress.send_replace(position);
        if position.sequence() >= self.awaited.load(Ordering::Acquire) {
            let mut pipeline = self.pipeline();
            pipeline.applied(now, position.sequence());
            self.publish(&pipeline);
        }
    }

    /// A purge this process published itself: its tags die here at once. `applied` still advances only in
    /// order, so the follower will pass `position` later.
    pub(crate) fn raise(&self, position: Position, tags: impl IntoIterator<Item = Tag>) {
        for tag in tags {
            self.sketch.raise(tag, position);
        }
        self.raised.fetch_max(position.to_bits(), Ordering::AcqRel);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// A heartbeat. Returns whether it fits what is known; one of an older epoch does not and is ignored.
    pub(crate) fn pulse(&self, now: Moment, epoch: u16, pulse: Pulse) -> PulseOutcome {
        let current = self.epoch();
        if epoch < current || epoch == 0 {
            return PulseOutcome::OldEpoch;
        }
        let mut pipeline = self.pipeline();
        if epoch > current {
            // Everything older is dead from here on; the follower then says where the new life starts.
            self.floor.store(Position::new(epoch, Position::SEQUENCE_MAX).to_bits(), Ordering::Release);
            self.version.fetch_add(1, Ordering::AcqRel);
            pipeline.forget_targets(now);
            self.last_named.store(pulse.last_sequence, Ordering::Relaxed);
            self.epoch.send_replace(epoch);
        }
        let applied = self.applied();
        let applied = if applied.epoch() == epoch { applied.sequence() } else { 0 };
        pipeline.pulse(now, pulse, applied);
        self.publish(&pipeline);
        let named = self.last_named.swap(pulse.last_sequence, Ordering::Relaxed);
        if epoch > current {
            PulseOutcome::NewEpoch
        } else if pulse.last_sequence < named {
            PulseOutcome::WentBack
        } else {
            PulseOutcome::Fits
        }
    }

    pub(crate) fn set_log(&self, now: Moment, log: LogState) {
        let mut pipeline = self.pipeline();
        pipeline.set_log(now, log, self.applied().sequence());
        self.publish(&pipeline);
    }

    pub(crate) fn position_as_of(&self, lsn: u64) -> Option<Position> {
        let ring = self.ring();
        ring.position_as_of(lsn, self.applied())
    }

    pub(crate) fn newest_purge(&self) -> Option<Applied> {
        self.ring().newest()
    }

    fn publish(&self, pipeline: &Pipeline) {
        self.awaited.store(pipeline.awaited().unwrap_or(u64::MAX), Ordering::Release);
        self.live_until.store(pipeline.live_until().to_bits(), Ordering::Release);
    }

    fn pipeline(&self) -> MutexGuard<'_, Pipeline> {
        // Its methods do not panic half-way.
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a heartbeat said about the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PulseOutcome {
    Fits,
    NewEpoch,
    OldEpoch,
    /// It named a smaller sequence than the one before: the log may have lost its end.
    WentBack,
}

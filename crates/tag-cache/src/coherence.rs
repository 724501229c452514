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

    pub(crate) fn log(&self) -> LogState {
        self.pipeline().log()
    }

    pub(crate) fn behind(&self, now: Moment) -> std::time::Duration {
        self.pipeline().behind(now)
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
    ///
    /// # Errors
    /// When a newer epoch was announced meanwhile; its floor stands.
    pub(crate) fn start_at(&self, now: Moment, position: Position) -> Result<(), OldEpoch> {
        {
            // Announcing an epoch raises the floor under the same lock.
            let _announcing = self.pipeline();
            if position.epoch() != self.epoch() {
                return Err(OldEpoch);
            }
            *self.ring() = Ring::starting_at(position);
            self.applied.store(position.to_bits(), Ordering::Release);
            self.floor.store(position.to_bits(), Ordering::Release);
        }
        self.moved(now, position);
        Ok(())
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

    /// A heartbeat. One of an older epoch is ignored.
    pub(crate) fn pulse(&self, now: Moment, epoch: u16, pulse: Pulse) -> PulseOutcome {
        let mut pipeline = self.pipeline();
        let current = self.epoch();
        if epoch < current || epoch == 0 {
            return PulseOutcome::OldEpoch;
        }
        if epoch > current {
            // Everything older is dead from here on; the follower then says where the new life starts.
            self.floor.store(Position::new(epoch, Position::SEQUENCE_MAX).to_bits(), Ordering::Release);
            self.version.fetch_add(1, Ordering::AcqRel);
            pipeline.forget_targets(now);
            self.epoch.send_replace(epoch);
        }
        let applied = self.applied();
        let applied = if applied.epoch() == epoch { applied.sequence() } else { 0 };
        pipeline.pulse(now, pulse, applied);
        self.publish(&pipeline);
        self.last_named.store(pulse.last_sequence, Ordering::Relaxed);
        if epoch > current { PulseOutcome::NewEpoch } else { PulseOutcome::Fits }
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

/// A newer epoch was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OldEpoch;

/// What a heartbeat said about the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PulseOutcome {
    Fits,
    NewEpoch,
    OldEpoch,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{Coherence, PulseOutcome, Verdict};
    use crate::clock::Moment;
    use crate::entry::{Entry, Times, Validated};
    use crate::mode::{LogState, Mode, Pulse};
    use crate::position::Position;
    use crate::ring::Applied;
    use crate::sketch::SlotsPerRow;
    use crate::tag::{Tag, TagSet};

    const NOW: Moment = Moment::NEVER.plus(Duration::from_secs(1_000_000));

    /// Epoch 1, everything up to sequence 10 applied.
    fn coherence() -> Coherence {
        let coherence = Coherence::new(SlotsPerRow::power_of_two(10).expect("ten is in range"));
        assert_eq!(coherence.pulse(NOW, 1, pulse(10)), PulseOutcome::NewEpoch);
        coherence.start_at(NOW, Position::new(1, 10)).expect("the epoch is current");
        coherence.set_log(NOW, LogState::Replaying { until: 10 });
        coherence
    }

    fn pulse(last_sequence: u64) -> Pulse {
        Pulse { sent_at: NOW, last_sequence, oldest_pending: Duration::ZERO }
    }

    fn entry(stamp: Position, tag: &str) -> Entry {
        Entry {
            route: "route".into(),
            key: "key".into(),
            owner: 0,
            status: 200,
            head: Bytes::new(),
            body: Bytes::new(),
            tags: TagSet::new(vec![Tag::of(tag)]),
            stamp,
            times: Times { created: NOW, fresh_until: NOW, stale_until: NOW },
            validated: Validated::default(),
        }
    }

    fn purge(coherence: &Coherence, sequence: u64, tag: &str) {
        let position = Position::new(1, sequence);
        coherence.apply(NOW, Applied { position, commit_lsn: 0, commit_ms: 0 }, [Tag::of(tag)]);
    }

    #[test]
    fn a_purge_after_the_stamp_kills_also_what_was_found_clean_before() {
        let coherence = coherence();
        let entry = entry(coherence.applied(), "a");
        assert_eq!(coherence.judge(&entry), Verdict::Clean);
        purge(&coherence, 11, "b");
        assert_eq!(coherence.judge(&entry), Verdict::Clean);
        purge(&coherence, 12, "a");
        assert_eq!(coherence.judge(&entry), Verdict::Dead);
    }

    #[test]
    fn an_entry_stamped_at_the_purge_is_clean() {
        let coherence = coherence();
        purge(&coherence, 11, "a");
        assert_eq!(coherence.judge(&entry(Position::new(1, 11), "a")), Verdict::Clean);
        assert_eq!(coherence.judge(&entry(Position::new(1, 10), "a")), Verdict::Dead);
    }

    #[test]
    fn a_stamp_from_a_gateway_that_is_ahead_is_clean() {
        assert_eq!(coherence().judge(&entry(Position::new(1, 99), "a")), Verdict::Clean);
    }

    #[test]
    fn an_own_purge_kills_before_it_is_applied_and_moves_no_stamp() {
        let coherence = coherence();
        let entry = entry(coherence.applied(), "a");
        assert_eq!(coherence.judge(&entry), Verdict::Clean);
        coherence.raise(Position::new(1, 12), [Tag::of("a")]);
        assert_eq!(coherence.judge(&entry), Verdict::Dead);
        assert_eq!(coherence.applied(), Position::new(1, 10), "11 was not seen yet");
        assert_eq!(coherence.arrival(), Position::new(1, 12), "later requests expect it honoured");
    }

    #[test]
    fn what_is_older_than_the_start_cannot_be_judged() {
        let coherence = coherence();
        assert_eq!(coherence.judge(&entry(Position::new(1, 10), "a")), Verdict::Clean);
        assert_eq!(coherence.judge(&entry(Position::new(1, 9), "a")), Verdict::Dead);
        coherence.apply_unknown(NOW, Position::new(1, 20));
        assert_eq!(coherence.judge(&entry(Position::new(1, 10), "a")), Verdict::Dead);
    }

    #[test]
    fn before_the_first_heartbeat_nothing_is_clean() {
        let coherence = Coherence::new(SlotsPerRow::power_of_two(4).expect("four is in range"));
        assert_eq!(coherence.judge(&entry(coherence.applied(), "a")), Verdict::Dead);
    }

    #[test]
    fn between_a_new_epoch_and_its_start_nothing_is_clean() {
        let coherence = coherence();
        let old = entry(coherence.applied(), "a");
        assert_eq!(coherence.judge(&old), Verdict::Clean);
        assert_eq!(coherence.pulse(NOW, 2, pulse(3)), PulseOutcome::NewEpoch);
        assert_eq!(coherence.judge(&old), Verdict::Dead);
        assert_eq!(coherence.judge(&entry(Position::new(2, 3), "a")), Verdict::Dead);
        assert_ne!(coherence.mode(NOW), Mode::Live);

        coherence.start_at(NOW, Position::new(1, 10)).expect_err("a follower that has not heard of it");
        assert_eq!(coherence.judge(&old), Verdict::Dead);
        coherence.start_at(NOW, Position::new(2, 3)).expect("the epoch is current");
        coherence.set_log(NOW, LogState::Replaying { until: 3 });
        assert_eq!(coherence.judge(&old), Verdict::Dead);
        assert_eq!(coherence.judge(&entry(Position::new(2, 3), "a")), Verdict::Clean);
        assert_eq!(coherence.mode(NOW), Mode::Live);
    }

    #[test]
    fn heartbeats_of_old_epochs_are_told_apart() {
        let coherence = coherence();
        assert_eq!(coherence.pulse(NOW, 1, pulse(12)), PulseOutcome::Fits);
        assert_eq!(coherence.pulse(NOW, 0, pulse(13)), PulseOutcome::OldEpoch);
        coherence.pulse(NOW, 2, pulse(1));
        assert_eq!(coherence.pulse(NOW, 1, pulse(13)), PulseOutcome::OldEpoch);
    }
}

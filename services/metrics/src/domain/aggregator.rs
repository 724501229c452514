//! A ring of slots. Per slot and source it holds the state with the highest version, and nothing else.
//!
//! That is a join semilattice: states may arrive twice, late, in any order and on any replica, and the result is the
//! same. The merged sketches beside the states only save time; they always equal what the states add up to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use latency::{SERIES_MAX, Sketch};
use prost::Message;
use proto::metrics::v1::{ProcessState, SlotState};

use super::{
    Definitions, FUTURE_TOLERATED_S, SLOT_S, SLOTS, SourceId, oldest_slot,
    source::{SeriesKey, SeriesKeys, Source},
};
use crate::error::Error;

/// Sources that are kept, replicas and restarts of the last hour counted.
pub(crate) const SOURCES_MAX: usize = 512;

/// A source that has said who it is and then nothing more is forgotten after this time.
const FIRST_STATE_WITHIN_S: u32 = 60;

/// Merged timings by series.
pub(super) type Merged = HashMap<Arc<SeriesKey>, Sketch>;

/// The last hour.
#[derive(Debug, Default)]
pub(crate) struct Aggregator {
    pub(super) slots: BTreeMap<u32, Slot>,
    pub(super) sources: BTreeMap<SourceId, Source>,
    /// All slots together.
    pub(super) hour: Merged,
    keys: SeriesKeys,
    /// States that are not stored yet. At most one for each that is held.
    unsaved: BTreeSet<(u32, SourceId)>,
    refused_early: u64,
    refused_late: u64,
}

/// One slot of every source.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) states: BTreeMap<SourceId, Held>,
    pub(super) merged: Merged,
}

/// The state with the highest version.
#[derive(Debug)]
pub(super) struct Held {
    version: u64,
    stored_version: u64,
    /// The message as it came: a tenth of its size in memory.
    encoded: Bytes,
    /// The source said that it stops.
    pub(super) is_last: bool,
    pub(super) process: Option<ProcessState>,
}

/// A state that has been checked but for its series' names.
#[derive(Debug)]
pub(crate) struct Parsed {
    slot_start_s: u32,
    version: u64,
    series: Vec<(u32, Sketch)>,
    is_last: bool,
    process: Option<ProcessState>,
    encoded: Bytes,
}

/// A state to be stored, and what its source is.
#[derive(Debug)]
pub(crate) struct Unsaved {
    pub(crate) slot_start_s: u32,
    pub(crate) source: SourceId,
    pub(crate) version: u64,
    pub(crate) encoded: Bytes,
    /// When not all of them are stored.
    pub(crate) definitions: Option<Definitions>,
}

/// Numbers about the aggregator itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    pub(crate) sources: usize,
    pub(crate) slots: usize,
    pub(crate) series: usize,
    pub(crate) unsaved: usize,
    pub(crate) refused_early: u64,
    pub(crate) refused_late: u64,
}

/// Where a state came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Its source sent it; it is to be stored.
    Source,
    /// It was read from the store.
    Store,
}

impl Parsed {
    /// Checks a state. CPU work that needs no lock.
    pub(crate) fn parse(state: &SlotState) -> Result<Parsed, Error> {
        if !state.slot_start_s.is_multiple_of(SLOT_S) || state.slot_len_s == 0 || state.slot_len_s > SLOT_S {
            return Err(Error::Invalid("a slot starts at a multiple of ten seconds and has at most ten"));
        }
        if state.series.len() > SERIES_MAX {
            return Err(Error::TooMany { what: "series of one source", max: SERIES_MAX });
        }
        let decode = |series| Sketch::decode(series).map(|sketch| (series.id, sketch));
        let decode = |series| decode(series).map_err(|source| Error::Series { id: series.id, source });
        Ok(Parsed {
            slot_start_s: state.slot_start_s,
            version: state.version,
            series: state.series.iter().map(decode).collect::<Result<_, _>>()?,
            is_last: state.r#final && state.slot_len_s < SLOT_S,
            process: state.process,
            encoded: state.encode_to_vec().into(),
        })
    }

    /// A state as it was stored.
    pub(crate) fn stored(encoded: &Bytes) -> Result<Parsed, Error> {
        let state = SlotState::decode(encoded.clone());
        Parsed::parse(&state.map_err(|_undecodable| Error::Invalid("not a slot state"))?)
    }
}

impl Aggregator {
    /// Takes what a source says of itself, again for new series.
    pub(crate) fn define(&mut self, definitions: Definitions, now_s: u32) -> Result<SourceId, Error> {
        let id = definitions.id;
        if self.sources.len() >= SOURCES_MAX {
            self.expire(now_s);
            self.forget_sources(now_s);
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.extend(definitions, &mut self.keys)?;
        } else if self.sources.len() < SOURCES_MAX {
            self.sources.insert(id, Source::new(definitions, &mut self.keys));
        } else {
            return Err(Error::TooMany { what: "sources", max: SOURCES_MAX });
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.heard_s = now_s;
        }
        Ok(id)
    }

    /// Takes what the store knows of a source.
    pub(crate) fn define_stored(&mut self, definitions: Definitions, now_s: u32) -> Result<(), Error> {
        let stored = definitions.len();
        let id = self.define(definitions, now_s)?;
        if let Some(source) = self.sources.get_mut(&id) {
            source.stored_definitions = source.stored_definitions.max(stored);
        }
        Ok(())
    }

    /// Takes a state of a source that has been defined, unless it holds a newer one. Answers the version it holds now,
    /// or `None` when the slot is not among those that are kept.
    pub(crate) fn accept(
        &mut self,
        id: SourceId,
        state: Parsed,
        now_s: u32,
        origin: Origin,
    ) -> Result<Option<u64>, Error> {
        self.expire(now_s);
        if state.slot_start_s < oldest_slot(now_s, SLOTS) {
            self.refused_late += 1;
            return Ok(None);
        }
        if state.slot_start_s > now_s + FUTURE_TOLERATED_S {
            self.refused_early += 1;
            return Ok(None);
        }
        let source = self.sources.get_mut(&id).ok_or(Error::Invalid("a stream starts with a hello"))?;
        let known = |(series, _): &&(u32, Sketch)| source.key(*series).is_none();
        if let Some((unknown, _)) = state.series.iter().find(known) {
            return Err(Error::SeriesUnknown(*unknown));
        }
        let slot = self.slots.entry(state.slot_start_s).or_default();
        let held = slot.states.get_mut(&id);
        if let Some(held) = held.filter(|held| held.version >= state.version) {
            if origin == Origin::Store && held.version == state.version {
                held.stored_version = state.version;
                self.unsaved.remove(&(state.slot_start_s, id));
            }
            return Ok(Some(held.version));
        }

        let stored_version = match origin {
            Origin::Source => slot.states.get(&id).map_or(0, |held| held.stored_version),
            Origin::Store => state.version,
        };
        let held = Held {
            version: state.version,
            stored_version,
            encoded: state.encoded,
            is_last: state.is_last,
            process: state.process,
        };
        source.heard_s = now_s;
        if let Some(replaced) = slot.states.insert(id, held) {
            for (series, sketch) in replaced.series() {
                let Some(key) = source.key(series) else { continue };
                subtract(&mut slot.merged, key, &sketch);
                subtract(&mut self.hour, key, &sketch);
            }
        } else {
            source.slots += 1;
        }
        for (series, sketch) in &state.series {
            let Some(key) = source.key(*series) else { continue };
            slot.merged.entry(Arc::clone(key)).or_default().merge(sketch);
            self.hour.entry(Arc::clone(key)).or_default().merge(sketch);
        }
        match origin {
            Origin::Source => self.unsaved.insert((state.slot_start_s, id)),
            Origin::Store => self.unsaved.remove(&(state.slot_start_s, id)),
        };
        Ok(Some(state.version))
    }

    /// Lets go of what is older than an hour.
    pub(crate) fn expire(&mut self, now_s: u32) {
        let oldest_s = oldest_slot(now_s, SLOTS);
        let mut expired = false;
        while let Some(entry) = self.slots.first_entry() {
            if *entry.key() >= oldest_s {
                break;
            }
            let (slot_start_s, slot) = entry.remove_entry();
            slot.merged.iter().for_each(|(key, sketch)| subtract(&mut self.hour, key, sketch));
            for &id in slot.states.keys() {
                self.unsaved.remove(&(slot_start_s, id));
                if let Some(source) = self.sources.get_mut(&id) {
                    source.slots -= 1;
                }
            }
            expired = true;
        }
        if expired {
            self.forget_sources(now_s);
        }
    }

    /// Forgets the sources of which nothing is left, but not one that has just come.
    fn forget_sources(&mut self, now_s: u32) {
        self.sources.retain(|_, source| source.slots > 0 || source.heard_s + FIRST_STATE_WITHIN_S > now_s);
        self.keys.forget_unused();
    }

    /// Up to `max` states to be stored, the newest first.
    pub(crate) fn unsaved(&self, max: usize) -> Vec<Unsaved> {
        let entry = |&(slot_start_s, id): &(u32, SourceId)| {
            let held = self.slots.get(&slot_start_s)?.states.get(&id)?;
            let source = self.sources.get(&id)?;
            let definitions = &source.definitions;
            Some(Unsaved {
                slot_start_s,
                source: id,
                version: held.version,
                encoded: held.encoded.clone(),
                definitions: (source.stored_definitions < definitions.len()).then(|| definitions.clone()),
            })
        };
        self.unsaved.iter().rev().filter_map(entry).take(max).collect()
    }

    /// These states are stored.
    pub(crate) fn saved(&mut self, entries: &[Unsaved]) {
        for entry in entries {
            if let Some(source) = self.sources.get_mut(&entry.source) {
                let stored = entry.definitions.as_ref().map_or(0, Definitions::len);
                source.stored_definitions = source.stored_definitions.max(stored);
            }
            let slot = self.slots.get_mut(&entry.slot_start_s);
            let Some(held) = slot.and_then(|slot| slot.states.get_mut(&entry.source)) else { continue };
            held.stored_version = held.stored_version.max(entry.version);
            if held.stored_version >= held.version {
                self.unsaved.remove(&(entry.slot_start_s, entry.source));
            }
        }
    }

    /// The store has lost what it had.
    pub(crate) fn nothing_is_saved(&mut self) {
        self.sources.values_mut().for_each(|source| source.stored_definitions = 0);
        for (&slot_start_s, slot) in &mut self.slots {
            for (&id, held) in &mut slot.states {
                held.stored_version = 0;
                self.unsaved.insert((slot_start_s, id));
            }
        }
    }

    /// Whether the store has this state or a newer one.
    pub(crate) fn is_saved(&self, slot_start_s: u32, source: SourceId, version: u64) -> bool {
        let held = self.slots.get(&slot_start_s).and_then(|slot| slot.states.get(&source));
        held.is_some_and(|held| held.stored_version >= version)
    }

    /// Whether it holds this state or a newer one already.
    pub(crate) fn has(&self, slot_start_s: u32, source: SourceId, version: u64) -> bool {
        let held = self.slots.get(&slot_start_s).and_then(|slot| slot.states.get(&source));
        held.is_some_and(|held| held.version >= version)
    }

    /// Whether the source has said who it is.
    pub(crate) fn knows(&self, source: SourceId) -> bool {
        self.sources.contains_key(&source)
    }

    /// Numbers about the aggregator itself.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            sources: self.sources.len(),
            slots: self.slots.len(),
            series: self.keys.len(),
            unsaved: self.unsaved.len(),
            refused_early: self.refused_early,
            refused_late: self.refused_late,
        }
    }
}

impl Held {
    fn series(&self) -> Vec<(u32, Sketch)> {
        let parsed = Parsed::stored(&self.encoded).expect("it was checked before it was held");
        parsed.series
    }
}

fn subtract(merged: &mut Merged, key: &Arc<SeriesKey>, less: &Sketch) {
    if let Some(sketch) = merged.get_mut(key) {
        sketch.subtract(less);
        if sketch.is_empty() {
            merged.remove(key);
        }
    }
}

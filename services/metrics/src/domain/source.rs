//! Who reports, and what its series numbers mean.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use latency::{CacheState, OTHER, OVERFLOW, SERIES_MAX, layout::LAYOUT};
use proto::metrics::v1::{Hello, SeriesDef};

use crate::error::Error;

/// Different series over all sources. Beyond it a service's series are counted together.
pub(crate) const SERIES_TOTAL_MAX: usize = 20_000;

/// Longest name of a service, an instance, a version or a method.
const NAME_BYTES_MAX: usize = 128;

/// Longest route.
const ROUTE_BYTES_MAX: usize = 256;

/// One start of one process: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SourceId(pub(crate) [u8; 16]);

impl SourceId {
    pub(crate) fn parse(bytes: &[u8]) -> Option<SourceId> {
        bytes.try_into().ok().map(SourceId)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What requests are counted under, over all sources.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct SeriesKey {
    pub(crate) service: String,
    pub(crate) route: String,
    pub(crate) method: String,
    pub(crate) cache: CacheState,
}

/// One source's name and dictionary. Checked: a definition that is here can be used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definitions {
    pub(crate) id: SourceId,
    pub(crate) service: String,
    pub(crate) instance: String,
    pub(crate) version: String,
    series: BTreeMap<u32, SeriesDef>,
}

impl Definitions {
    /// Checks what a source says of itself.
    pub(crate) fn parse(hello: Hello) -> Result<Definitions, Error> {
        if hello.layout != LAYOUT {
            return Err(Error::LayoutUnknown(hello.layout));
        }
        let id = SourceId::parse(&hello.boot_id).ok_or(Error::Invalid("boot_id must have 16 bytes"))?;
        if hello.service.is_empty() || hello.instance.is_empty() {
            return Err(Error::Invalid("service and instance must be named"));
        }
        let names = [&hello.service, &hello.instance, &hello.version];
        if names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return Err(Error::Invalid("service, instance or version is too long"));
        }
        let mut series = BTreeMap::new();
        for definition in hello.series {
            if definition.route.len() > ROUTE_BYTES_MAX || definition.method.len() > NAME_BYTES_MAX {
                return Err(Error::Invalid("route or method is too long"));
            }
            if cache_state(&definition).is_none() {
                return Err(Error::Invalid("cache_state is unknown"));
            }
            series.insert(definition.id, definition);
        }
        let definitions = Definitions {
            id,
            service: hello.service,
            instance: hello.instance,
            version: hello.version,
            series,
        };
        definitions.within_limit()
    }

    /// What a source would say of itself.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            boot_id: self.id.0.to_vec(),
            service: self.service.clone(),
            instance: self.instance.clone(),
            version: self.version.clone(),
            layout: LAYOUT,
            sent_unix_ns: 0,
            series: self.series.values().cloned().collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    fn within_limit(self) -> Result<Definitions, Error> {
        if self.series.len() > SERIES_MAX {
            return Err(Error::TooMany { what: "series of one source", max: SERIES_MAX });
        }
        Ok(self)
    }

    fn extended_by(&self, later: Definitions) -> Result<Definitions, Error> {
        if (&later.service, &later.instance) != (&self.service, &self.instance) {
            return Err(Error::Invalid("a source cannot change its service or instance"));
        }
        let mut extended = self.clone();
        for (id, definition) in later.series {
            extended.series.entry(id).or_insert(definition);
        }
        extended.within_limit()
    }
}

fn cache_state(definition: &SeriesDef) -> Option<CacheState> {
    CacheState::ALL.get(definition.cache_state as usize).copied()
}

/// A known source.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) definitions: Definitions,
    keys: BTreeMap<u32, Arc<SeriesKey>>,
    /// Definitions that are stored.
    pub(crate) stored_definitions: usize,
    /// Slots that hold a state of it.
    pub(crate) slots: u32,
    /// When it was last heard of.
    pub(crate) heard_s: u32,
}

impl Source {
    pub(crate) fn new(definitions: Definitions, keys: &mut SeriesKeys) -> Source {
        let mut source = Source {
            definitions: Definitions { series: BTreeMap::new(), ..definitions.clone() },
            keys: BTreeMap::new(),
            stored_definitions: 0,
            slots: 0,
            heard_s: 0,
        };
        source.set(definitions, keys);
        source
    }

    /// Adds definitions. A number keeps its first meaning.
    pub(crate) fn extend(&mut self, later: Definitions, keys: &mut SeriesKeys) -> Result<(), Error> {
        let extended = self.definitions.extended_by(later)?;
        self.set(extended, keys);
        Ok(())
    }

    pub(crate) fn key(&self, series: u32) -> Option<&Arc<SeriesKey>> {
        self.keys.get(&series)
    }

    fn set(&mut self, definitions: Definitions, keys: &mut SeriesKeys) {
        for (&id, definition) in &definitions.series {
            let cache = cache_state(definition).unwrap_or_default();
            let key = || SeriesKey {
                service: definitions.service.clone(),
                route: definition.route.clone(),
                method: definition.method.clone(),
                cache,
            };
            self.keys.entry(id).or_insert_with(|| keys.intern(key()));
        }
        self.definitions = definitions;
    }
}

/// Every series key in use, each once.
#[derive(Debug, Default)]
pub(crate) struct SeriesKeys(HashSet<Arc<SeriesKey>>);

impl SeriesKeys {
    fn intern(&mut self, key: SeriesKey) -> Arc<SeriesKey> {
        if let Some(known) = self.0.get(&key) {
            return Arc::clone(known);
        }
        if self.0.len() >= SERIES_TOTAL_MAX {
            let overflow = SeriesKey { route: OVERFLOW.to_owned(), method: OTHER.to_owned(), ..key };
            return self.insert(overflow);
        }
        self.insert(key)
    }

    fn insert(&mut self, key: SeriesKey) -> Arc<SeriesKey> {
        if let Some(known) = self.0.get(&key) {
            return Arc::clone(known);
        }
        let key = Arc::new(key);
        self.0.insert(Arc::clone(&key));
        key
    }

    /// Forgets the keys that nobody else holds.
    pub(crate) fn forget_unused(&mut self) {
        self.0.retain(|key| Arc::strong_count(key) > 1);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

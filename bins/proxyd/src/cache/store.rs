//! The store: a map from keys to variants, bounded by the bytes that it holds and shared by all
//! workers. It knows what its contents weigh, not what they mean.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use smallvec::SmallVec;

use super::variant::Variant;

/// How many responses to one URL are kept; the one stored first gives way.
pub const VARIANTS_PER_KEY: usize = 16;
/// What an entry costs beside its key, heads and bodies: the map's slot and lists, the allocations.
const OVERHEAD_BYTES: u64 = 256;
/// The map is divided into parts with a lock and a share of the bytes each. Few, so that a share
/// has room for large bodies.
const PARTS: usize = 4;
/// A body larger than this share of a part is not stored: it would drive out all others.
const LARGEST_BODY: u64 = 2;
/// Bodies that are still coming in may take this share of the bound, beside it.
const FILLING: u64 = 4;
/// What a response is thought to weigh on average, for the map's own bookkeeping.
const TYPICAL_BYTES: u64 = 8 * 1024;

type Map = Cache<Box<[u8]>, Arc<Resource>, Bytes, DefaultHashBuilder>;

/// What is stored under one key.
#[derive(Debug)]
pub struct Resource {
    /// The variant stored last comes first.
    variants: SmallVec<[Arc<Variant>; 1]>,
    bytes: u64,
}

impl Resource {
    fn of(variants: SmallVec<[Arc<Variant>; 1]>) -> Arc<Resource> {
        let bytes = variants.iter().map(|variant| variant.bytes()).sum();
        Arc::new(Resource { variants, bytes })
    }

    fn with(&self, variant: Arc<Variant>) -> Arc<Resource> {
        let others = self
            .variants
            .iter()
            .filter(|stored| stored.selecting != variant.selecting);
        let mut variants: SmallVec<_> = others.take(VARIANTS_PER_KEY - 1).cloned().collect();
        variants.insert(0, variant);
        Resource::of(variants)
    }

    /// The variants, the one stored last first.
    pub fn variants(&self) -> &[Arc<Variant>] {
        &self.variants
    }
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Box<[u8]>, Arc<Resource>> for Bytes {
    fn weight(&self, key: &Box<[u8]>, resource: &Arc<Resource>) -> u64 {
        OVERHEAD_BYTES + key.len() as u64 + resource.bytes
    }
}

/// The stored responses.
#[derive(Debug)]
pub struct Store {
    map: Map,
    /// Bytes of bodies that are coming in and may be stored.
    filling: AtomicU64,
    filling_limit: u64,
    largest_body: u64,
}

impl Store {
    /// A store of at most `bytes`: keys, heads, bodies and overhead.
    pub fn new(bytes: u64) -> Store {
        let options = OptionsBuilder::new()
            .shards(PARTS)
            .estimated_items_capacity((bytes / TYPICAL_BYTES) as usize)
            .weight_capacity(bytes)
            .build();
        let map = match options {
            Ok(options) => Cache::with_options(
                options,
                Bytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // Only for want of one of the two figures, which are both given.
            Err(_) => Cache::with_weighter(1, bytes, Bytes),
        };
        Store {
            filling: AtomicU64::new(0),
            filling_limit: bytes / FILLING,
            largest_body: map.shard_capacity() / LARGEST_BODY,
            map,
        }
    }

    /// What is stored under `key`.
    pub fn get(&self, key: &[u8]) -> Option<Arc<Resource>> {
        self.map.get(key)
    }

    /// Stores one variant beside the others of its key, or in the place of the one that answers the
    /// same requests.
    pub fn put(&self, key: &[u8], variant: Arc<Variant>) {
        let key: Box<[u8]> = key.into();
        let added = self.map.entry(&key, None, |_, resource| {
            *resource = resource.with(Arc::clone(&variant));
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(place) = added {
            // Fails only if the key was removed in the meantime: then it stays removed.
            let _ = place.insert(Resource::of(SmallVec::from_elem(variant, 1)));
        }
    }

    /// Removes all variants of `key`. Returns whether there were any.
    pub fn remove(&self, key: &[u8]) -> bool {
        self.map.remove(key).is_some()
    }

    /// How many keys are stored.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The bytes that are stored: keys, heads, bodies and overhead.
    pub fn bytes(&self) -> u64 {
        self.map.weight()
    }

    /// The largest body that is stored.
    pub fn largest_body(&self) -> u64 {
        self.largest_body
    }

    /// Asks for room for bytes of a body that is coming in; they count until the room is dropped.
    pub fn room(self: &Arc<Self>) -> Room {
        Room {
            store: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// The memory that one body takes while it comes in.
#[derive(Debug)]
pub struct Room {
    store: Arc<Store>,
    bytes: u64,
}

impl Room {
    /// Takes room for `more` bytes. `false` if the body becomes larger than any that is stored, or
    /// all that come in take too much together.
    pub fn grow(&mut self, more: u64) -> bool {
        if self.bytes + more > self.store.largest_body {
            return false;
        }
        let before = self.store.filling.fetch_add(more, Ordering::Relaxed);
        if before + more > self.store.filling_limit {
            self.store.filling.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }

    /// The store that it is room for.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.store.filling.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

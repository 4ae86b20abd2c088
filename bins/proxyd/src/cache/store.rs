//! The store: a map from keys to variants, bounded by the bytes that it holds and shared by all
//! workers. It knows what its contents weigh, not what they mean.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use smallvec::SmallVec;

use super::policy::selecting::Selecting;
use super::room::{Room, Rooms};
use super::variant::Variant;

/// How many responses to one URL are kept; the one stored first gives way.
pub const VARIANTS_PER_KEY: usize = 16;
/// What an entry costs beside its key, heads and bodies: the map's slot and lists, the allocations.
const OVERHEAD_BYTES: u64 = 256;
/// The map is divided into parts with a lock and a share of the bytes each. Few, so that a share
/// has room for large bodies.
const PARTS: usize = 4;
/// The share of a part for entries that were asked for again, as which a heavy one must have room.
const HOT: f64 = 0.97;
/// A body larger than this share of a part is not stored: it would drive out all others.
const LARGEST_BODY: u64 = 2;
/// Removals are counted for this many groups of keys. Where two keys share one, a removal of one can
/// keep an answer for the other from being stored, once.
const EPOCHS: usize = 65_536;
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

    /// With `variant` first, and of the others the newest, as far as all have room together.
    fn with(&self, variant: &Arc<Variant>, room: u64) -> Arc<Resource> {
        let mut left = room.saturating_sub(variant.bytes());
        let others = self
            .variants
            .iter()
            .filter(|stored| !stored.selecting.is_same(&variant.selecting))
            .take(VARIANTS_PER_KEY - 1)
            .take_while(|stored| {
                let rest = left.checked_sub(stored.bytes());
                left = rest.unwrap_or(0);
                rest.is_some()
            });
        let variants = [variant].into_iter().chain(others).cloned().collect();
        Resource::of(variants)
    }

    /// The one for the same requests.
    pub fn variant(&self, selecting: &Selecting) -> Option<&Arc<Variant>> {
        let mut variants = self.variants.iter();
        variants.find(|stored| stored.selecting.is_same(selecting))
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

/// How often keys were removed until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u32);

/// The stored responses.
#[derive(Debug)]
pub struct Store {
    map: Map,
    /// How often a key was removed, by its hash.
    removals: Box<[AtomicU32]>,
    hasher: RandomState,
    /// The heaviest entry that the map takes.
    entry_limit: u64,
    rooms: Arc<Rooms>,
}

impl Store {
    /// A store of at most `bytes`: keys, heads, bodies and overhead.
    pub fn new(bytes: u64) -> Store {
        let options = OptionsBuilder::new()
            .shards(PARTS)
            .estimated_items_capacity((bytes / TYPICAL_BYTES) as usize)
            .weight_capacity(bytes)
            .hot_allocation(HOT)
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
            removals: (0..EPOCHS).map(|_| AtomicU32::new(0)).collect(),
            hasher: RandomState::new(),
            entry_limit: (map.shard_capacity() as f64 * HOT) as u64,
            rooms: Arc::new(Rooms::new(bytes, map.shard_capacity() / LARGEST_BODY)),
            map,
        }
    }

    /// What is stored under `key`.
    pub fn get(&self, key: &[u8]) -> Option<Arc<Resource>> {
        self.map.get(key)
    }

    /// The present of `key`. Taken before the origin is asked, it tells later whether what the origin
    /// answered has been made invalid since.
    pub fn epoch(&self, key: &[u8]) -> Epoch {
        Epoch(self.removals_of(key).load(Ordering::SeqCst))
    }

    /// Stores one variant beside the others of its key, or in the place of the one that answers the
    /// same requests; the newest are kept as far as the map takes them. Returns `false`, and stores
    /// nothing, if the key was removed after `asked`, or the variant is too heavy.
    pub fn put(&self, key: &[u8], variant: Arc<Variant>, asked: Epoch) -> bool {
        // The map gives an entry up whole that is too heavy, with what it has under the key.
        let room = self
            .entry_limit
            .saturating_sub(OVERHEAD_BYTES + key.len() as u64);
        if variant.bytes() > room {
            return false;
        }
        let key: Box<[u8]> = key.into();
        // Taken out and put in again, not changed in its place: only then the map makes room for
        // what it has grown by. The place is kept meanwhile, so that no worker's work is lost.
        // Whoever removes the key counts first and then takes it out. So a removal that is not yet
        // counted here takes the place away, too, and nothing can be inserted there.
        let place = self.map.entry(&key, None, |_, _| {
            if self.epoch(&key) == asked {
                EntryAction::ReplaceWithGuard
            } else {
                EntryAction::Retain(())
            }
        });
        let (place, resource) = match place {
            EntryResult::Vacant(_) if self.epoch(&key) != asked => return false,
            EntryResult::Vacant(place) => (place, Resource::of(SmallVec::from_elem(variant, 1))),
            EntryResult::Replaced(place, before) => (place, before.with(&variant, room)),
            // The last two are not asked for, and no deadline was set.
            EntryResult::Retained(()) | EntryResult::Removed(..) | EntryResult::Timeout => {
                return false;
            }
        };
        place.insert(resource).is_ok()
    }

    /// Removes all variants of `key`, and bars what the origin was asked for before from being
    /// stored. Returns whether there were any.
    pub fn remove(&self, key: &[u8]) -> bool {
        self.removals_of(key).fetch_add(1, Ordering::SeqCst);
        self.map.remove(key).is_some()
    }

    /// Removes every key that begins with `prefix`, as [`Store::remove`] does one. Returns how many
    /// there were.
    pub fn remove_below(&self, prefix: &[u8]) -> usize {
        for removals in &self.removals {
            removals.fetch_add(1, Ordering::SeqCst);
        }
        let removed = AtomicUsize::new(0);
        self.map.retain(|key, _| {
            let is_below = key.starts_with(prefix);
            removed.fetch_add(usize::from(is_below), Ordering::Relaxed);
            !is_below
        });
        removed.into_inner()
    }

    /// What is stored, a key at a time, in no order. What is stored or removed meanwhile may be
    /// missing.
    pub fn iter(&self) -> impl Iterator<Item = (Box<[u8]>, Arc<Resource>)> {
        self.map.iter()
    }

    fn removals_of(&self, key: &[u8]) -> &AtomicU32 {
        &self.removals[self.hasher.hash_one(key) as usize % EPOCHS]
    }

    /// How many keys are stored.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// How many bytes it may hold.
    pub fn bound(&self) -> u64 {
        self.map.capacity()
    }

    /// The bytes that are stored: keys, heads, bodies and overhead.
    pub fn bytes(&self) -> u64 {
        self.map.weight()
    }

    /// How long the longest body is that it takes.
    pub fn largest_body(&self) -> u64 {
        self.rooms.largest_body()
    }

    /// These bytes in one run; `None` if there is no room for it.
    pub fn join(&self, pieces: &[&[u8]]) -> Option<bytes::Bytes> {
        let mut room = self.rooms.room();
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        room.grow(length as u64).ok()?;
        Some(room.hold(pieces.concat()))
    }

    /// Asks for room for a body that is coming in.
    pub fn room(&self) -> Room {
        self.rooms.room()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use netio::http::response::Head;
    use netproto::http::Status;
    use netproto::http::fields::FieldSlots;
    use netproto::http::head::{RequestHead, ResponseHead};
    use netproto::http::limits::Limits;
    use netproto::http::method::Method;
    use netproto::http::status::StatusCode;

    use super::*;
    use crate::cache::content::Content;
    use crate::cache::policy::demands::Demands;
    use crate::cache::policy::freshness::Journey;
    use crate::cache::policy::selecting::Selecting;
    use crate::cache::policy::storing;

    /// A response that depends on Accept, as `accept` was.
    fn variant(accept: &str, body: usize) -> Arc<Variant> {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\n\r\n");
        let response = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nvary: accept\r\n\r\n";
        let (mut of_request, mut of_response) = (FieldSlots::new(), FieldSlots::new());
        let limits = Limits::DEFAULT;
        let request = RequestHead::parse(request.as_bytes(), &mut of_request, &limits);
        let response = ResponseHead::parse(response, &mut of_response, &limits, &Method::Get);
        let (Ok(Status::Complete(request)), Ok(Status::Complete(response))) = (request, response)
        else {
            panic!("two heads");
        };
        let now = Instant::now();
        let journey = Journey {
            request_time: now,
            response_time: now,
            response_unix: 0,
        };
        let demands = Demands::of(&request);
        let validity = storing::judge(&demands, response.status, &response.fields, &journey);
        Arc::new(Variant {
            head: Head::build(StatusCode::OK).finish(),
            content: Content::Whole(vec![0; body].into()),
            validity: validity.unwrap(),
            selecting: Selecting::of(&response.fields, &request.fields),
        })
    }

    fn put(store: &Store, key: &[u8], variant: Arc<Variant>) {
        assert!(store.put(key, variant, store.epoch(key)));
    }

    #[test]
    fn what_was_asked_for_before_a_removal_is_not_stored_after_it() {
        let store = Store::new(16 * 1024 * 1024);
        let asked = store.epoch(b"key");
        assert!(!store.remove(b"key"), "nothing was stored");
        assert!(!store.put(b"key", variant("a", 1), asked));
        assert!(store.get(b"key").is_none());
        put(&store, b"key", variant("b", 2));
        assert!(!store.put(b"key", variant("a", 1), asked));
        assert_eq!(store.get(b"key").unwrap().variants().len(), 1);
    }

    #[test]
    fn a_prefix_removes_what_begins_with_it_and_what_was_asked_for() {
        let store = Store::new(16 * 1024 * 1024);
        let asked = store.epoch(b"http://a/img/4");
        for number in 0..3 {
            put(
                &store,
                format!("http://a/img/{number}").as_bytes(),
                variant("a", 1),
            );
            put(
                &store,
                format!("http://a/js/{number}").as_bytes(),
                variant("a", 1),
            );
        }
        assert_eq!(store.remove_below(b"http://a/img/"), 3);
        assert!(!store.put(b"http://a/img/4", variant("a", 1), asked));
        let mut left: Vec<_> = store.iter().map(|(key, _)| key).collect();
        left.sort();
        assert_eq!(
            left,
            [&b"http://a/js/0"[..], b"http://a/js/1", b"http://a/js/2"].map(Box::from)
        );
        assert_eq!(store.remove_below(b""), 3);
        assert!(store.is_empty());
    }

    #[test]
    fn the_bound_holds_under_any_number_of_keys() {
        const BOUND: u64 = 1024 * 1024;
        let store = Store::new(BOUND);
        for number in 0..10_000 {
            let key = format!("http://a/{number}");
            put(&store, key.as_bytes(), variant("x", 1000));
            assert!(store.bytes() <= BOUND);
        }
        assert!(store.len() > 500, "{} of 1,000 bytes each", store.len());
    }

    #[test]
    fn the_bound_holds_under_any_number_of_variants() {
        const BOUND: u64 = 1024 * 1024;
        let store = Store::new(BOUND);
        for key in 0..100 {
            for number in 0..2 * VARIANTS_PER_KEY {
                let key = format!("http://a/{key}");
                put(&store, key.as_bytes(), variant(&number.to_string(), 4000));
                assert!(store.bytes() <= BOUND, "{}", store.bytes());
            }
        }
        assert!(!store.is_empty());
    }

    #[test]
    fn what_it_weighs_is_the_sum_of_what_it_holds_whatever_many_workers_do_at_once() {
        let store = Store::new(256 * 1024);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..2000 {
                        // Few keys, so that workers meet, and more than there is room for.
                        let key = format!("http://a/{}", (number * 7 + worker) % 48);
                        let accept = (number % 5).to_string();
                        let body = 400 * (1 + (number + worker) % 16);
                        let asked = store.epoch(key.as_bytes());
                        // In vain, if another worker has removed it meanwhile.
                        store.put(key.as_bytes(), variant(&accept, body), asked);
                        store.get(key.as_bytes());
                        if number % 11 == 0 {
                            store.remove(key.as_bytes());
                        }
                    }
                });
            }
        });
        let weigh = |(key, held): (Box<[u8]>, Arc<Resource>)| Bytes.weight(&key, &held);
        let held: u64 = store.iter().map(weigh).sum();
        assert!(held > 0);
        assert_eq!(store.bytes(), held);
        store.remove_below(b"");
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn the_variants_of_a_key_are_bounded_and_the_newest_comes_first() {
        let store = Store::new(16 * 1024 * 1024);
        for number in 0..2 * VARIANTS_PER_KEY {
            put(&store, b"key", variant(&number.to_string(), number));
        }
        let resource = store.get(b"key").unwrap();
        let bodies = resource
            .variants()
            .iter()
            .map(|variant| variant.content.len());
        let newest_first = (VARIANTS_PER_KEY..2 * VARIANTS_PER_KEY).rev();
        let newest_first = newest_first.map(|number| number as u64);
        assert!(bodies.eq(newest_first));
    }

    #[test]
    fn a_variant_takes_the_place_of_the_one_for_the_same_requests() {
        let store = Store::new(16 * 1024 * 1024);
        for (accept, body) in [("a", 1), ("b", 2), ("a", 3)] {
            put(&store, b"key", variant(accept, body));
        }
        let resource = store.get(b"key").unwrap();
        let bodies = resource
            .variants()
            .iter()
            .map(|variant| variant.content.len());
        assert_eq!(bodies.collect::<Vec<_>>(), [3, 2]);
        assert!(store.remove(b"key"));
        assert!(store.get(b"key").is_none());
        assert_eq!(store.bytes(), 0);
    }
}

//! A map from prefixes (whole decoded segments) to values, made for many changes beside many
//! lookups. It knows nothing of routes; `route.rs` says what is kept in it.
//!
//! Values are spread over many small shards by a keyed hash. A change copies one shard, some dozen
//! pointers, and puts the copy in its place; a lookup only loads pointers, so it never waits for a
//! change, allocates nothing (but for long escaped paths), and costs the same however many values
//! there are: one probe for each depth that any prefix has. A map that gets crowded is replaced by
//! one with more shards ([`PrefixMap::is_crowded`]).

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;

use crate::path;

/// The fewest shards.
const SHARDS: usize = 64;
/// With more values per shard than this a change costs too much.
const CROWDED: usize = 32;
/// What a new map begins with, per shard.
const ROOMY: usize = 4;
/// The most segments that a key may have.
pub(crate) const DEPTH: usize = 32;
/// Escaped paths up to this length are decoded on the stack.
const SHORT: usize = 512;

/// Something that knows the prefix it is kept under.
pub(crate) trait Keyed {
    /// Segments, each with a slash before it: `/user/ada`. The root's key is empty.
    fn key(&self) -> &str;
}

/// Sorted by hash.
type Shard<T> = Vec<(u64, Arc<T>)>;

pub(crate) struct PrefixMap<T> {
    shards: Box<[ArcSwap<Shard<T>>]>,
    hasher: RandomState,
    /// No key has ever had more segments.
    depth: AtomicUsize,
    length: AtomicUsize,
    /// Changes take turns.
    turn: Mutex<()>,
}

impl<T: Keyed> Default for PrefixMap<T> {
    fn default() -> Self {
        Self::of_shards((0..SHARDS).map(|_| Shard::new()))
    }
}

impl<T> fmt::Debug for PrefixMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefixMap")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// How many segments a key has.
pub(crate) fn depth_of(key: &str) -> usize {
    key.bytes().filter(|byte| *byte == b'/').count()
}

impl<T: Keyed> PrefixMap<T> {
    fn of_shards(shards: impl Iterator<Item = Shard<T>>) -> Self {
        let empty: Arc<Shard<T>> = Arc::default();
        let shards = shards.map(|shard| match shard.is_empty() {
            true => ArcSwap::new(empty.clone()),
            false => ArcSwap::from_pointee(shard),
        });
        Self {
            shards: shards.collect(),
            hasher: RandomState::new(),
            depth: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            turn: Mutex::new(()),
        }
    }

    /// All at once; gives the two values that have the same key, if there are such.
    pub(crate) fn build(values: Vec<Arc<T>>) -> Result<Self, (Arc<T>, Arc<T>)> {
        let hasher = RandomState::new();
        let mut shards: Vec<Shard<T>> = Vec::new();
        let wanted = (values.len() / ROOMY).next_power_of_two().max(SHARDS);
        shards.resize_with(wanted, Vec::new);
        let (mut depth, length) = (0, values.len());
        for value in values {
            let hash = hasher.hash_one(value.key().as_bytes());
            depth = depth.max(depth_of(value.key()));
            shards[shard_of(hash, wanted)].push((hash, value));
        }
        for shard in &mut shards {
            shard.sort_by(|(a, left), (b, right)| (a, left.key()).cmp(&(b, right.key())));
            for pair in shard.windows(2) {
                if pair[0].0 == pair[1].0 && pair[0].1.key() == pair[1].1.key() {
                    return Err((pair[0].1.clone(), pair[1].1.clone()));
                }
            }
        }
        Ok(Self {
            hasher,
            depth: AtomicUsize::new(depth),
            length: AtomicUsize::new(length),
            ..Self::of_shards(shards.into_iter())
        })
    }

    /// Whether there are too many values for these shards; a map built anew has more.
    pub(crate) fn is_crowded(&self) -> bool {
        self.len() > CROWDED * self.shards.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Puts a value under its key; gives the one that was there.
    pub(crate) fn insert(&self, value: Arc<T>) -> Option<Arc<T>> {
        let hash = self.hasher.hash_one(value.key().as_bytes());
        let place = &self.shards[shard_of(hash, self.shards.len())];
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.depth
            .fetch_max(depth_of(value.key()), Ordering::Release);
        let old = place.load();
        let mut new = Shard::clone(&old);
        let replaced = match position(&old, hash, value.key().as_bytes()) {
            Ok(at) => Some(std::mem::replace(&mut new[at].1, value)),
            Err(at) => {
                new.insert(at, (hash, value));
                self.length.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        place.store(Arc::new(new));
        replaced
    }

    pub(crate) fn remove(&self, key: &str) -> Option<Arc<T>> {
        let hash = self.hasher.hash_one(key.as_bytes());
        let place = &self.shards[shard_of(hash, self.shards.len())];
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let old = place.load();
        let at = position(&old, hash, key.as_bytes()).ok()?;
        let mut new = Shard::clone(&old);
        let (_, removed) = new.remove(at);
        self.length.fetch_sub(1, Ordering::Relaxed);
        place.store(Arc::new(new));
        Some(removed)
    }

    /// The value of exactly this key.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<T>> {
        self.probe(key.as_bytes())
    }

    fn probe(&self, key: &[u8]) -> Option<Arc<T>> {
        let hash = self.hasher.hash_one(key);
        let shard = self.shards[shard_of(hash, self.shards.len())].load();
        let at = position(&shard, hash, key).ok()?;
        Some(shard[at].1.clone())
    }

    /// The value with the longest prefix of a path as sent (still percent-encoded), below a host
    /// in small letters if there is one; and how many bytes of the path that prefix takes.
    pub(crate) fn find(&self, host: Option<&str>, path: &str) -> Option<(Arc<T>, usize)> {
        let depth = self.depth.load(Ordering::Acquire).min(DEPTH);
        // Where each prefix ends, in the key and in the path as sent.
        let mut ends = [(0, 0); DEPTH + 1];
        let mut found = 0;
        let mut buffer = Buffer::new();
        let plain = host.is_none() && !path.as_bytes().contains(&b'%');
        if let Some(host) = host
            && depth > 0
        {
            buffer.push(b"/");
            buffer.push(host.as_bytes());
            found += 1;
            ends[found] = (buffer.len(), 0);
        }
        let mut at = 0;
        while found < depth && path.as_bytes().get(at) == Some(&b'/') {
            let rest = &path[at + 1..];
            let raw = &rest[..rest.find('/').unwrap_or(rest.len())];
            at += 1 + raw.len();
            if plain {
                found += 1;
                ends[found] = (at, at);
                continue;
            }
            let segment = path::decode_segment(raw);
            // A slash that came encoded is part of a segment, and no key has such a segment.
            if segment.contains(&b'/') {
                break;
            }
            buffer.push(b"/");
            buffer.push(&segment);
            found += 1;
            ends[found] = (buffer.len(), at);
        }
        let key = if plain {
            path.as_bytes()
        } else {
            buffer.bytes()
        };
        ends[..=found]
            .iter()
            .rev()
            .find_map(|(end, taken)| Some((self.probe(&key[..*end])?, *taken)))
    }

    /// Everything, in no order. Changes meanwhile are seen or not.
    pub(crate) fn values(&self) -> Vec<Arc<T>> {
        let mut values = Vec::with_capacity(self.len());
        for shard in &self.shards {
            values.extend(shard.load().iter().map(|(_, value)| value.clone()));
        }
        values
    }
}

fn shard_of(hash: u64, shards: usize) -> usize {
    (hash >> 32) as usize % shards
}

/// Where a key is, or where it belongs.
fn position<T: Keyed>(shard: &Shard<T>, hash: u64, key: &[u8]) -> Result<usize, usize> {
    shard.binary_search_by(|(other, value)| (*other, value.key().as_bytes()).cmp(&(hash, key)))
}

/// Bytes on the stack for as long as they are few.
struct Buffer {
    short: [u8; SHORT],
    length: usize,
    long: Vec<u8>,
}

impl Buffer {
    fn new() -> Self {
        Self {
            short: [0; SHORT],
            length: 0,
            long: Vec::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if self.long.is_empty() && end <= SHORT {
            self.short[self.length..end].copy_from_slice(bytes);
        } else {
            if self.long.is_empty() {
                self.long.extend_from_slice(&self.short[..self.length]);
            }
            self.long.extend_from_slice(bytes);
        }
        self.length = end;
    }

    fn len(&self) -> usize {
        self.length
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            &self.short[..self.length]
        } else {
            &self.long
        }
    }
}

/// Host names in small letters, as keys have them; most are already.
pub(crate) fn small(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

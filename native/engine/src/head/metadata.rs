//! Metadata: the type, unit and help of metric families, the newest of each.
//!
//! Senders repeat it with every request (2.0) or every minute (1.0), so only a change is logged and
//! stored. The number of families and their text are bounded; past the bound a family that nobody
//! has sent for the longest time, about, makes room: each has a mark that a write sets, a hand
//! goes around, clears marks and takes the first family without one (the "clock" of operating
//! systems: Corbató, "A Paging Experiment with the Multics System", 1968).
//!
//! Services of different versions may say different things of one family for ever, in every
//! request. So a family that was changed a moment ago ([`CHANGE_MS`]) is not changed again: what it
//! should be comes again with a later request.
//!
//! Looked up on any thread, changed on the thread that applies.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::append::WriteOutcome;
use crate::refs::TenantId;
use crate::sample::TimestampMs;
use crate::sync::{AtomicBool, AtomicI64, AtomicU64, Ordering, RwLock};
use crate::wal::record::metadata::{MetadataEncoder, MetadataRecord};
use crate::wire::WireBatch;
use crate::wire::metadata::{MetricType, WireMetadata};

/// Bytes of text that a family may have on average; all families share this budget.
const BYTES_PER_FAMILY: usize = 1024;
/// Least time between two changes of a family: a fleet that disagrees about a hundred families of a
/// few hundred bytes costs the log some kilobytes a second.
const CHANGE_MS: i64 = 10_000;
/// Bytes of the text of one family. The longest help of common exporters has a few hundred.
const FAMILY_BYTES_MAX: usize = 16 << 10;

/// What a metric family is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Whose metric.
    pub tenant: TenantId,
    /// Its name.
    pub family: Box<str>,
    /// Its type.
    pub kind: MetricType,
    /// Its unit, or nothing.
    pub unit: Box<str>,
    /// What it measures, or nothing.
    pub help: Box<str>,
}

impl Metadata {
    /// Of a request; `None` when a text is no UTF-8 or too long, or there is no name.
    fn understood(tenant: TenantId, wire: &WireMetadata<'_>) -> Option<Self> {
        let bytes = wire.family.len() + wire.unit.len() + wire.help.len();
        if wire.family.is_empty() || bytes > FAMILY_BYTES_MAX {
            return None;
        }
        let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::from);
        let (family, unit, help) = (text(wire.family)?, text(wire.unit)?, text(wire.help)?);
        Some(Self { tenant, family, kind: wire.kind, unit, help })
    }

    fn bytes(&self) -> usize {
        self.family.len() + self.unit.len() + self.help.len()
    }

    pub(super) fn record(&self) -> MetadataRecord<'_> {
        MetadataRecord {
            tenant: self.tenant,
            kind: self.kind as u8,
            family: self.family.as_bytes(),
            unit: self.unit.as_bytes(),
            help: self.help.as_bytes(),
        }
    }
}

/// The metadata of all tenants.
pub struct MetadataTable {
    table: RwLock<Table>,
    /// Changes with every change of the table.
    version: AtomicU64,
}

struct Family {
    metadata: Metadata,
    /// Whether it was sent since the hand passed.
    sent: AtomicBool,
    /// When a write last was to change it.
    changed_ms: AtomicI64,
}

struct Table {
    max: usize,
    families: Vec<Family>,
    by_name: HashTable<u32>,
    seed: u64,
    hand: usize,
    bytes: usize,
}

fn seeded_hash(seed: u64, tenant: TenantId, family: &[u8]) -> u64 {
    xxh3_64_with_seed(family, seed ^ u64::from(tenant.0))
}

impl MetadataTable {
    /// A table of `max` families; 0 stores none.
    pub fn new(max: usize) -> Self {
        let table = Table {
            max: max.min(u32::MAX as usize),
            families: Vec::new(),
            by_name: HashTable::new(),
            seed: RandomState::new().hash_one(max),
            hand: 0,
            bytes: 0,
        };
        Self { table: RwLock::new(table), version: AtomicU64::new(0) }
    }

    /// What of `all` is to change the table; marks families as sent.
    fn news<'a>(
        &self,
        tenant: TenantId,
        all: &[WireMetadata<'a>],
        now_ms: TimestampMs,
    ) -> Vec<WireMetadata<'a>> {
        if all.is_empty() {
            return Vec::new();
        }
        let table = self.table.read();
        all.iter().filter(|wire| table.is_news(tenant, wire, now_ms)).copied().collect()
    }

    /// Stores metadata; the newest of a family stands.
    pub fn put(&self, all: impl IntoIterator<Item = Metadata>) {
        let mut table = self.table.write();
        let mut changed = false;
        for metadata in all {
            changed |= table.put(metadata);
        }
        if changed {
            self.version.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The metadata of a tenant, of all families or one, ascending by name; `limit` families at
    /// most.
    pub fn select(&self, tenant: TenantId, family: Option<&str>, limit: usize) -> Vec<Metadata> {
        let table = self.table.read();
        if let Some(family) = family {
            let at = table.find(tenant, family.as_bytes());
            let found = at.and_then(|at| table.families.get(at as usize));
            return found.map(|f| f.metadata.clone()).into_iter().take(limit).collect();
        }
        let mut found: Vec<&Metadata> = table.families.iter().map(|f| &f.metadata).collect();
        found.retain(|metadata| metadata.tenant == tenant);
        found.sort_unstable_by(|a, b| a.family.cmp(&b.family));
        found.into_iter().take(limit).cloned().collect()
    }

    /// Number of families.
    pub fn len(&self) -> usize {
        self.table.read().families.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes whenever the table does.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// All of it as records of the log.
    pub fn records(&self) -> Vec<u8> {
        let mut encoder = MetadataEncoder::default();
        let table = self.table.read();
        table.families.iter().for_each(|family| encoder.add(&family.metadata.record()));
        encoder.content()
    }

    /// Stores metadata of the replayed log, or of the file that the log was cut for.
    ///
    /// # Errors
    /// `corruption`, without a place, when it is not what was written.
    pub fn restore(&self, record: &MetadataRecord<'_>) -> Result<()> {
        let MetadataRecord { tenant, kind, family, unit, help } = *record;
        let kind = MetricType::from_number(u64::from(kind));
        let metadata = Metadata::understood(tenant, &WireMetadata { family, kind, unit, help });
        let broken = || Error::new(ErrorCode::Corruption, "the metadata of a metric is malformed");
        self.put([metadata.ok_or_else(broken)?]);
        Ok(())
    }
}

impl Table {
    /// Seeded, so that no sender can aim at collisions; 10 ns, as it is in the way of every write.
    fn hash(&self, tenant: TenantId, family: &[u8]) -> u64 {
        seeded_hash(self.seed, tenant, family)
    }

    fn is_news(&self, tenant: TenantId, wire: &WireMetadata<'_>, now_ms: TimestampMs) -> bool {
        let found = self.find(tenant, wire.family).and_then(|at| self.families.get(at as usize));
        let Some(Family { metadata, sent, changed_ms }) = found else { return true };
        sent.store(true, Ordering::Relaxed);
        let same = metadata.kind == wire.kind
            && metadata.unit.as_bytes() == wire.unit
            && metadata.help.as_bytes() == wire.help;
        let last = changed_ms.load(Ordering::Relaxed);
        // Of writes that race one has the change; a clock that went back changes nothing for long.
        !same
            && (now_ms < last || now_ms.saturating_sub(last) >= CHANGE_MS)
            && changed_ms
                .compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn find(&self, tenant: TenantId, family: &[u8]) -> Option<u32> {
        let same = |at: &u32| {
            let found = self.families.get(*at as usize).map(|family| &family.metadata);
            found.is_some_and(|m| m.tenant == tenant && m.family.as_bytes() == family)
        };
        self.by_name.find(self.hash(tenant, family), same).copied()
    }

    /// Returns whether anything changed.
    fn put(&mut self, metadata: Metadata) -> bool {
        if self.max == 0 {
            return false;
        }
        let known = self.find(metadata.tenant, metadata.family.as_bytes());
        if let Some(family) = known.and_then(|at| self.families.get_mut(at as usize)) {
            let changed = family.metadata != metadata;
            self.bytes = self.bytes - family.metadata.bytes() + metadata.bytes();
            family.metadata = metadata;
            return changed;
        }
        self.bytes += metadata.bytes();
        let hash = self.hash(metadata.tenant, metadata.family.as_bytes());
        let most_bytes = self.max.saturating_mul(BYTES_PER_FAMILY).max(FAMILY_BYTES_MAX);
        while !self.families.is_empty()
            && (self.families.len() >= self.max || self.bytes > most_bytes)
        {
            self.evict();
        }
        let at = self.families.len() as u32;
        let (sent, changed_ms) = (AtomicBool::new(true), AtomicI64::new(i64::MIN / 2));
        self.families.push(Family { metadata, sent, changed_ms });
        self.index(hash, at);
        true
    }

    fn index(&mut self, hash: u64, at: u32) {
        let (families, seed) = (&self.families, self.seed);
        self.by_name.insert_unique(hash, at, |at| {
            let m = families.get(*at as usize).map(|family| &family.metadata);
            m.map_or(0, |m| seeded_hash(seed, m.tenant, m.family.as_bytes()))
        });
    }

    /// Removes the next family without a mark; the last one takes its place.
    fn evict(&mut self) {
        while let Some(family) = self.families.get(self.hand % self.families.len().max(1)) {
            self.hand %= self.families.len();
            if !family.sent.swap(false, Ordering::Relaxed) {
                break;
            }
            self.hand += 1;
        }
        let (at, last) = (self.hand, self.families.len().saturating_sub(1));
        for place in [at, last] {
            self.unindex(place);
        }
        if at > last {
            return;
        }
        self.bytes -= self.families.swap_remove(at).metadata.bytes();
        if at < last
            && let Some(moved) = self.families.get(at)
        {
            let hash = self.hash(moved.metadata.tenant, moved.metadata.family.as_bytes());
            self.index(hash, at as u32);
        }
    }

    fn unindex(&mut self, place: usize) {
        let Some(family) = self.families.get(place) else { return };
        let hash = self.hash(family.metadata.tenant, family.metadata.family.as_bytes());
        if let Ok(found) = self.by_name.find_entry(hash, |at| *at as usize == place) {
            found.remove();
        }
    }
}

impl Head {
    /// The metadata of a request that is news.
    pub(super) fn prepare_metadata(
        &self,
        batch: &WireBatch<'_>,
        tenant: TenantId,
        now_ms: TimestampMs,
        outcome: &mut WriteOutcome,
    ) -> Vec<Metadata> {
        let mut news = Vec::new();
        for wire in self.metadata().news(tenant, &batch.metadata, now_ms) {
            match Metadata::understood(tenant, &wire) {
                Some(metadata) => news.push(metadata),
                None => outcome.dropped_metadata += 1,
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(family: &str, help: &str) -> Metadata {
        Metadata {
            tenant: TenantId(0),
            family: family.into(),
            kind: MetricType::Gauge,
            unit: "".into(),
            help: help.into(),
        }
    }

    fn names(table: &MetadataTable) -> Vec<String> {
        let found = table.select(TenantId(0), None, usize::MAX);
        found.iter().map(|m| m.family.to_string()).collect()
    }

    fn send(table: &MetadataTable, family: &str) -> bool {
        let (kind, unit, help) = (MetricType::Gauge, &b""[..], &b"h"[..]);
        let wire = WireMetadata { family: family.as_bytes(), kind, unit, help };
        table.news(TenantId(0), &[wire], 0).is_empty()
    }

    #[test]
    fn a_family_does_not_change_to_and_fro() {
        let table = MetadataTable::new(10);
        table.put([metadata("up", "h")]);
        let wire = |help: &'static str| {
            let (family, kind, unit, help) = (b"up", MetricType::Gauge, b"", help.as_bytes());
            WireMetadata { family, kind, unit, help }
        };
        let news = |help, now_ms| table.news(TenantId(0), &[wire(help), wire(help)], now_ms).len();
        assert_eq!(news("h", 0), 0);
        assert_eq!(news("other", 0), 1, "once in a request");
        assert_eq!(news("other", CHANGE_MS - 1), 0);
        assert_eq!(news("other", CHANGE_MS), 1);
        assert_eq!(news("other", -1), 1, "a clock that went back");
    }

    #[test]
    fn the_newest_of_a_family_stands() {
        let table = MetadataTable::new(10);
        table.put([metadata("up", "first"), metadata("up", "second"), metadata("down", "")]);
        assert_eq!(names(&table), ["down", "up"]);
        assert_eq!(table.select(TenantId(0), Some("up"), 9), [metadata("up", "second")]);
        assert!(table.select(TenantId(0), Some("up"), 0).is_empty());
        assert!(table.select(TenantId(0), Some("u"), 9).is_empty());
        assert!(table.select(TenantId(1), None, 9).is_empty());
        assert_eq!(table.select(TenantId(0), None, 1).len(), 1);
    }

    #[test]
    fn only_a_change_is_news() {
        let table = MetadataTable::new(10);
        assert!(!send(&table, "up"));
        table.put([metadata("up", "h")]);
        assert!(send(&table, "up"));
        let before = table.version();
        table.put([metadata("up", "h")]);
        assert_eq!(table.version(), before);
        table.put([metadata("up", "other")]);
        assert_ne!(table.version(), before);
        assert!(!send(&table, "up"));
    }

    #[test]
    fn what_nobody_sends_makes_room() {
        let table = MetadataTable::new(3);
        table.put(["a", "b", "c"].map(|name| metadata(name, "h")));
        // The first round clears the marks, and takes the first.
        table.put([metadata("d", "h")]);
        assert_eq!(names(&table), ["b", "c", "d"]);
        assert!(send(&table, "b") && send(&table, "d"));
        table.put([metadata("e", "h")]);
        assert_eq!(names(&table), ["b", "d", "e"]);
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn the_text_of_all_families_is_bounded() {
        let table = MetadataTable::new(100);
        let help = "h".repeat(FAMILY_BYTES_MAX - 10);
        table.put((0..100).map(|i| metadata(&format!("m{i}"), &help)));
        assert!(table.len() < 10, "{}", table.len());
        table.put((0..1000).map(|i| metadata(&format!("n{i}"), "short")));
        assert_eq!(table.len(), 100);
        assert!(names(&table).contains(&"n999".to_owned()));
    }

    #[test]
    fn records_bring_a_table_back() {
        let table = MetadataTable::new(10);
        table.put([metadata("up", "Is it?"), metadata("down", "")]);
        let restored = MetadataTable::new(10);
        let records = table.records();
        crate::wal::record::metadata::decode(&records, |r| restored.restore(&r)).unwrap();
        assert_eq!(restored.records(), records);
        let some = metadata("x", "");
        let nameless = MetadataRecord { family: b"", ..some.record() };
        assert_eq!(restored.restore(&nameless).unwrap_err().code(), ErrorCode::Corruption);
    }

    #[test]
    fn what_is_no_text_or_too_long_is_not_understood() {
        let wire = |family, help| WireMetadata { family, kind: MetricType::Info, unit: b"", help };
        let long = vec![b'x'; FAMILY_BYTES_MAX];
        for (family, help) in
            [(&b""[..], &b"h"[..]), (b"a\xff", b"h"), (b"a", b"\xff"), (b"a", &long)]
        {
            assert!(Metadata::understood(TenantId(0), &wire(family, help)).is_none());
        }
        assert!(Metadata::understood(TenantId(0), &wire(b"a", b"")).is_some());
    }
}

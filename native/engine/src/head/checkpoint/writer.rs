//! Writes a checkpoint: slices of series as they are captured, then what they share.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::{CHECKPOINT_KIND, Info, SLICE_SLOTS, contents, path, section};
use crate::codec::varint;
use crate::disk::sections::SectionWriter;
use crate::disk::{Disk, publish};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::head::sealed::Held;
use crate::refs::{Position, SeriesRef, TenantId};

/// The samples of a run of slots at one log position.
#[derive(Debug)]
pub struct Captured {
    shard: usize,
    first_slot: usize,
    /// Slot and where its contents end in `bytes`.
    series: Vec<(usize, usize)>,
    bytes: Vec<u8>,
    /// The numbers of the chunk files that `bytes` names.
    files: BTreeSet<u64>,
}

impl Head {
    /// The samples of the active generation in [`SLICE_SLOTS`] slots of `shard` from `first_slot`
    /// on; `None` where the shard has none any more. On the log thread this is what the log up to
    /// its end says of these series.
    ///
    /// Cost: a copy of the open chunks, less than a millisecond.
    pub fn capture(&self, shard: usize, first_slot: usize) -> Option<Captured> {
        let slots = self.shards[shard].slots.read();
        if first_slot >= slots.len() {
            return None;
        }
        let generation = self.generation();
        let (series, bytes, files) = Default::default();
        let mut captured = Captured { shard, first_slot, series, bytes, files };
        for slot in first_slot..slots.len().min(first_slot + SLICE_SLOTS) {
            // One that is without samples now, but in the log of the generation, counts too: what
            // follows in the log does not define it again.
            let known = slots.get(slot).filter(|s| s.indexed && s.generation() == generation);
            let Some(parts) = known.map(|series| series.parts()) else { continue };
            contents::write(&parts, &mut captured.bytes);
            captured.series.push((slot, captured.bytes.len()));
            for chunk in parts.all_sealed() {
                if let Held::File(file, _) = chunk.held() {
                    captured.files.insert(file.number());
                }
            }
        }
        Some(captured)
    }
}

/// Writes a checkpoint under a temporary name until [`CheckpointWriter::publish`].
pub struct CheckpointWriter<'a> {
    head: &'a Head,
    disk: &'a dyn Disk,
    path: PathBuf,
    out: SectionWriter,
    /// The table of slices.
    slices: Vec<u8>,
    files: BTreeSet<u64>,
    symbols: Symbols,
    positions: Option<(Position, Position)>,
    /// Kept for its memory.
    payload: Vec<u8>,
}

/// The texts of the checkpoint, numbered as they are met.
#[derive(Default)]
struct Symbols {
    /// By tenant and id of the tenant's index: the number here, plus 1.
    numbers: HashMap<TenantId, Vec<u32>>,
    count: u32,
    texts: Vec<u8>,
}

impl Symbols {
    fn number(&mut self, tenant: TenantId, id: u32, text: &str) -> u32 {
        let numbers = self.numbers.entry(tenant).or_default();
        if numbers.len() <= id as usize {
            numbers.resize(id as usize + 1, 0);
        }
        let number = &mut numbers[id as usize];
        if *number == 0 {
            self.count += 1;
            *number = self.count;
            varint::write(&mut self.texts, text.len() as u64);
            self.texts.extend_from_slice(text.as_bytes());
        }
        *number - 1
    }
}

impl<'a> CheckpointWriter<'a> {
    /// Begins a checkpoint of `head` in the head's directory `dir`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(head: &'a Head, disk: &'a dyn Disk, dir: &std::path::Path) -> Result<Self> {
        let path = path(dir);
        let temp = publish::temp_path(&path);
        if disk.exists(&temp) {
            disk.remove_file(&temp)?;
        }
        Ok(Self {
            head,
            disk,
            out: SectionWriter::create(disk, &temp, CHECKPOINT_KIND)?,
            path,
            slices: Vec::new(),
            files: BTreeSet::new(),
            symbols: Symbols::default(),
            positions: None,
            payload: Vec::new(),
        })
    }

    /// Adds a slice that was captured when the log had been applied up to `position`; `None` where
    /// there were no slots yet, which counts as well: the log past there may define some, and must
    /// be replayed. No series may have left the head since.
    ///
    /// # Errors
    /// Those of the disk; `internal` for a series without labels.
    pub fn add(&mut self, captured: Option<&Captured>, position: Position) -> Result<()> {
        let (low, high) = self.positions.unwrap_or((position, position));
        self.positions = Some((low.min(position), high.max(position)));
        let Some(captured) = captured else { return Ok(()) };
        self.files.extend(&captured.files);
        self.payload.clear();
        let mut start = 0;
        for (slot, end) in &captured.series {
            let series = SeriesRef::pack(captured.shard, *slot)
                .ok_or_else(|| Error::internal("a slot past those of a shard"))?;
            varint::write(&mut self.payload, (slot - captured.first_slot) as u64);
            self.labels(series)?;
            let contents = &captured.bytes[start..*end];
            varint::write(&mut self.payload, contents.len() as u64);
            self.payload.extend_from_slice(contents);
            start = *end;
        }
        let crc = crc32c::crc32c(&self.payload);
        let (offset, len) = (self.out.section_len(), self.payload.len() as u64);
        self.slices.extend_from_slice(&(captured.shard as u32).to_le_bytes());
        self.slices.extend_from_slice(&(captured.first_slot as u32).to_le_bytes());
        for number in [position.0, offset, len] {
            self.slices.extend_from_slice(&number.to_le_bytes());
        }
        self.slices.extend_from_slice(&(captured.series.len() as u32).to_le_bytes());
        self.slices.extend_from_slice(&crc.to_le_bytes());
        self.out.write(&self.payload)
    }

    /// Appends tenant and labels of a series to the payload.
    fn labels(&mut self, series: SeriesRef) -> Result<()> {
        for tenant in self.head.tenants() {
            let Some(index) = self.head.index(tenant) else { continue };
            let index = index.read();
            let mut pairs = Vec::new();
            if !index.contains(series) {
                continue;
            }
            index.labels(series, &mut pairs);
            varint::write(&mut self.payload, u64::from(tenant.0));
            varint::write(&mut self.payload, pairs.len() as u64);
            for id in pairs.into_iter().flat_map(|(name, value)| [name, value]) {
                let number = self.symbols.number(tenant, id, index.symbols().text(id));
                varint::write(&mut self.payload, u64::from(number));
            }
            return Ok(());
        }
        Err(Error::internal("a series of the head is in no index"))
    }

    /// The lowest and the highest position of what was added so far.
    pub fn positions(&self) -> Option<(Position, Position)> {
        self.positions
    }

    /// Makes the checkpoint durable and visible in place of the one before. The log must be durable
    /// up to the highest position by now. `info` says all but the positions.
    ///
    /// # Errors
    /// Those of the disk; the checkpoint before stands then, or this one does.
    pub fn publish(mut self, info: Info) -> Result<Info> {
        let (replay_from, covered_to) = self
            .positions
            .ok_or_else(|| Error::internal("a checkpoint of nothing has no position"))?;
        let info = Info { replay_from, covered_to, ..info };
        self.out.end_section(section::SERIES);
        self.out.write(&self.symbols.texts)?;
        self.out.end_section(section::SYMBOLS);
        self.out.write(&self.slices)?;
        self.out.end_section(section::SLICES);
        for number in &self.files {
            self.out.write(&number.to_le_bytes())?;
        }
        self.out.end_section(section::FILES);
        let numbers = [
            info.from.0,
            info.replay_from.0,
            info.covered_to.0,
            info.newest as u64,
            info.first_newest as u64,
            info.samples,
        ];
        for number in numbers {
            self.out.write(&number.to_le_bytes())?;
        }
        self.out.write(&self.symbols.count.to_le_bytes())?;
        self.out.write(&(SLICE_SLOTS as u32).to_le_bytes())?;
        self.out.end_section(section::INFO);
        self.out.finish()?;
        publish::publish_prepared(self.disk, &self.path)?;
        Ok(info)
    }
}

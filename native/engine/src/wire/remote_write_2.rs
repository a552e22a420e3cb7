//! Prometheus remote_write 2.0: a decompressed body to a [`WireBatch`].
//!
//! Source of the schema: Prometheus 3.14, `prompb/io/prometheus/write/v2/types.proto` (`Request`,
//! `TimeSeries`, `Sample`, `Exemplar`, `Metadata`; the field numbers below; for `Histogram` see
//! `histogram.rs`). What a request may lack, and what is refused series by series, follows
//! `storage/remote/write_handler.go` (`appendV2`) and `prompb/io/prometheus/write/v2/codec.go`.
//!
//! Text is sent once a request, in a table of symbols; labels are numbers of them. The key of the
//! series map is the labels as remote_write 1.0 writes them (`labels.rs`), so both versions find
//! the same series: they are put together in an arena of the caller, 250 bytes a series or so. The
//! body is walked twice, because nothing says that the symbols come first.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Error, ErrorCode, Result};
use crate::labels::{METRIC_NAME, METRIC_TYPE, METRIC_UNIT, encode_pair};
use crate::sample::{NO_START, Sample, TimestampMs};
use crate::wire::histogram::parse_histogram;
use crate::wire::metadata::{MetricType, WireMetadata, family_of};
use crate::wire::protobuf::{Message, bytes_tag, fixed64_tag, varint_tag};
use crate::wire::{LateExemplars, Refusal, WireBatch, WireExemplar};

const REQUEST_SYMBOLS: u64 = bytes_tag(4);
const REQUEST_TIMESERIES: u64 = bytes_tag(5);
const SERIES_LABELS: u64 = bytes_tag(1);
const SERIES_LABEL: u64 = varint_tag(1);
const SERIES_SAMPLES: u64 = bytes_tag(2);
const SERIES_HISTOGRAMS: u64 = bytes_tag(3);
const SERIES_EXEMPLARS: u64 = bytes_tag(4);
const SERIES_METADATA: u64 = bytes_tag(5);
const SAMPLE_VALUE: u64 = fixed64_tag(1);
const SAMPLE_TIMESTAMP: u64 = varint_tag(2);
const SAMPLE_START_TIMESTAMP: u64 = varint_tag(3);
const EXEMPLAR_LABELS: u64 = bytes_tag(1);
const EXEMPLAR_LABEL: u64 = varint_tag(1);
const EXEMPLAR_VALUE: u64 = fixed64_tag(2);
const EXEMPLAR_TIMESTAMP: u64 = varint_tag(3);
const METADATA_TYPE: u64 = varint_tag(1);
const METADATA_HELP: u64 = varint_tag(3);
const METADATA_UNIT: u64 = varint_tag(4);

/// Refusals of one request that keep their sentence; of the rest the first is counted up.
const REFUSALS_MAX: usize = 16;

/// What a request may take, and what is made of it.
#[derive(Debug, Clone, Copy)]
pub struct ParseOptions {
    /// Most bytes of all labels.
    pub max_arena_bytes: usize,
    /// Give series the type and the unit that their metadata says as labels, in place of such
    /// labels of their own. Prometheus' `type-and-unit-labels`.
    pub type_and_unit_labels: bool,
}

/// Parses a decompressed `Request`. Labels are written to `arena`, of which the batch borrows; it
/// is cleared first. An empty body is a request without series.
///
/// A series whose numbers have no symbol, or that has nothing but labels and metadata, is refused
/// in the batch, and an exemplar whose numbers have no symbol too. One deviation: a series of
/// exemplars alone is stored, where Prometheus' receiver refuses it, because its sender makes such.
///
/// # Errors
/// `bad_data` with the offset in the body when it is no such message; `too_large` when the labels
/// take more than `options` allow: a symbol may be large and named by every series.
pub fn parse_v2<'a>(
    body: &'a [u8],
    arena: &'a mut Vec<u8>,
    options: ParseOptions,
) -> Result<WireBatch<'a>> {
    arena.clear();
    let mut walk = Walk {
        symbols: symbols(body)?,
        arena,
        options,
        batch: WireBatch { late_exemplars: LateExemplars::Refuse, ..WireBatch::default() },
        series_labels: Vec::new(),
        exemplar_labels: Vec::new(),
        refs: Vec::new(),
    };
    let mut request = Message::new(body);
    while let Some(tag) = request.next_tag()? {
        match tag {
            REQUEST_TIMESERIES => walk.series(request.message()?)?,
            REQUEST_SYMBOLS => {
                request.message()?;
            }
            other => skip_in_request(&mut request, other)?,
        }
    }
    let Walk { arena, mut batch, series_labels, exemplar_labels, .. } = walk;
    let arena: &'a [u8] = arena;
    for (series, labels) in batch.series.iter_mut().zip(series_labels) {
        series.labels = Cow::Borrowed(&arena[labels]);
    }
    for (exemplar, labels) in batch.exemplars.iter_mut().zip(exemplar_labels) {
        exemplar.labels = Cow::Borrowed(&arena[labels]);
    }
    Ok(batch)
}

/// Fields 1 to 3 are those of version 1.0, which a sender that mixes them up fills.
fn skip_in_request(request: &mut Message<'_>, tag: u64) -> Result<()> {
    request.skip(tag, if tag >> 3 <= 3 { 0 } else { 5 })
}

fn symbols(body: &[u8]) -> Result<Vec<&[u8]>> {
    let mut symbols = Vec::new();
    let mut request = Message::new(body);
    while let Some(tag) = request.next_tag()? {
        match tag {
            REQUEST_SYMBOLS => symbols.push(request.bytes()?),
            REQUEST_TIMESERIES => {
                request.message()?;
            }
            other => skip_in_request(&mut request, other)?,
        }
    }
    Ok(symbols)
}

/// The state of the second walk.
struct Walk<'a> {
    symbols: Vec<&'a [u8]>,
    arena: &'a mut Vec<u8>,
    options: ParseOptions,
    batch: WireBatch<'a>,
    /// Where in the arena the labels of each series of the batch are.
    series_labels: Vec<Range<usize>>,
    /// The same for each exemplar.
    exemplar_labels: Vec<Range<usize>>,
    /// Kept for its memory.
    refs: Vec<u32>,
}

/// What a series says of its metric, by numbers of symbols.
#[derive(Default, Clone, Copy)]
struct MetadataRefs {
    kind: MetricType,
    help: u32,
    unit: u32,
}

impl<'a> Walk<'a> {
    /// One series: stored in the batch, or refused there.
    fn series(&mut self, mut series: Message<'a>) -> Result<()> {
        let before = self.batch.lengths();
        let mut refs = std::mem::take(&mut self.refs);
        refs.clear();
        let mut metadata = MetadataRefs::default();
        while let Some(tag) = series.next_tag()? {
            let batch = &mut self.batch;
            match tag {
                SERIES_LABELS => series.message()?.packed(&mut refs)?,
                SERIES_LABEL => refs.push(series.varint()? as u32),
                SERIES_SAMPLES => {
                    let (sample, start) = parse_sample(series.message()?)?;
                    batch.push_sample(sample, start);
                }
                SERIES_HISTOGRAMS => {
                    let histogram = parse_histogram(series.message()?, batch.histograms.last())?;
                    batch.histograms.push(histogram);
                }
                SERIES_EXEMPLARS => self.exemplar(series.message()?)?,
                SERIES_METADATA => metadata = parse_metadata(series.message()?)?,
                other => series.skip(other, 5)?,
            }
        }
        let after = self.batch.lengths();
        let samples = after.samples - before.samples + after.histograms - before.histograms;
        let is_empty = samples + after.exemplars - before.exemplars == 0;
        let resolved = self.resolve(&refs, metadata, is_empty);
        self.refs = refs;
        match resolved {
            Ok((labels, metadata)) => {
                // The buckets of a histogram follow one another.
                let known = self.batch.metadata.last().copied();
                self.batch.metadata.extend(metadata.filter(|_| known != metadata));
                self.series_labels.push(labels);
                self.batch.end_series(Cow::Borrowed(&[]))
            }
            Err(error) if error.code() == ErrorCode::TooLarge => Err(error),
            Err(error) => {
                self.batch.truncate(before);
                self.exemplar_labels.truncate(before.exemplars);
                self.refuse(error, (samples as u64).max(1));
                Ok(())
            }
        }
    }

    /// The labels and the metadata of a series, unless it `is_empty`.
    fn resolve(
        &mut self,
        refs: &[u32],
        metadata: MetadataRefs,
        is_empty: bool,
    ) -> Result<(Range<usize>, Option<WireMetadata<'a>>)> {
        let described = self.described(metadata);
        let labels = self.labels(refs, described.as_slice())?;
        let (help, unit) = (self.symbol(metadata.help)?, self.symbol(metadata.unit)?);
        if is_empty {
            let text = "a series must have a sample, a histogram or an exemplar, got none";
            return Err(Error::bad_data(format!("{text}: {}", self.shown(refs))));
        }
        let nothing = metadata.kind == MetricType::Unknown && help.is_empty() && unit.is_empty();
        let name = refs.as_chunks::<2>().0.iter().find_map(|[name, value]| {
            let is_name = self.symbol(*name).ok()? == METRIC_NAME.as_bytes();
            is_name.then(|| self.symbol(*value).ok()).flatten()
        });
        let metadata = name.filter(|_| !nothing).map(|name| WireMetadata {
            family: family_of(name, metadata.kind),
            kind: metadata.kind,
            unit,
            help,
        });
        Ok((labels, metadata))
    }

    fn exemplar(&mut self, mut exemplar: Message<'a>) -> Result<()> {
        let mut refs = Vec::new();
        let (mut t, mut bits) = (0, 0);
        while let Some(tag) = exemplar.next_tag()? {
            match tag {
                EXEMPLAR_LABELS => exemplar.message()?.packed(&mut refs)?,
                EXEMPLAR_LABEL => refs.push(exemplar.varint()? as u32),
                EXEMPLAR_VALUE => bits = exemplar.fixed64()?,
                EXEMPLAR_TIMESTAMP => t = exemplar.varint()? as i64,
                other => exemplar.skip(other, 3)?,
            }
        }
        match self.labels(&refs, &[]) {
            Ok(labels) => {
                let v = f64::from_bits(bits);
                self.batch.exemplars.push(WireExemplar { labels: Cow::Borrowed(&[]), t, v });
                self.exemplar_labels.push(labels);
            }
            Err(error) if error.code() == ErrorCode::TooLarge => return Err(error),
            Err(error) => {
                self.refuse(Error::bad_data(format!("an exemplar: {}", error.message())), 1);
            }
        }
        Ok(())
    }

    /// The type and the unit of a series as labels, sorted, where they are wanted and known.
    ///
    /// Source: Prometheus 3.14, `appendV2` in `storage/remote/write_handler.go`, and `AddToLabels`
    /// in `schema/labels.go`.
    fn described(&self, metadata: MetadataRefs) -> Vec<(&'static str, &'a [u8])> {
        let mut labels = Vec::new();
        if self.options.type_and_unit_labels {
            if metadata.kind != MetricType::Unknown {
                labels.push((METRIC_TYPE, metadata.kind.as_str().as_bytes()));
            }
            // One that has no symbol is refused with the series.
            let unit = self.symbol(metadata.unit).unwrap_or_default();
            if !unit.is_empty() {
                labels.push((METRIC_UNIT, unit));
            }
        }
        labels
    }

    /// Writes labels to the arena, in the order of `refs`, with those of `described` before the
    /// first that is greater. Where there are some, labels of the same purpose are left out.
    fn labels(
        &mut self,
        refs: &[u32],
        described: &[(&'static str, &'a [u8])],
    ) -> Result<Range<usize>> {
        let (pairs, odd) = refs.as_chunks::<2>();
        if !odd.is_empty() {
            let len = refs.len();
            let text = format!("labels are pairs of symbols, got {len} numbers");
            return Err(Error::bad_data(text));
        }
        let start = self.arena.len();
        let mut described = described.iter().peekable();
        let replaced: &[&str] =
            if described.peek().is_some() { &[METRIC_TYPE, METRIC_UNIT] } else { &[] };
        for [name, value] in pairs {
            let (name, value) = (self.symbol(*name)?, self.symbol(*value)?);
            if replaced.iter().any(|own| own.as_bytes() == name) {
                continue;
            }
            while let Some((own, said)) = described.next_if(|(own, _)| own.as_bytes() < name) {
                self.pair(own.as_bytes(), said)?;
            }
            self.pair(name, value)?;
        }
        for (own, said) in described {
            self.pair(own.as_bytes(), said)?;
        }
        Ok(start..self.arena.len())
    }

    #[inline]
    fn pair(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        if self.arena.len() + name.len() + value.len() > self.options.max_arena_bytes {
            return Err(self.too_large());
        }
        encode_pair(self.arena, name, value);
        Ok(())
    }

    #[inline]
    fn symbol(&self, number: u32) -> Result<&'a [u8]> {
        match self.symbols.get(number as usize) {
            Some(symbol) => Ok(symbol),
            // A request without a single text need not have a table.
            None if number == 0 => Ok(b""),
            None => Err(self.no_symbol(number)),
        }
    }

    #[cold]
    fn no_symbol(&self, number: u32) -> Error {
        let len = self.symbols.len();
        Error::bad_data(format!("there is no symbol {number}, the request has {len}"))
    }

    #[cold]
    fn too_large(&self) -> Error {
        let text = format!(
            "the labels of the request take more than {} bytes, which is the most allowed",
            self.options.max_arena_bytes
        );
        Error::new(ErrorCode::TooLarge, text)
    }

    #[cold]
    fn refuse(&mut self, error: Error, count: u64) {
        let refusals = &mut self.batch.refusals;
        if refusals.len() < REFUSALS_MAX {
            refusals.push(Refusal { error, count });
        } else if let Some(first) = refusals.first_mut() {
            first.count += count;
        }
    }

    /// The labels of a series for a sentence: enough to find it.
    fn shown(&self, refs: &[u32]) -> String {
        let text = |number: u32| String::from_utf8_lossy(self.symbol(number).unwrap_or_default());
        let pairs = refs.as_chunks::<2>().0.iter().take(16);
        let shown: Vec<_> =
            pairs.map(|[n, v]| format!("{:.60}={:.60?}", text(*n), text(*v))).collect();
        format!("{{{}}}", shown.join(", "))
    }
}

/// A sample and its start timestamp.
#[inline(always)]
fn parse_sample(mut sample: Message<'_>) -> Result<(Sample, TimestampMs)> {
    let (mut t, mut bits, mut start) = (0, 0, NO_START);
    while let Some(tag) = sample.next_tag()? {
        match tag {
            SAMPLE_VALUE => bits = sample.fixed64()?,
            SAMPLE_TIMESTAMP => t = sample.varint()? as i64,
            SAMPLE_START_TIMESTAMP => start = sample.varint()? as i64,
            other => sample.skip(other, 3)?,
        }
    }
    Ok((Sample { t, v: f64::from_bits(bits) }, start))
}

fn parse_metadata(mut metadata: Message<'_>) -> Result<MetadataRefs> {
    let mut refs = MetadataRefs::default();
    while let Some(tag) = metadata.next_tag()? {
        match tag {
            METADATA_TYPE => refs.kind = MetricType::from_number(metadata.varint()?),
            METADATA_HELP => refs.help = metadata.varint()? as u32,
            METADATA_UNIT => refs.unit = metadata.varint()? as u32,
            // 2 was never used.
            other => metadata.skip(other, if other >> 3 == 2 { 0 } else { 4 })?,
        }
    }
    Ok(refs)
}

#[cfg(test)]
mod tests;

//! One query's reading. Synchronous: a session lives on the thread that opened it.

use metricstor_engine::error::{Error, ErrorCode, Result as EngineResult};
use metricstor_engine::index::label_regex::LabelRegex;
use metricstor_engine::index::matcher::Matcher;
use metricstor_engine::label_order::sort_order;
use metricstor_engine::read::json::{self, Points, reports};
use metricstor_engine::read::packed::{Histograms, pack, packed_len};
use metricstor_engine::read::selection::{Filled, Selection, Target};
use metricstor_engine::read::session::{LabelRequest, Session};
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::{NO_START, TimeRange};
use metricstor_engine::source::Scope;
use napi::bindgen_prelude::{
    Float64Array, Float64ArraySlice, Uint8ArraySlice, Uint32Array, Uint32ArraySlice,
};
use napi_derive::napi;

use crate::columns::{SeriesSets, bytes_of, check_apart, check_offsets, label_ids};
use crate::error::Result;
use crate::guard::guarded;
use crate::registry;

/// A matcher as JavaScript has it.
#[napi(object)]
pub struct JsMatcher {
    /// Label name.
    pub name: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub op: String,
    /// Text or pattern.
    pub value: String,
}

/// The matchers of a selector.
///
/// # Errors
/// `bad_data` for a pattern that is none.
pub fn matchers(from: &[JsMatcher]) -> EngineResult<Vec<Matcher>> {
    from.iter().map(|m| Matcher::parse(&m.name, &m.op, &m.value)).collect()
}

/// The matchers of each selector.
///
/// # Errors
/// As [`matchers`].
pub fn selectors(from: &[Vec<JsMatcher>]) -> EngineResult<Vec<Vec<Matcher>>> {
    from.iter().map(|selector| matchers(selector)).collect()
}

/// A time as JavaScript has it: any double.
pub fn time(ms: f64) -> i64 {
    // Casting saturates, and NaN cannot come from the façade.
    ms as i64
}

fn label_request(
    from: &[Vec<JsMatcher>],
    mint: f64,
    maxt: f64,
    limit: u32,
) -> EngineResult<LabelRequest> {
    Ok(LabelRequest {
        selectors: selectors(from)?,
        range: TimeRange::new(time(mint), time(maxt)),
        limit: limit as usize,
    })
}

/// Label names or values.
#[napi(object)]
pub struct LabelValues {
    /// Ascending bytewise.
    pub values: Vec<String>,
    /// Whether a limit left some out.
    pub truncated: bool,
}

/// One query's reading.
#[napi(js_name = "Session")]
pub struct JsSession {
    inner: Option<Session>,
    encoded: Vec<u8>,
    /// Of the next result: places, offsets, packed.
    histograms: Option<PackedColumns>,
}

/// Places, offsets and doubles of packed histograms.
type PackedColumns = (Vec<u32>, Vec<u32>, Vec<f64>);

/// The histograms of a result; none were set for most.
fn histograms(columns: Option<&PackedColumns>) -> EngineResult<Histograms<'_>> {
    columns.map_or(Ok(Histograms::NONE), |(rows, offsets, packed)| {
        Histograms::new(rows, offsets, packed)
    })
}

fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the session is closed")
}

impl JsSession {
    fn with<T>(&mut self, run: impl FnOnce(&mut Session) -> EngineResult<T>) -> Result<T> {
        let session = &mut self.inner;
        guarded(|| run(session.as_mut().ok_or_else(closed)?))
    }

    /// Keeps what `write` appends until it is taken; returns its length.
    fn encode(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, &Session) -> EngineResult<()>,
    ) -> Result<u32> {
        let (session, encoded) = (&self.inner, &mut self.encoded);
        encoded.clear();
        guarded(|| {
            write(encoded, session.as_ref().ok_or_else(closed)?)?;
            u32::try_from(encoded.len()).map_err(|_| {
                Error::new(ErrorCode::LimitExceeded, "the answer is over 4 GiB of JSON")
            })
        })
    }
}

#[napi]
impl JsSession {
    /// Opens a session on the engine of a handle; `token` 0 cannot be canceled, `max_series` 0 is
    /// no limit.
    #[napi(constructor)]
    pub fn new(
        handle: u32,
        tenant: u32,
        scope: Vec<JsMatcher>,
        token: u32,
        max_series: u32,
    ) -> Result<Self> {
        guarded(|| {
            let scope = Scope { tenant: TenantId(tenant), matchers: matchers(&scope)? };
            let inner = registry::engine(handle)?
                .session(scope, registry::cancel(token))
                .with_max_series(max_series as usize);
            Ok(Self { inner: Some(inner), encoded: Vec::new(), histograms: None })
        })
    }

    /// The id of a text.
    #[napi]
    pub fn intern(&mut self, text: String) -> Result<u32> {
        self.with(|session| Ok(session.dictionary.intern(&text)))
    }

    /// The text of an id.
    #[napi]
    pub fn text(&mut self, id: u32) -> Result<String> {
        self.with(|session| Ok(session.dictionary.text(id).to_owned()))
    }

    /// Whether the session's token was canceled.
    #[napi]
    pub fn canceled(&mut self) -> Result<bool> {
        self.with(|session| Ok(session.is_canceled()))
    }

    /// The series that satisfy all matchers.
    #[napi]
    pub fn select(&mut self, from: Vec<JsMatcher>, mint: f64, maxt: f64) -> Result<JsSelection> {
        self.with(|session| {
            let range = TimeRange::new(time(mint), time(maxt));
            Ok(JsSelection { inner: Some(session.select(matchers(&from)?, range)?), required: 0 })
        })
    }

    /// Label names.
    #[napi]
    pub fn label_names(
        &mut self,
        selectors: Vec<Vec<JsMatcher>>,
        mint: f64,
        maxt: f64,
        limit: u32,
    ) -> Result<LabelValues> {
        self.with(|session| {
            let answer = session.label_names(&label_request(&selectors, mint, maxt, limit)?)?;
            Ok(LabelValues { values: answer.values, truncated: answer.truncated })
        })
    }

    /// Values of one label.
    #[napi]
    pub fn label_values(
        &mut self,
        name: String,
        selectors: Vec<Vec<JsMatcher>>,
        mint: f64,
        maxt: f64,
        limit: u32,
    ) -> Result<LabelValues> {
        self.with(|session| {
            let request = label_request(&selectors, mint, maxt, limit)?;
            let answer = session.label_values(&name, &request)?;
            Ok(LabelValues { values: answer.values, truncated: answer.truncated })
        })
    }

    /// Label sets, ascending, each once.
    #[napi]
    pub fn series(
        &mut self,
        selectors: Vec<Vec<JsMatcher>>,
        mint: f64,
        maxt: f64,
        limit: u32,
    ) -> Result<SeriesSets> {
        self.with(|session| {
            let answer = session.series(&label_request(&selectors, mint, maxt, limit)?)?;
            Ok(SeriesSets {
                ids: Uint32Array::new(answer.ids),
                offsets: Uint32Array::new(answer.offsets),
                truncated: answer.truncated,
            })
        })
    }

    /// Indexes of the label sets in ascending order.
    #[napi]
    pub fn sort_order(&mut self, ids: &[u32], offsets: &[u32]) -> Result<Uint32Array> {
        self.with(|session| {
            Ok(Uint32Array::new(sort_order(&session.dictionary, label_ids(ids, offsets)?)))
        })
    }

    /// The histograms of the next vector or matrix, packed (`native/engine/src/read/packed.rs`):
    /// that of place `rows[k]` of its values is `packed[offsets[k]..offsets[k + 1]]`.
    #[napi]
    pub fn set_histograms(&mut self, rows: &[u32], offsets: &[u32], packed: &[f64]) -> Result<()> {
        guarded(|| Histograms::new(rows, offsets, packed).map(drop))?;
        self.histograms = Some((rows.to_vec(), offsets.to_vec(), packed.to_vec()));
        Ok(())
    }

    /// Encodes a vector; returns the length of the text for [`JsSession::take_encoded`].
    #[napi]
    pub fn encode_vector(
        &mut self,
        ids: &[u32],
        offsets: &[u32],
        timestamps: &[f64],
        values: &[f64],
    ) -> Result<u32> {
        let taken = self.histograms.take();
        self.encode(|out, session| {
            let labels = label_ids(ids, offsets)?;
            let histograms = histograms(taken.as_ref())?;
            if timestamps.len() < offsets.len() - 1 || values.len() < offsets.len() - 1 {
                return Err(Error::internal("vector: fewer points than series"));
            }
            json::vector(out, &session.dictionary, labels, timestamps, values, &histograms);
            Ok(())
        })
    }

    /// Encodes a matrix; returns the length of the text.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "columns cross the boundary one by one")]
    pub fn encode_matrix(
        &mut self,
        ids: &[u32],
        label_offsets: &[u32],
        offsets: &[u32],
        timestamps: &[f64],
        values: &[f64],
    ) -> Result<u32> {
        let taken = self.histograms.take();
        self.encode(|out, session| {
            let labels = label_ids(ids, label_offsets)?;
            let histograms = histograms(taken.as_ref())?;
            check_offsets("matrix", offsets, timestamps.len().min(values.len()))?;
            if offsets.len() != label_offsets.len() {
                return Err(Error::internal(
                    "matrix: labels and samples of other numbers of series",
                ));
            }
            let points = Points { timestamps, values, histograms: &histograms };
            json::matrix(out, &session.dictionary, labels, offsets, points);
            Ok(())
        })
    }

    /// Encodes a scalar, given as an array of one so that its bits are kept.
    #[napi]
    pub fn encode_scalar(&mut self, timestamp: f64, value: &[f64]) -> Result<u32> {
        self.encode(|out, _| {
            let value = value.first().ok_or_else(|| Error::internal("scalar: no value"))?;
            json::scalar(out, timestamp, *value);
            Ok(())
        })
    }

    /// Encodes a string result.
    #[napi]
    pub fn encode_string(&mut self, timestamp: f64, value: String) -> Result<u32> {
        self.encode(|out, _| {
            json::string_result(out, timestamp, &value);
            Ok(())
        })
    }

    /// Encodes label sets as a list of objects.
    #[napi]
    pub fn encode_labels(&mut self, ids: &[u32], offsets: &[u32]) -> Result<u32> {
        self.encode(|out, session| {
            json::label_list(out, &session.dictionary, label_ids(ids, offsets)?);
            Ok(())
        })
    }

    /// Encodes the exemplars of the series that satisfy one of the selectors.
    #[napi]
    pub fn encode_exemplars(
        &mut self,
        selectors: Vec<Vec<JsMatcher>>,
        mint: f64,
        maxt: f64,
    ) -> Result<u32> {
        self.encode(|out, session| {
            let request = label_request(&selectors, mint, maxt, 0)?;
            reports::exemplars(out, &session.exemplars(&request.selectors, request.range));
            Ok(())
        })
    }

    /// Encodes the metadata of one family, or of all where the name is empty; at most `limit`.
    #[napi]
    pub fn encode_metadata(&mut self, family: String, limit: u32) -> Result<u32> {
        self.encode(|out, session| {
            let family = Some(&*family).filter(|family| !family.is_empty());
            reports::metadata(out, &session.metadata(family, limit as usize));
            Ok(())
        })
    }

    /// Encodes what makes the head large; lists have `limit` entries at most.
    #[napi]
    pub fn encode_cardinality(&mut self, limit: u32) -> Result<u32> {
        self.encode(|out, session| {
            reports::cardinality(out, &session.cardinality(limit as usize)?);
            Ok(())
        })
    }

    /// Copies the text that was encoded last into memory of the caller, of just its length.
    #[napi]
    pub fn take_encoded(&mut self, mut target: Uint8ArraySlice<'_>) -> Result<()> {
        // SAFETY: the call is synchronous, so JavaScript cannot reach the memory meanwhile.
        let target = unsafe { target.as_mut() };
        let encoded = std::mem::take(&mut self.encoded);
        guarded(|| {
            if target.len() != encoded.len() {
                return Err(Error::internal("the target has another length than the text"));
            }
            target.copy_from_slice(&encoded);
            Ok(())
        })
    }

    /// Ends the session.
    #[napi]
    pub fn close(&mut self) {
        self.inner = None;
    }
}

/// The series that a selector found.
#[napi(js_name = "Selection")]
pub struct JsSelection {
    inner: Option<Selection>,
    required: u32,
}

impl JsSelection {
    /// The engine's selection, unless it was closed.
    pub fn open(&mut self) -> EngineResult<&mut Selection> {
        self.inner.as_mut().ok_or_else(closed)
    }
}

#[napi]
impl JsSelection {
    /// Label ids; see `SeriesSets`.
    #[napi]
    pub fn label_ids(&self) -> Uint32Array {
        Uint32Array::new(self.inner.as_ref().map_or(Vec::new(), |s| s.label_ids().to_vec()))
    }

    /// Offsets into the label ids.
    #[napi]
    pub fn label_offsets(&self) -> Uint32Array {
        Uint32Array::new(self.inner.as_ref().map_or(vec![0], |s| s.label_offsets().to_vec()))
    }

    /// Fills columns with whole series from `first` on; returns how many, or 0 when the first does
    /// not fit and [`JsSelection::required`] says its size.
    #[napi]
    pub fn read(
        &mut self,
        first: u32,
        mut timestamps: Float64ArraySlice<'_>,
        mut values: Float64ArraySlice<'_>,
        mut offsets: Uint32ArraySlice<'_>,
    ) -> Result<u32> {
        let spans = [bytes_of(&timestamps), bytes_of(&values), bytes_of(&offsets)];
        guarded(|| check_apart(spans))?;
        // SAFETY: the call is synchronous, so JavaScript cannot reach the memory meanwhile, and the
        // three do not overlap.
        let (timestamps, values, offsets) =
            unsafe { (timestamps.as_mut(), values.as_mut(), offsets.as_mut()) };
        let (selection, required) = (&mut self.inner, &mut self.required);
        guarded(|| {
            let selection = selection.as_mut().ok_or_else(closed)?;
            let mut target = Target { timestamps, values, offsets };
            match selection.read(first as usize, &mut target)? {
                Filled::Series(n) => Ok(n as u32),
                Filled::Needs(samples) => {
                    *required = samples as u32;
                    Ok(0)
                }
            }
        })
    }

    /// How many samples of the last read are histograms.
    #[napi(getter)]
    pub fn histogram_count(&self) -> u32 {
        self.inner.as_ref().map_or(0, |selection| selection.histograms().len() as u32)
    }

    /// Doubles that they take packed.
    #[napi(getter)]
    pub fn histogram_doubles(&self) -> f64 {
        let histograms = self.inner.as_ref().map_or(&[][..], Selection::histograms);
        histograms.iter().map(|(_, h)| packed_len(h)).sum::<usize>() as f64
    }

    /// Copies the histograms of the last read, packed (`native/engine/src/read/packed.rs`):
    /// histogram `k`, of place `rows[k]`, becomes `packed[offsets[k]..offsets[k + 1]]`. The arrays
    /// have just the lengths that are needed.
    #[napi]
    pub fn read_histograms(
        &mut self,
        mut rows: Uint32ArraySlice<'_>,
        mut offsets: Uint32ArraySlice<'_>,
        mut packed: Float64ArraySlice<'_>,
    ) -> Result<()> {
        let spans = [bytes_of(&rows), bytes_of(&offsets), bytes_of(&packed)];
        guarded(|| check_apart(spans))?;
        // SAFETY: the call is synchronous, so JavaScript cannot reach the memory meanwhile, and the
        // three do not overlap.
        let (rows, offsets, packed) = unsafe { (rows.as_mut(), offsets.as_mut(), packed.as_mut()) };
        let selection = &self.inner;
        guarded(|| {
            let histograms = selection.as_ref().ok_or_else(closed)?.histograms();
            let doubles: usize = histograms.iter().map(|(_, h)| packed_len(h)).sum();
            let fits = rows.len() == histograms.len()
                && offsets.len() == rows.len() + 1
                && packed.len() == doubles
                && u32::try_from(doubles).is_ok();
            if !fits {
                return Err(Error::internal("histograms: columns of other lengths than needed"));
            }
            let (mut run, mut end) = (Vec::new(), 0);
            offsets[0] = 0;
            for (k, (row, h)) in histograms.iter().enumerate() {
                run.clear();
                pack(h, &mut run);
                packed[end..end + run.len()].copy_from_slice(&run);
                end += run.len();
                rows[k] = *row;
                offsets[k + 1] = end as u32;
            }
            Ok(())
        })
    }

    /// The start timestamps of the samples of the last read: at most as many as samples, and what
    /// is missing is 0, as is what no sample says. Nothing when none says one.
    #[napi]
    pub fn start_timestamps(&self) -> Option<Float64Array> {
        let starts = self.inner.as_ref().map_or(&[][..], Selection::starts);
        let said = starts.iter().any(|start| *start != NO_START);
        said.then(|| Float64Array::new(starts.iter().map(|start| *start as f64).collect()))
    }

    /// Samples of the series that did not fit.
    #[napi(getter)]
    pub fn required(&self) -> u32 {
        self.required
    }

    /// Lets go of what it holds.
    #[napi]
    pub fn close(&mut self) {
        self.inner = None;
    }
}

/// A compiled regex in Go's syntax, anchored at both ends, for `label_replace`.
#[napi(js_name = "LabelRegex")]
pub struct JsLabelRegex {
    inner: LabelRegex,
}

#[napi]
impl JsLabelRegex {
    /// Compiles.
    #[napi(constructor)]
    pub fn new(pattern: String) -> Result<Self> {
        guarded(|| Ok(Self { inner: LabelRegex::new(&pattern)? }))
    }

    /// The expanded template (Go's `Regexp.Expand`) when `text` matches, else nothing.
    #[napi]
    pub fn replace(&self, text: String, template: String) -> Result<Option<String>> {
        guarded(|| Ok(self.inner.replace(&text, &template)))
    }
}

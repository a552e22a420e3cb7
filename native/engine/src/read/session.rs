//! One query's reading: a pinned view, a dictionary, and the selections made with them.

use std::collections::BTreeSet;

use crate::cancel::Cancel;
use crate::dictionary::Dictionary;
use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::exemplars::SeriesExemplars;
use crate::head::metadata::Metadata;
use crate::index::matcher::Matcher;
use crate::label_order::{LabelIds, sort_order};
use crate::read::cardinality::{Cardinality, cardinality};
use crate::read::selection::Selection;
use crate::read::threads::Helpers;
use crate::read::view::View;
use crate::sample::TimeRange;
use crate::source::{Scope, SelectRequest, SeriesSource};
use crate::sync::Arc;

/// A label query: series that satisfy one of `selectors` (all series when there is none).
#[derive(Debug, Clone)]
pub struct LabelRequest {
    /// Any must match; inside one, all.
    pub selectors: Vec<Vec<Matcher>>,
    /// Which sources are asked; inside a source all series count, whenever their samples are.
    pub range: TimeRange,
    /// Most values in the answer; 0 means no limit.
    pub limit: usize,
}

/// Label names or values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelAnswer {
    /// Ascending by bytes.
    pub values: Vec<String>,
    /// Whether `limit` left some out.
    pub truncated: bool,
}

/// Label sets of a `series` query.
#[derive(Debug, Clone, Default)]
pub struct SeriesAnswer {
    /// Name, value, … ids of the session's dictionary.
    pub ids: Vec<u32>,
    /// `offsets.len() == n + 1`.
    pub offsets: Vec<u32>,
    /// Whether `limit` left some out.
    pub truncated: bool,
}

/// Serves one query, on one thread.
pub struct Session {
    head: Arc<Head>,
    view: Arc<View>,
    scope: Scope,
    cancel: Cancel,
    /// Most series of a selection, counted once for each source that has them; 0 means no limit.
    max_series: usize,
    helpers: Helpers,
    /// Text of the label ids of every selection of this session.
    pub dictionary: Dictionary,
}

impl Session {
    /// A session over a view.
    pub fn new(head: Arc<Head>, view: Arc<View>, scope: Scope, cancel: Cancel) -> Self {
        Self {
            head,
            view,
            scope,
            cancel,
            max_series: 0,
            helpers: Helpers::default(),
            dictionary: Dictionary::default(),
        }
    }

    /// Lets large selections have the help of threads; without, they have none.
    #[must_use]
    pub fn with_helpers(mut self, helpers: Helpers) -> Self {
        self.helpers = helpers;
        self
    }

    /// Refuses selections of more series than `max_series`, before a label of them is looked up:
    /// for a caller that has little time. 0 means no limit.
    #[must_use]
    pub fn with_max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// Whether the query is to stop.
    pub fn is_canceled(&self) -> bool {
        self.cancel.is_canceled()
    }

    /// The series that satisfy all matchers and may have a sample in `range`.
    ///
    /// # Errors
    /// `canceled`, `corruption`, `limit_exceeded` past [`Session::with_max_series`].
    pub fn select(&mut self, matchers: Vec<Matcher>, range: TimeRange) -> Result<Selection> {
        let request = SelectRequest { scope: self.scope.clone(), matchers, range };
        let (mut parts, mut found) = (Vec::new(), 0);
        if !range.is_empty() {
            for source in self.view.sources(&self.head, range) {
                self.cancel.check()?;
                let part = source.select(&request)?;
                found += part.len();
                if self.max_series > 0 && found > self.max_series {
                    let text = format!("over {} series are selected", self.max_series);
                    return Err(Error::new(ErrorCode::LimitExceeded, text));
                }
                parts.push(part);
            }
        }
        let found = Selection::new(parts, range, &mut self.dictionary, self.cancel.clone())?;
        Ok(found.with_helpers(self.helpers.clone()))
    }

    /// The series that satisfy all matchers of one of `selectors` (all series when there is none)
    /// and may have a sample in `range`.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn select_any(
        &mut self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Selection> {
        let mut parts = Vec::new();
        let requests =
            self.requests(&LabelRequest { selectors: selectors.to_vec(), range, limit: 0 });
        for source in self.view.sources(&self.head, range) {
            for request in &requests {
                self.cancel.check()?;
                parts.push(source.clone().select(request)?);
            }
        }
        // A series that two selectors found is merged with itself, which changes nothing.
        Selection::new(parts, range, &mut self.dictionary, self.cancel.clone())
    }

    /// The times between which the samples of each block lie.
    pub fn block_ranges(&self) -> impl Iterator<Item = TimeRange> + '_ {
        self.view.blocks.iter().map(|block| block.time_range())
    }

    /// Label names.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn label_names(&self, request: &LabelRequest) -> Result<LabelAnswer> {
        self.collect(request, |source, select, out| source.label_names(select, out))
    }

    /// Values of the label `name`.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn label_values(&self, name: &str, request: &LabelRequest) -> Result<LabelAnswer> {
        self.collect(request, |source, select, out| source.label_values(name, select, out))
    }

    fn collect(
        &self,
        request: &LabelRequest,
        ask: impl Fn(&dyn SeriesSource, &SelectRequest, &mut BTreeSet<String>) -> Result<()>,
    ) -> Result<LabelAnswer> {
        let mut found = BTreeSet::new();
        for select in self.requests(request) {
            for source in self.view.sources(&self.head, request.range) {
                self.cancel.check()?;
                ask(&*source, &select, &mut found)?;
            }
        }
        let most = if request.limit == 0 { usize::MAX } else { request.limit };
        let truncated = found.len() > most;
        Ok(LabelAnswer { values: found.into_iter().take(most).collect(), truncated })
    }

    fn requests(&self, request: &LabelRequest) -> Vec<SelectRequest> {
        let one = |matchers: &[Matcher]| SelectRequest {
            scope: self.scope.clone(),
            matchers: matchers.to_vec(),
            range: request.range,
        };
        if request.range.is_empty() {
            Vec::new()
        } else if request.selectors.is_empty() {
            vec![one(&[])]
        } else {
            request.selectors.iter().map(|matchers| one(matchers)).collect()
        }
    }

    /// The exemplars in `range` of the series that satisfy one of `selectors`.
    pub fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        self.head.exemplars().select(&self.scope, selectors, range)
    }

    /// The metadata of all families or one, ascending by name, `limit` families at most.
    pub fn metadata(&self, family: Option<&str>, limit: usize) -> Vec<Metadata> {
        self.head.metadata().select(self.scope.tenant, family, limit)
    }

    /// What makes the head large; lists have `limit` entries at most.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn cardinality(&self, limit: usize) -> Result<Cardinality> {
        cardinality(&self.head, self.scope.tenant, limit, &self.cancel)
    }

    /// The label sets that satisfy the request, ascending, each once.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn series(&mut self, request: &LabelRequest) -> Result<SeriesAnswer> {
        let mut sets: std::collections::HashSet<Vec<u32>> = std::collections::HashSet::new();
        for select in self.requests(request) {
            let found = self.select(select.matchers, request.range)?;
            for i in 0..found.len() {
                let ids = found.labels(i);
                if !sets.contains(ids) {
                    sets.insert(ids.to_vec());
                }
            }
        }
        let mut answer = SeriesAnswer { offsets: vec![0], ..SeriesAnswer::default() };
        let (mut ids, mut offsets) = (Vec::new(), vec![0u32]);
        for set in &sets {
            ids.extend_from_slice(set);
            offsets.push(ids.len() as u32);
        }
        let order = sort_order(&self.dictionary, LabelIds { ids: &ids, offsets: &offsets });
        let most = if request.limit == 0 { usize::MAX } else { request.limit };
        answer.truncated = order.len() > most;
        for i in order.into_iter().take(most) {
            let span = offsets[i as usize] as usize..offsets[i as usize + 1] as usize;
            answer.ids.extend_from_slice(&ids[span]);
            answer.offsets.push(answer.ids.len() as u32);
        }
        Ok(answer)
    }
}

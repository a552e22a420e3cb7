/**
 * @file What every operator of one query works with.
 */
import type { HistogramCells } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { QuerySession, SampleBatch } from '../../storage/querier.js';
import type { AnnotationLog } from '../annotations.js';
import type { AggregatePlan, Plan, SelectorPlan, SubqueryPlan } from '../plan.js';
import type { Budget } from './budget.js';
import type { Aggregated } from './native-aggregate.js';
import type { NodeFigures } from './node-profile.js';
import type { Grid, HistogramPolicy, RowSink } from './rows.js';

/** Buffers that an engine owns and lends to one query after another. */
export interface Buffers {
  /** For decoded samples; grows to at most `maxBatchSamples`. */
  readonly batch: SampleBatch;
  /** For rows that are evaluated natively; grows to a few million cells at most. */
  readonly rows: RowColumns;
}

/** Columns of rows, and how many values each row has. */
export interface RowColumns {
  values: Float64Array;
  present: Uint8Array;
  readonly counts: Uint32Array;
}

/** One query while it is evaluated. */
export interface EvalContext {
  /** The query's text, for positions. */
  readonly query: string;
  readonly session: QuerySession;
  readonly budget: Budget;
  readonly annotations: AnnotationLog;
  readonly buffers: Buffers;
  /**
   * Whether a metric name that an operator drops goes at the end of the query only, so that
   * `label_replace` can still read it. Prometheus' `promql-delayed-name-removal`.
   */
  readonly delayedNames: boolean;
  /**
   * Whether the label `__type__` says what a counter is, instead of the end of the metric's name.
   * Prometheus' `type-and-unit-labels`.
   */
  readonly typeLabels: boolean;
  /**
   * Whether start timestamps say when counters began. Prometheus' `use-start-timestamps`.
   */
  readonly startTimestamps: boolean;
  /** Ids of `__name__`, `__type__` and `__unit__`: what "dropping the name" drops. */
  readonly metadataLabels: ReadonlySet<number>;
  readonly nameLabel: number;
  /** Whether a part occurs more than once, so that it is evaluated once and kept. */
  isShared(node: Plan): boolean;
  /** The aggregations to evaluate in one go with this one, which is one of them. */
  togetherWith(node: AggregatePlan): readonly AggregatePlan[];
  /** Those that were evaluated, or tried, before: those that wait for their turn have a result. */
  readonly early: Map<AggregatePlan, Aggregated | undefined>;
  /** Does a part of what a node is about; the figures, if anyone counts, are the node's. */
  inNameOf<T>(node: Plan, work: (figures: NodeFigures | undefined) => T): T;
  /** Evaluates a vector row by row. */
  rows(node: Plan, sink: RowSink): void;
  /** Evaluates a vector into a grid; `histograms` says what becomes of histograms in it. */
  grid(node: Plan, histograms?: HistogramPolicy, onSkipped?: () => void): Grid;
  /** Gives up a grid that `grid` returned. */
  release(grid: Grid): void;
  /** Evaluates a scalar at every step. */
  scalars(node: Plan): Float64Array;
  /** Calls `each` for the samples of every series of a range vector, series by series. */
  series(node: SelectorPlan | SubqueryPlan, reader: SeriesReader): void;
}

/** The samples of one series: `[from, to)` of all columns, times ascending. */
export interface SeriesSamples {
  timestamps: Float64Array;
  values: Float64Array;
  /** Those that are histograms; the value of one is its sum. Copied by whoever keeps one. */
  histograms?: HistogramCells;
  /** Start timestamps, 0 for none; where the query uses them and the series has one. */
  starts?: Float64Array | undefined;
  from: number;
  to: number;
}

/** Takes the series of a range vector, without stale markers. */
export interface SeriesReader {
  /** Whether the reader knows histograms; a series with one is an error for others. */
  readonly histograms?: 'take' | undefined;
  begin(labels: LabelTable, dropName: Uint8Array | null): void;
  /** `samples` is only valid during the call. */
  samples(series: number, samples: SeriesSamples): void;
  end(): void;
}

/**
 * @file The read interface that everything above the storage knows instead of the engine.
 *
 * One `QuerySession` serves one query: it pins nothing by itself, holds the query's dictionary of
 * label text, and gives selections. All calls are synchronous and are made on the thread that owns
 * the session (a query worker, or the HTTP thread within its small budget). Native loops stop with
 * code `canceled` once the session's cancel token is canceled.
 */

import type { PackedHistograms } from '../model/histogram.js';
import type { LabelTable } from '../model/labels.js';
import type { QueryResult } from '../model/result.js';

/** Who asks. The engine adds these matchers to every selection by itself. */
export interface Scope {
  /** 0 alone until tenants exist. */
  readonly tenant: number;
  readonly matchers: readonly LabelMatcher[];
}

export type MatchOp = '=' | '!=' | '=~' | '!~';

export interface LabelMatcher {
  readonly name: string;
  readonly op: MatchOp;
  /** Text, or for `=~` and `!~` a regular expression in Go's syntax, anchored at both ends. */
  readonly value: string;
}

export interface SelectRequest {
  readonly matchers: readonly LabelMatcher[];
  /** Milliseconds, inclusive. */
  readonly mint: number;
  /** Milliseconds, inclusive. */
  readonly maxt: number;
}

/**
 * Columns that JavaScript owns and reuses from batch to batch.
 *
 * After a read of `n` series, series `k` of the batch owns `[offsets[k], offsets[k + 1])` of
 * `timestamps` (milliseconds, strictly ascending) and `values` (by bits; stale markers included).
 * A sample that is a native histogram has its sum in `values`, so that a stale marker shows there
 * whatever the kind; which samples are histograms, `Selection.histograms` says.
 */
export interface SampleBatch {
  timestamps: Float64Array;
  values: Float64Array;
  /** Length at least the number of series wanted in a batch, plus one. */
  offsets: Uint32Array;
}

/** What is to be reckoned over windows of samples: `native/engine/src/rollup`. */
export interface RollupRequest {
  /** A PromQL function; or `value`, or `timestamp` in seconds, of an instant selector. */
  readonly function: string;
  /** Window `k` holds the samples with `end - rangeMs < t <= end`, where `end` is
   * `firstEndMs + k * strideMs`. */
  readonly windows: {
    readonly firstEndMs: number;
    readonly strideMs: number;
    readonly rangeMs: number;
    readonly steps: number;
  };
  /** The function's other arguments, a value a step. */
  readonly parameters: readonly Float64Array[];
  /** Calls fail with `canceled` once so much time has passed. */
  readonly timeoutMs: number;
}

/** A request that is ready to be evaluated. */
export interface Rollup {
  /**
   * Evaluates the samples of one series, all floats, into a row: a cell a step, `present` 1 where
   * it has a value. Returns how many have one. Stale markers count as a selector sees them.
   */
  evaluate(
    timestamps: Float64Array,
    values: Float64Array,
    cells: Float64Array,
    present: Uint8Array,
  ): number;
}

/**
 * Rows of neighbouring series, in memory of JavaScript: row `i` owns `[i * steps, (i + 1) * steps)`
 * of `values` and `present`, and has `counts[i]` values. The arrays have just the lengths of
 * `counts.length` rows.
 */
export interface EvaluatedRows {
  readonly values: Float64Array;
  readonly present: Uint8Array;
  readonly counts: Uint32Array;
}

/** How far an evaluation came. */
export interface Evaluated {
  readonly series: number;
  /** Samples that were decoded, and those of the series that has most. */
  readonly samples: number;
  readonly longest: number;
  /** Whether it ended because the next series has a native histogram. */
  readonly histogram: boolean;
}

/** The aggregations that are added up natively. */
export const nativeAggregateOps = [
  'sum',
  'avg',
  'count',
  'group',
  'min',
  'max',
  'stddev',
  'stdvar',
] as const;

export type NativeAggregateOp = (typeof nativeAggregateOps)[number];

/** One of the aggregations of an {@link Aggregation}: series `i` goes to group `groups[i]`. */
export interface AggregationPart {
  readonly op: NativeAggregateOp;
  readonly rollup: Rollup;
  readonly groups: Uint32Array;
  /** How many groups there are. */
  readonly count: number;
}

/**
 * Groups of series whose rows are added up, in the order of the series, as they are made. Samples
 * are decoded once for all parts.
 */
export interface Aggregation {
  /**
   * Evaluates series of a selection from `first` on and adds up their rows, until about `samples`
   * are decoded. `counts`, with an element for each part and series of the selection, part after
   * part, gets how many values each series has.
   */
  evaluate(
    selection: Selection,
    from: { readonly first: number; readonly samples: number },
    counts: Uint32Array,
  ): Evaluated;
  /** Cell `group * steps + k` of both columns, of the part of this index. */
  finish(part: number, values: Float64Array, present: Uint8Array): void;
}

/** The series that a selector found, merged over head and blocks as of one instant. */
export interface Selection {
  readonly labels: LabelTable;
  /**
   * Evaluates series from `first` on into rows, at most as many as there are `counts`, until about
   * `samples` are decoded. Ends early before a series with a native histogram.
   */
  evaluate(
    rollup: Rollup,
    from: { readonly first: number; readonly samples: number },
    rows: EvaluatedRows,
  ): Evaluated;
  /**
   * Decodes whole series from index `first` on, as many as fit, and returns how many (at least 1).
   * Returns 0 when not even the first fits; `required` then says how many samples it has.
   */
  read(first: number, batch: SampleBatch): number;
  /**
   * The native histograms among the samples of the last `read`, in memory of their own: `rows` are
   * places of the batch's columns. Undefined when all are floats.
   */
  histograms(): PackedHistograms | undefined;
  /**
   * The start timestamps (milliseconds) of the samples of the last `read`, by their places, in
   * memory of their own: at most as many, and what is missing is 0, as is that of a sample that
   * says none. Undefined when no sample of the batch says one, which is the rule.
   */
  startTimestamps(): Float64Array | undefined;
  /** Samples of the series that did not fit at the last `read` that returned 0. */
  readonly required: number;
  close(): void;
}

/** A regular expression in Go's syntax, anchored at both ends, that runs natively. */
export interface SessionRegex {
  /**
   * `template` with `$1`, `${1}`, `$name` and `${name}` replaced by the groups of the match, as
   * Go's `Regexp.Expand` does (`$$` is a dollar sign, an unknown group is empty), or undefined when
   * the expression does not match the whole of `text`.
   */
  replace(text: string, template: string): string | undefined;
}

export interface QuerySession {
  /** The id of `text`: equal text has equal ids; the empty text is 0. */
  intern(text: string): number;
  /** The text of an id. */
  text(id: number): string;
  select(request: SelectRequest): Selection;
  rollup(request: RollupRequest): Rollup;
  /** Absent where nothing is added up natively. */
  aggregation?(parts: readonly AggregationPart[]): Aggregation;
  labelNames(request: LabelRequest): LabelAnswer;
  labelValues(name: string, request: LabelRequest): LabelAnswer;
  /**
   * The label sets of `GET /api/v1/series`, sorted, each once; `labels.count <= limit` unless 0.
   */
  series(request: LabelRequest): { readonly labels: LabelTable; readonly truncated: boolean };
  /**
   * UTF-8 JSON text of a result as Prometheus prints it: the members
   * `"resultType":…,"result":…` without braces around them. Series are printed in table order.
   */
  encodeResult(result: QueryResult): Uint8Array;
  /** UTF-8 JSON text of a list of label objects, in table order. */
  encodeLabels(labels: LabelTable): Uint8Array;
  /**
   * UTF-8 JSON text of `GET /api/v1/query_exemplars`: the exemplars of the series that one of the
   * selectors matches. Times are milliseconds, inclusive.
   */
  encodeExemplars(request: ExemplarRequest): Uint8Array;
  /** UTF-8 JSON text of `GET /api/v1/metadata`. */
  encodeMetadata(request: MetadataRequest): Uint8Array;
  /** UTF-8 JSON text of `GET /api/v1/status/tsdb`; lists have `limit` entries at most. */
  encodeCardinality(limit: number): Uint8Array;
  /** Indexes of the label sets in ascending order (bytewise by pairs, as Prometheus sorts). */
  sortOrder(labels: LabelTable): Uint32Array;
  /** Compiles a regular expression. Throws `bad_data` when it is malformed. */
  regex(pattern: string): SessionRegex;
  /** Whether the client went away, the query was killed or its time is up. */
  canceled(): boolean;
  close(): void;
}

export type ExemplarRequest = Pick<LabelRequest, 'selectors' | 'mint' | 'maxt'>;

export interface MetadataRequest {
  /** A metric family; empty means all. */
  readonly metric: string;
  /** Families in the answer; undefined means all. */
  readonly limit: number | undefined;
}

/** Label queries: `matchers` is a list of selectors, of which one must match; empty means all. */
export interface LabelRequest {
  readonly selectors: readonly (readonly LabelMatcher[])[];
  readonly mint: number;
  readonly maxt: number;
  /** 0 means no limit; a truncated answer says so. */
  readonly limit: number;
}

export interface LabelAnswer {
  /** Ascending bytewise. */
  readonly values: string[];
  readonly truncated: boolean;
}

export interface SessionLimits {
  /** From `openCancelToken` of the engine façade; 0, the default, means none. */
  readonly cancelToken?: number;
  /**
   * A selection of more series fails with `limit_exceeded` before it costs much; 0, the default,
   * means no limit.
   */
  readonly maxSeries?: number;
}

/** What a query engine needs of a store. */
export interface Querier {
  openSession(scope: Scope, limits: SessionLimits): QuerySession;
}

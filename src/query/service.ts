/**
 * @file What the API asks of the query workers, and what it gets: plain data that crosses threads.
 */

import type { ErrorCode } from '../errors.js';
import type { PackedHistograms } from '../model/histogram.js';
import type { QueryStatistics, QueryUse, StatisticsLevel } from '../promql/engine.js';
import type { Reach } from '../promql/reuse.js';
import type { MetadataRequest, Scope } from '../storage/querier.js';

/** How the result of an expression is wanted. */
export type ResultFormat = 'json' | 'columns';

interface Expression {
  readonly query: string;
  /** Milliseconds; undefined means the configured one. */
  readonly lookbackMs?: number;
  /** Series of the answer; 0 means all. */
  readonly limit: number;
  readonly format: ResultFormat;
  /** Which of Prometheus' statistics are wanted with the answer. */
  readonly statistics?: StatisticsLevel;
}

export interface InstantJob extends Expression {
  readonly kind: 'instant';
  readonly timeMs: number;
}

export interface RangeJob extends Expression {
  readonly kind: 'range';
  readonly startMs: number;
  /** Inclusive. */
  readonly endMs: number;
  readonly stepMs: number;
  /** Whether everything is to be evaluated, whatever is kept. */
  readonly noCache?: boolean;
  /** Set by the cache: what it knows, and that it wants to keep the answer. */
  readonly reuse?: {
    readonly known?: ReusableSteps;
    /** The most that may be kept. */
    readonly maxBytes: number;
  };
}

/** Label sets in shared memory: ids are places in `texts`, a list in JSON. */
export interface KeptLabels {
  readonly texts: Uint8Array;
  readonly ids: Uint32Array;
  /** Series `i` owns `[offsets[i], offsets[i + 1])` of `ids`. */
  readonly offsets: Uint32Array;
}

/**
 * All steps of a range query, in shared memory that nobody writes: series `i` owns
 * `[offsets[i], offsets[i + 1])` of `places`, the steps at which it has a value, and of `values`.
 */
export interface KeptSteps {
  readonly startMs: number;
  readonly steps: number;
  readonly labels: KeptLabels;
  readonly offsets: Uint32Array;
  readonly places: Uint32Array;
  readonly values: Float64Array;
  /** What each step has read. */
  readonly reach: Reach;
  /** Memory, about. */
  readonly bytes: number;
}

/** Steps `[from, to)` of a query that are known: they are among those of `kept`. */
export interface ReusableSteps {
  readonly kept: KeptSteps;
  readonly from: number;
  readonly to: number;
}

/** The plan of an expression is wanted; with `analyze`, also what evaluating it takes. */
export interface ExplainJob {
  readonly kind: 'explain';
  readonly query: string;
  /** Milliseconds; undefined means the configured one. */
  readonly lookbackMs?: number;
  readonly at:
    | { readonly timeMs: number }
    | { readonly startMs: number; readonly endMs: number; readonly stepMs: number };
  readonly analyze: boolean;
}

interface LookUp {
  /** Texts of `match[]`, of which one must match; empty means all series. */
  readonly selectors: readonly string[];
  /** Milliseconds, inclusive. */
  readonly mint: number;
  /** Milliseconds, inclusive. */
  readonly maxt: number;
  /** 0 means no limit. */
  readonly limit: number;
}

export interface SeriesJob extends LookUp {
  readonly kind: 'series';
}

export interface LabelNamesJob extends LookUp {
  readonly kind: 'labelNames';
}

export interface LabelValuesJob extends LookUp {
  readonly kind: 'labelValues';
  readonly name: string;
}

/** Exemplars of the series that the selectors of an expression match. */
export interface ExemplarsJob {
  readonly kind: 'exemplars';
  readonly query: string;
  /** Milliseconds, inclusive. */
  readonly mint: number;
  /** Milliseconds, inclusive. */
  readonly maxt: number;
}

export interface MetadataJob extends MetadataRequest {
  readonly kind: 'metadata';
}

/** What makes the head large. */
export interface CardinalityJob {
  readonly kind: 'cardinality';
  /** Entries of each list. */
  readonly limit: number;
}

/** An expression that is not evaluated but printed anew. */
export interface FormatJob {
  readonly kind: 'format';
  readonly query: string;
}

/** An expression that is not evaluated; its syntax tree is wanted. */
export interface ParseJob {
  readonly kind: 'parse';
  readonly query: string;
}

export type QueryJob =
  | InstantJob
  | RangeJob
  | SeriesJob
  | LabelNamesJob
  | LabelValuesJob
  | ExemplarsJob
  | MetadataJob
  | CardinalityJob
  | FormatJob
  | ParseJob
  | ExplainJob;

/** An expression that is evaluated for its answer. */
export type ExpressionJob = InstantJob | RangeJob;

export function isExpression(job: QueryJob): job is ExpressionJob {
  return job.kind === 'instant' || job.kind === 'range';
}

/** Whether the cost of a job follows the data, not the question. */
export function isHeavy(job: QueryJob): job is ExpressionJob | ExplainJob {
  return isExpression(job) || job.kind === 'explain';
}

/** The times that an expression is asked for; a step of 0 stands for one time. */
export function timesOf(job: ExpressionJob | ExplainJob): {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
} {
  const at = job.kind === 'explain' ? job.at : job;
  return 'stepMs' in at ? at : { startMs: at.timeMs, endMs: at.timeMs, stepMs: 0 };
}

/**
 * Series with their labels as text, each text once: series `i` of the answer owns the pairs
 * `labelIds[labelOffsets[i] .. labelOffsets[i + 1])` (name, value, …, indexes of `texts`) and the
 * samples `[offsets[i], offsets[i + 1])`. Samples at the places `histograms.rows` are native
 * histograms, packed as `model/histogram.ts` says.
 */
export interface SeriesColumns {
  readonly type: 'vector' | 'matrix';
  readonly texts: readonly string[];
  readonly labelIds: Uint32Array;
  readonly labelOffsets: Uint32Array;
  readonly offsets: Uint32Array;
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
  readonly histograms?: PackedHistograms;
}

export type ResultColumns =
  | SeriesColumns
  | { readonly type: 'scalar'; readonly timestampMs: number; readonly values: Float64Array }
  | { readonly type: 'string'; readonly timestampMs: number; readonly value: string };

export type QueryStats = QueryUse;

/** How far a query has come that a thread evaluates. */
export interface QueryProgress {
  /** Samples decoded so far. */
  samples(): number;
}

export interface QueryAnswer {
  /**
   * UTF-8 JSON. Of an expression the members `"resultType":…,"result":…` without braces, else the
   * whole of `data`. Empty where columns were asked for, and for exemplars of an expression without
   * a selector.
   */
  readonly json: Uint8Array;
  readonly columns?: ResultColumns;
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
  /** Of expressions only. */
  readonly stats?: QueryStats;
  /** Where they were asked for. */
  readonly statistics?: QueryStatistics;
  /** For the cache that asked for it. */
  readonly kept?: KeptSteps;
  /** Steps that were known before. */
  readonly reusedSteps?: number;
  /** How long the job waited for a thread, in milliseconds; absent where it needed none. */
  readonly queueMs?: number;
}

/** Who asks, and for how long. */
export interface QueryContext {
  /** Clients take turns; any text that tells them apart. */
  readonly client: string;
  readonly scope: Scope;
  /** Less than the configured timeout, or it has no effect. Milliseconds. */
  readonly timeoutMs?: number;
  /** Aborted when the client went away. */
  readonly signal?: AbortSignal;
  /** Called when a thread begins with the job. */
  readonly onStart?: (progress: QueryProgress) => void;
}

export interface QueryService {
  /**
   * Rejects with `bad_data`, `execution`, `timeout`, `canceled`, `overloaded` when the queue is
   * full, and `closed`.
   */
  run(job: QueryJob, context: QueryContext): Promise<QueryAnswer>;
}

/** A job on its way to a worker. */
export interface WorkerRequest {
  readonly id: number;
  readonly job: QueryJob;
  readonly scope: Scope;
  readonly cancelToken: number;
  /** Epoch milliseconds. */
  readonly deadlineMs: number;
}

export type WorkerReply =
  | { readonly type: 'ready' }
  | { readonly type: 'answer'; readonly id: number; readonly answer: QueryAnswer }
  | {
      readonly type: 'failure';
      readonly id: number;
      readonly code: ErrorCode;
      readonly message: string;
    };

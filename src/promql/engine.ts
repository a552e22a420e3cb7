/**
 * @file The PromQL engine: parse, check, plan, evaluate under a deadline and budgets, and shape the
 * answer. Knows `model/` and `storage/` only.
 *
 * An engine owns its buffers and evaluates one query at a time, on the thread that calls it.
 */

import { MetricstorError } from '../errors.js';
import { defaultFeatures, type PromqlFeature } from '../model/promql-features.js';
import type { Annotations, QueryResult, VectorResult } from '../model/result.js';
import type { LabelMatcher, QuerySession } from '../storage/querier.js';
import { AnnotationLog } from './annotations.js';
import { type Expr, selectorsOf } from './ast.js';
import { documentedType, typeOf } from './check.js';
import { Budget, type QueryLimits, type SharedBudget } from './exec/budget.js';
import type { Buffers } from './exec/context.js';
import { Evaluator } from './exec/evaluate.js';
import { emptyLabels } from './exec/label-sets.js';
import { removeNames } from './exec/names.js';
import { newRowColumns } from './exec/native-rows.js';
import { NodeProfile } from './exec/node-profile.js';
import { rangeVectorResult } from './exec/range-vector.js';
import type { Grid } from './exec/rows.js';
import { countSamples, type SampleCounts } from './exec/sample-counts.js';
import { newBatch } from './exec/selector.js';
import { type ExplainedNode, explainPlan } from './explain.js';
import { checkFeatures } from './features.js';
import { gridToMatrix } from './matrix.js';
import { parseQuery } from './parse.js';
import type { RewriteName } from './plan/rewrites.js';
import { type Plan, plan, type QueryPlan } from './plan.js';
import { checkAllRegexes } from './regexes.js';
import { type Reach, reachOf } from './reuse.js';
import { instantGrid, type TimeGrid, timeGrid } from './time-grid.js';

export type { QueryLimits, SharedBudget } from './exec/budget.js';
export { sumOf } from './exec/sample-counts.js';

export interface EngineOptions {
  /** How old a sample may be to still count at a time. */
  readonly lookbackMs: number;
  /** The step of subqueries that name none. */
  readonly subqueryStepMs: number;
  readonly limits: QueryLimits;
  /** Which optional parts of the language are on; `defaultFeatures` unless given. */
  readonly features?: readonly PromqlFeature[];
  /** What the planner may do, see `plan/rewrites.ts`; everything unless given. */
  readonly rewrites?: ReadonlySet<RewriteName>;
}

export interface InstantQuery {
  readonly query: string;
  readonly timeMs: number;
  readonly lookbackMs?: number;
  /** Epoch milliseconds by `Date.now`. */
  readonly deadlineMs: number;
  readonly statistics?: StatisticsLevel;
}

export interface RangeQuery {
  readonly query: string;
  readonly startMs: number;
  /** Inclusive. */
  readonly endMs: number;
  readonly stepMs: number;
  readonly lookbackMs?: number;
  /** Epoch milliseconds by `Date.now`. */
  readonly deadlineMs: number;
  readonly statistics?: StatisticsLevel;
}

/** Which of Prometheus' statistics are wanted; `steps` counts the samples of each step as well. */
export type StatisticsLevel = 'totals' | 'steps';

/** What a query used. */
export interface QueryUse {
  /** Samples decoded. */
  readonly samples: number;
  /** Series selected. */
  readonly series: number;
  /** The most bytes of typed arrays held at one time. */
  readonly peakBytes: number;
  /** The most points held at one time. */
  readonly peakPoints: number;
}

/** Where the time of an evaluation went, in milliseconds. */
export interface QueryTimes {
  /** Reading the text and planning. */
  readonly prepareMs: number;
  readonly evaluateMs: number;
  /** Putting the answer in order. */
  readonly sortMs: number;
}

/** What `stats` of the API asks for, counted as Prometheus counts. */
export interface QueryStatistics {
  readonly times: QueryTimes;
  readonly counts: SampleCounts;
  /** The times that the columns of `counts` belong to, where they are wanted. */
  readonly steps: TimeGrid | undefined;
}

export interface QueryOutcome {
  readonly result: QueryResult;
  readonly annotations: Annotations;
  readonly stats: QueryUse;
  readonly statistics?: QueryStatistics;
}

/** A query described, and evaluated if that was asked for. */
export interface Explanation {
  readonly plan: ExplainedNode;
  readonly outcome?: QueryOutcome;
}

/** Bytes of a point in an answer: `[1700000000.123,"12.345678"],`, or two columns copied. */
const answerPointBytes = 28;

/** Queries with equal text skip the parser: panels repeat every few seconds. */
const parsedQueries = 256;
/** Longer texts are not kept. */
const longestKept = 4096;

/**
 * Throws `bad_data` for a query that makes no sense, `execution` for one that fails or passes a
 * limit, `timeout` and `canceled`, and what the session throws.
 */
export class PromqlEngine {
  private readonly buffers: Buffers = { batch: newBatch(), rows: newRowColumns() };
  private readonly parsed = new Map<string, Expr>();

  private readonly features: ReadonlySet<PromqlFeature>;

  /** `shared` is what the engines of all threads may hold together. */
  constructor(
    private readonly options: EngineOptions,
    private readonly shared?: SharedBudget,
  ) {
    this.features = new Set(options.features ?? defaultFeatures);
  }

  /** What to open a session with: series that one selector may find; 0 means no limit. */
  get maxSeries(): number {
    return this.options.limits.maxSeries ?? 0;
  }

  /** Gives back what the last query held together with others; its answer is gone by now. */
  release(): void {
    this.shared?.empty();
  }

  /** Evaluates at one time: scalar, string, vector, or the matrix of a range vector. */
  instant(session: QuerySession, query: InstantQuery): QueryOutcome {
    return this.evaluate(session, query, this.prepare(query));
  }

  /** Evaluates at every step: a matrix sorted by labels. */
  range(session: QuerySession, query: RangeQuery): QueryOutcome {
    return this.evaluate(session, query, this.prepare(query));
  }

  /** What each step of a range query reads; undefined where steps may not be used again. */
  reachOf({ query, stepMs, lookbackMs }: Omit<RangeQuery, 'deadlineMs'>): Reach | undefined {
    // What is said of expressions there holds for their usual meaning.
    if ([...this.features].some((feature) => !defaultFeatures.includes(feature))) {
      return undefined;
    }
    const options = { stepMs, lookbackMs: lookbackMs ?? this.options.lookbackMs };
    return reachOf(this.parse(query), options);
  }

  /** Holds a range's answer that was put together elsewhere against the limits, as `range` does. */
  admit(
    session: QuerySession,
    { points, deadlineMs }: { readonly points: number; readonly deadlineMs: number },
  ): void {
    const budget = this.budgetOf(session, { deadlineMs });
    budget.answer(points);
    // Its columns, and its text.
    budget.hold(points * (16 + answerPointBytes), points);
    budget.check();
  }

  /** Describes the plan of a query; `analyze` evaluates it as well. */
  explain(
    session: QuerySession,
    query: InstantQuery | RangeQuery,
    { analyze }: { readonly analyze: boolean },
  ): Explanation {
    const prepared = this.prepare(query);
    if (!analyze) {
      return { plan: explainPlan(prepared.plan, query.query, () => undefined) };
    }
    const budget = this.budgetOf(session, query);
    const profile = new NodeProfile(budget, () => performance.now());
    const outcome = this.evaluate(session, query, prepared, { budget, profile });
    return { plan: explainPlan(prepared.plan, query.query, (node) => profile.of(node)), outcome };
  }

  /** The matchers of every selector of a query. Throws `bad_data`. */
  selectors(query: string, session: QuerySession): (readonly LabelMatcher[])[] {
    const expr = this.parse(query);
    checkAllRegexes(expr, query, session);
    return selectorsOf(expr).map(({ matchers }) => matchers);
  }

  private prepare(query: InstantQuery | RangeQuery): Prepared {
    const startMs = performance.now();
    const expr = this.parse(query.query);
    if ('stepMs' in query) {
      checkRange(expr, query);
    }
    const grid =
      'stepMs' in query
        ? timeGrid(query.startMs, query.endMs, query.stepMs)
        : instantGrid(query.timeMs);
    const { subqueryStepMs, rewrites } = this.options;
    const lookbackMs = query.lookbackMs ?? this.options.lookbackMs;
    const options = { query: query.query, lookbackMs, subqueryStepMs };
    const made = plan(expr, grid, rewrites === undefined ? options : { ...options, rewrites });
    return { plan: made, grid, prepareMs: performance.now() - startMs };
  }

  private budgetOf(session: QuerySession, query: Pick<RangeQuery, 'deadlineMs'>): Budget {
    const { limits } = this.options;
    return new Budget(limits, query.deadlineMs, () => session.canceled(), this.shared);
  }

  private evaluate(
    session: QuerySession,
    query: InstantQuery | RangeQuery,
    { plan: queryPlan, grid, prepareMs }: Prepared,
    watched: Watched = { budget: this.budgetOf(session, query) },
  ): QueryOutcome {
    const { budget, profile } = watched;
    const annotations = new AnnotationLog();
    // Each operator has rows of this length.
    budget.answer(grid.steps);
    // The engine's buffers are this query's while it runs.
    const { batch, rows } = this.buffers;
    budget.hold(batch.values.length * 16 + rows.values.length * 9, 0);
    const evaluator = new Evaluator({
      query: query.query,
      plan: queryPlan,
      session,
      budget,
      annotations,
      buffers: this.buffers,
      delayedNames: this.features.has('promql-delayed-name-removal'),
      typeLabels: this.features.has('type-and-unit-labels'),
      startTimestamps: this.features.has('use-start-timestamps'),
      profile,
    });
    const { root } = queryPlan;
    const { result, ...spent } =
      'stepMs' in query
        ? rangeAnswer(evaluator, session, root)
        : instantAnswer(evaluator, root, query.timeMs);
    const points = pointsOf(result);
    budget.answer(points);
    // The text of the answer is made beside the result.
    budget.hold(points * answerPointBytes, 0);
    const { samples, series, peakBytes, peakPoints } = budget;
    return {
      result,
      annotations: annotations.finish(query.query),
      stats: { samples, series, peakBytes, peakPoints },
      ...(query.statistics !== undefined && {
        statistics: {
          times: { prepareMs, ...spent },
          counts: countSamples(evaluator, root),
          steps: query.statistics === 'steps' ? grid : undefined,
        },
      }),
    };
  }

  private parse(query: string): Expr {
    const known = this.parsed.get(query);
    if (known !== undefined) {
      return known;
    }
    const expr = parseQuery(query);
    checkFeatures(expr, query, this.features);
    if (query.length <= longestKept) {
      if (this.parsed.size >= parsedQueries) {
        const [oldest] = this.parsed.keys();
        this.parsed.delete(oldest);
      }
      this.parsed.set(query, expr);
    }
    return expr;
  }
}

/** A query that is understood. */
interface Prepared {
  readonly plan: QueryPlan;
  readonly grid: TimeGrid;
  readonly prepareMs: number;
}

/** What counts while a query is evaluated. */
interface Watched {
  readonly budget: Budget;
  readonly profile?: NodeProfile;
}

/** A result, and how long evaluating it and putting it in order took. */
interface TimedResult {
  readonly result: QueryResult;
  readonly evaluateMs: number;
  readonly sortMs: number;
}

function checkRange(expr: Expr, query: RangeQuery): void {
  const type = typeOf(expr);
  if (type !== 'scalar' && type !== 'vector') {
    const got = `invalid expression type "${documentedType(type)}" for range query`;
    throw new MetricstorError('bad_data', `${got}, must be Scalar or instant Vector`);
  }
  if (!(query.stepMs > 0)) {
    const text = 'zero or negative query resolution step widths are not accepted';
    throw new MetricstorError('bad_data', `${text}. Try a positive integer`);
  }
}

function instantAnswer(evaluator: Evaluator, root: Plan, timestampMs: number): TimedResult {
  const startMs = performance.now();
  const done = (result: QueryResult): TimedResult => ({
    result,
    evaluateMs: performance.now() - startMs,
    sortMs: 0,
  });
  switch (root.type) {
    case 'scalar':
      return done({ type: 'scalar', timestampMs, values: evaluator.scalars(root) });
    case 'string':
      return done({ type: 'string', timestampMs, value: root.kind === 'string' ? root.value : '' });
    case 'matrix':
      return done(rangeVectorResult(evaluator, root));
    case 'vector': {
      const all = removeNames(evaluator, evaluator.grid(root, 'take'), 'flagged');
      return done(toVector(all, timestampMs));
    }
  }
}

function rangeAnswer(evaluator: Evaluator, session: QuerySession, root: Plan): TimedResult {
  const startMs = performance.now();
  const { grid } = root;
  if (root.type === 'scalar') {
    const values = evaluator.scalars(root);
    const { steps } = grid;
    const all = { labels: emptyLabels, steps, values, present: null, dropName: null };
    const result = gridToMatrix(all, grid, Uint32Array.of(0));
    return { result, evaluateMs: performance.now() - startMs, sortMs: 0 };
  }
  const all = removeNames(evaluator, evaluator.grid(root, 'take'), 'flagged');
  const evaluatedMs = performance.now();
  const result = gridToMatrix(all, grid, session.sortOrder(all.labels));
  const sortMs = performance.now() - evaluatedMs;
  return { result, evaluateMs: evaluatedMs - startMs, sortMs };
}

function toVector(grid: Grid, timeMs: number): VectorResult {
  const timestamps = new Float64Array(grid.labels.count).fill(timeMs);
  const { labels, values, histograms } = grid;
  return { type: 'vector', labels, timestamps, values, histograms };
}

function pointsOf(result: QueryResult): number {
  return result.type === 'string' ? 1 : result.values.length;
}

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
import { Budget, type QueryLimits } from './exec/budget.js';
import type { Buffers } from './exec/context.js';
import { Evaluator } from './exec/evaluate.js';
import { emptyLabels } from './exec/label-sets.js';
import { removeNames } from './exec/names.js';
import { newRowColumns } from './exec/native-rows.js';
import { rangeVectorResult } from './exec/range-vector.js';
import type { Grid } from './exec/rows.js';
import { newBatch } from './exec/selector.js';
import { checkFeatures } from './features.js';
import { gridToMatrix } from './matrix.js';
import { parseQuery } from './parse.js';
import { plan } from './plan.js';
import { instantGrid, type TimeGrid, timeGrid } from './time-grid.js';

export type { QueryLimits } from './exec/budget.js';

export interface EngineOptions {
  /** How old a sample may be to still count at a time. */
  readonly lookbackMs: number;
  /** The step of subqueries that name none. */
  readonly subqueryStepMs: number;
  readonly limits: QueryLimits;
  /** Which optional parts of the language are on; `defaultFeatures` unless given. */
  readonly features?: readonly PromqlFeature[];
}

export interface InstantQuery {
  readonly query: string;
  readonly timeMs: number;
  readonly lookbackMs?: number;
  /** Epoch milliseconds by `Date.now`. */
  readonly deadlineMs: number;
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
}

export interface QueryOutcome {
  readonly result: QueryResult;
  readonly annotations: Annotations;
  readonly stats: {
    /** Samples decoded. */
    readonly samples: number;
    /** Series selected. */
    readonly series: number;
    /** The most bytes of typed arrays held at one time. */
    readonly peakBytes: number;
  };
}

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

  constructor(private readonly options: EngineOptions) {
    this.features = new Set(options.features ?? defaultFeatures);
  }

  /** Evaluates at one time: scalar, string, vector, or the matrix of a range vector. */
  instant(session: QuerySession, query: InstantQuery): QueryOutcome {
    const expr = this.parse(query.query);
    const grid = instantGrid(query.timeMs);
    return this.run(session, query, expr, grid, (evaluator, root) => {
      const timestampMs = query.timeMs;
      switch (root.type) {
        case 'scalar':
          return { type: 'scalar', timestampMs, values: evaluator.scalars(root) };
        case 'string':
          return { type: 'string', timestampMs, value: root.kind === 'string' ? root.value : '' };
        case 'matrix':
          return rangeVectorResult(evaluator, root);
        case 'vector':
          return toVector(
            removeNames(evaluator, evaluator.grid(root, 'take'), 'flagged'),
            timestampMs,
          );
      }
    });
  }

  /** Evaluates at every step: a matrix sorted by labels. */
  range(session: QuerySession, query: RangeQuery): QueryOutcome {
    const expr = this.parse(query.query);
    const type = typeOf(expr);
    if (type !== 'scalar' && type !== 'vector') {
      const got = `invalid expression type "${documentedType(type)}" for range query`;
      throw new MetricstorError('bad_data', `${got}, must be Scalar or instant Vector`);
    }
    if (!(query.stepMs > 0)) {
      const text = 'zero or negative query resolution step widths are not accepted';
      throw new MetricstorError('bad_data', `${text}. Try a positive integer`);
    }
    const grid = timeGrid(query.startMs, query.endMs, query.stepMs);
    return this.run(session, query, expr, grid, (evaluator, root) => {
      if (root.type === 'scalar') {
        const values = evaluator.scalars(root);
        const steps = grid.steps;
        const all = { labels: emptyLabels, steps, values, present: null, dropName: null };
        return gridToMatrix(all, grid, Uint32Array.of(0));
      }
      const result = removeNames(evaluator, evaluator.grid(root, 'take'), 'flagged');
      return gridToMatrix(result, grid, session.sortOrder(result.labels));
    });
  }

  /** The matchers of every selector of a query. Throws `bad_data`. */
  selectors(query: string): (readonly LabelMatcher[])[] {
    return selectorsOf(this.parse(query)).map(({ matchers }) => matchers);
  }

  private run(
    session: QuerySession,
    query: InstantQuery | RangeQuery,
    expr: Expr,
    grid: TimeGrid,
    answer: (evaluator: Evaluator, root: ReturnType<typeof plan>['root']) => QueryResult,
  ): QueryOutcome {
    const { limits, subqueryStepMs } = this.options;
    const annotations = new AnnotationLog();
    const budget = new Budget(limits, query.deadlineMs, () => session.canceled());
    const lookbackMs = query.lookbackMs ?? this.options.lookbackMs;
    const queryPlan = plan(expr, grid, { query: query.query, lookbackMs, subqueryStepMs });
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
    });
    const result = answer(evaluator, queryPlan.root);
    budget.answer(pointsOf(result));
    const { samples, series, peakBytes } = budget;
    return {
      result,
      annotations: annotations.finish(query.query),
      stats: { samples, series, peakBytes },
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

function toVector(grid: Grid, timeMs: number): VectorResult {
  const timestamps = new Float64Array(grid.labels.count).fill(timeMs);
  const { labels, values, histograms } = grid;
  return { type: 'vector', labels, timestamps, values, histograms };
}

function pointsOf(result: QueryResult): number {
  return result.type === 'string' ? 1 : result.values.length;
}

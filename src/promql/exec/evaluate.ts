/**
 * @file The evaluator: one switch from plan node to operator.
 *
 * Vectors flow as rows (`rows.ts`) wherever an operator needs one series at a time; `grid` collects
 * them where it needs all. Shared parts of a plan are collected once and kept to the end.
 */
import { MetricstorError } from '../../errors.js';
import type { Histogram } from '../../model/histogram.js';
import type { QuerySession } from '../../storage/querier.js';
import type { AnnotationLog, Recording } from '../annotations.js';
import { checkEdges } from '../functions/edges.js';
import { rangeArgument } from '../functions/range.js';
import { implementationOf } from '../functions/table.js';
import {
  type AggregatePlan,
  type CallPlan,
  type Plan,
  type QueryPlan,
  type RepeatPlan,
  type SelectorPlan,
  type SubqueryPlan,
  shareKey,
} from '../plan.js';
import { checkAllRegexes } from '../regexes.js';
import { aggregateRows } from './aggregate.js';
import { binaryRows, scalarBinary } from './binary.js';
import type { Budget } from './budget.js';
import type { Buffers, EvalContext, SeriesReader } from './context.js';
import { operate } from './histogram-operators.js';
import { droppingNames, mappingRows, policyOf } from './names.js';
import type { Aggregated } from './native-aggregate.js';
import type { NodeFigures, NodeProfile } from './node-profile.js';
import {
  type Grid,
  GridCollector,
  type HistogramPolicy,
  type Row,
  type RowSink,
  releaseGrid,
  sendGrid,
  sendRow,
} from './rows.js';
import { readSeries, selectorRows } from './selector.js';
import { smoothedRows } from './smoothed.js';
import { joinRow, splitRow } from './split-rows.js';
import { subquerySeries } from './subquery.js';
import { windowRows } from './window.js';

/** What an evaluator is made of. */
export interface EvaluatorParts {
  readonly query: string;
  readonly plan: QueryPlan;
  readonly session: QuerySession;
  readonly budget: Budget;
  readonly annotations: AnnotationLog;
  readonly buffers: Buffers;
  readonly delayedNames: boolean;
  readonly typeLabels: boolean;
  readonly startTimestamps: boolean;
  /** Counts what each node takes. */
  readonly profile?: NodeProfile | undefined;
}

/** A shared part that has been evaluated. */
interface Known {
  readonly grid: Grid;
  readonly annotations: Recording;
  readonly start: number;
}

export class Evaluator implements EvalContext {
  readonly query: string;
  readonly session: QuerySession;
  readonly budget: Budget;
  readonly annotations: AnnotationLog;
  readonly buffers: Buffers;
  readonly delayedNames: boolean;
  readonly typeLabels: boolean;
  readonly startTimestamps: boolean;
  readonly metadataLabels: ReadonlySet<number>;
  readonly nameLabel: number;
  readonly early = new Map<AggregatePlan, Aggregated | undefined>();
  private readonly known = new Map<string, Known>();
  private readonly kept = new Set<Grid>();

  constructor(private readonly parts: EvaluatorParts) {
    this.query = parts.query;
    this.session = parts.session;
    this.budget = parts.budget;
    this.annotations = parts.annotations;
    this.buffers = parts.buffers;
    this.delayedNames = parts.delayedNames;
    this.typeLabels = parts.typeLabels;
    this.startTimestamps = parts.startTimestamps;
    const metadata = ['__name__', '__type__', '__unit__'].map((name) => this.session.intern(name));
    this.metadataLabels = new Set(metadata);
    this.nameLabel = metadata[0];
  }

  grid(node: Plan, histograms?: HistogramPolicy, onSkipped?: () => void): Grid {
    const shared = this.shared(node);
    const collector = new GridCollector(node.grid.steps, this.budget, histograms, onSkipped);
    if (shared === undefined) {
      this.evaluate(node, collector);
      return collector.finish();
    }
    if (shared.histograms === undefined || histograms === 'take') {
      return shared;
    }
    sendGrid(shared, collector);
    return collector.finish();
  }

  release(grid: Grid): void {
    if (!this.kept.has(grid)) {
      releaseGrid(grid, this.budget);
    }
  }

  rows(node: Plan, sink: RowSink): void {
    const shared = this.shared(node);
    if (shared !== undefined) {
      sendGrid(shared, sink);
    } else {
      this.evaluate(node, sink);
    }
  }

  scalars(node: Plan): Float64Array {
    const { profile } = this.parts;
    return profile === undefined
      ? this.scalarValues(node)
      : profile.run(node, () => this.scalarValues(node));
  }

  private scalarValues(node: Plan): Float64Array {
    const { steps } = node.grid;
    switch (node.kind) {
      case 'number':
        return new Float64Array(steps).fill(node.value);
      case 'repeat':
        return new Float64Array(steps).fill(this.scalars(node.inner)[0]);
      case 'unary': {
        const values = this.scalars(node.inner);
        return node.expr.op === '-' ? values.map((value) => -value) : values;
      }
      case 'binary':
        return scalarBinary(this, node);
      case 'call': {
        const implementation = implementationOf(node.name);
        if (implementation.kind === 'scalar') {
          return implementation.evaluate(this, node);
        }
        break;
      }
      default:
        break;
    }
    throw new MetricstorError('internal', `${node.kind} does not give a scalar`);
  }

  series(node: SelectorPlan | SubqueryPlan, reader: SeriesReader): void {
    const { profile } = this.parts;
    if (profile === undefined) {
      this.rangeSeries(node, reader);
    } else {
      profile.seriesOf(node, reader, (counted) => this.rangeSeries(node, counted));
    }
  }

  private rangeSeries(node: SelectorPlan | SubqueryPlan, reader: SeriesReader): void {
    if (node.kind === 'subquery') {
      subquerySeries(this, node, reader);
    } else {
      readSeries(this, node, reader);
    }
  }

  isShared(node: Plan): boolean {
    const { plan, query } = this.parts;
    return plan.shared.size > 0 && node.type === 'vector' && plan.shared.has(shareKey(node, query));
  }

  togetherWith(node: AggregatePlan): readonly AggregatePlan[] {
    const { plan, query } = this.parts;
    const all = plan.together.get(shareKey(node, query));
    return all?.includes(node) === true ? all : [node];
  }

  inNameOf<T>(node: Plan, work: (figures: NodeFigures | undefined) => T): T {
    const { profile } = this.parts;
    return profile === undefined ? work(undefined) : profile.part(node, work);
  }

  /** The grid of a part that occurs more than once, evaluated at its first use. */
  private shared(node: Plan): Grid | undefined {
    const { plan, query } = this.parts;
    if (plan.shared.size === 0 || node.type !== 'vector') {
      return undefined;
    }
    const key = shareKey(node, query);
    if (!plan.shared.has(key)) {
      return undefined;
    }
    const { start } = node.expr.span;
    const known = this.known.get(key);
    if (known !== undefined) {
      this.annotations.replay(known.annotations, start - known.start);
      return known.grid;
    }
    const recording = this.annotations.record();
    const collector = new GridCollector(node.grid.steps, this.budget, 'take');
    this.evaluate(node, collector);
    const grid = collector.finish();
    this.annotations.stop(recording);
    this.known.set(key, { grid, annotations: recording, start });
    this.kept.add(grid);
    return grid;
  }

  private evaluate(node: Plan, sink: RowSink): void {
    const { profile } = this.parts;
    if (profile === undefined) {
      this.vectorRows(node, sink);
    } else {
      profile.rows(node, sink, (counted) => this.vectorRows(node, counted));
    }
  }

  private vectorRows(node: Plan, sink: RowSink): void {
    if (node.grid.steps === 0) {
      // A subquery shorter than its step may have no evaluation time at all. Nothing is selected,
      // but a malformed regular expression is an error nevertheless.
      checkAllRegexes(node.expr, this.query, this.session);
      sendGrid(new GridCollector(0, this.budget).finish(), sink);
      return;
    }
    switch (node.kind) {
      case 'selector':
        if (node.edges === undefined) {
          selectorRows(this, node, sink, 'value');
        } else {
          smoothedRows(this, node, node.edges, sink);
        }
        return;
      case 'call':
        this.call(node, sink);
        return;
      case 'aggregate':
        aggregateRows(this, node, sink);
        return;
      case 'binary':
        binaryRows(this, node, sink);
        return;
      case 'unary':
        if (node.expr.op === '+') {
          this.rows(node.inner, sink);
        } else {
          const { steps } = node.grid;
          this.rows(node.inner, negatingRows(droppingNames(this, sink, steps), steps));
        }
        return;
      case 'repeat':
        this.repeat(node, sink);
        return;
      default:
        throw new MetricstorError('internal', `${node.kind} does not give an instant vector`);
    }
  }

  private call(node: CallPlan, sink: RowSink): void {
    const implementation = implementationOf(node.name);
    const { steps } = node.grid;
    checkEdges(node);
    switch (implementation.kind) {
      case 'window': {
        const fn = implementation.make(this, node);
        const others = node.args.filter((arg) => arg.type === 'scalar');
        const scalars = others.map((arg) => this.scalars(arg));
        const target = fn.keepsName ? sink : droppingNames(this, sink, steps, 'distinct');
        windowRows(this, rangeArgument(node), scalars, fn, target);
        return;
      }
      case 'map': {
        const map = implementation.make(this, node);
        const target = mappingRows(droppingNames(this, sink, steps), steps, map, 'skip');
        this.rows(node.args[0], target);
        return;
      }
      case 'rows':
        implementation.rows(this, node, sink);
        return;
      case 'scalar':
        throw new MetricstorError('internal', `${node.name} does not give an instant vector`);
    }
  }

  private repeat(node: RepeatPlan, sink: RowSink): void {
    const { steps } = node.grid;
    const out: Row = { values: new Float64Array(steps), base: 0, present: null, presentBase: 0 };
    this.rows(node.inner, {
      ...policyOf(sink),
      begin: (labels, dropName) => sink.begin(labels, dropName),
      row: (series, row) => {
        if (row.present === null || row.present[row.presentBase] !== 0) {
          out.values.fill(row.values[row.base]);
          const histogram = row.histograms?.[row.base];
          out.histograms = histogram && new Array<Histogram>(steps).fill(histogram);
          sink.row(series, out);
        }
      },
      end: () => sink.end(),
    });
  }
}

/** `-x`: a histogram's counts and sum are turned over like a float. */
function negatingRows(sink: RowSink, steps: number): RowSink {
  const floats = mappingRows(sink, steps, negate);
  return {
    ...floats,
    histograms: 'take',
    row: (series, row) => {
      if (row.histograms === undefined) {
        floats.row(series, row);
        return;
      }
      const split = splitRow(row, steps);
      const values = new Float64Array(steps);
      negate(split.floats.values, split.floats.base, values);
      const turned = split.histograms.map((one) => one && operate('*', one, -1).value);
      sendRow(sink, series, joinRow({ ...split.floats, values, base: 0 }, turned, steps), steps);
    },
  };
}

function negate(from: Float64Array, base: number, to: Float64Array): void {
  for (let k = 0; k < to.length; k++) {
    to[k] = -from[base + k];
  }
}

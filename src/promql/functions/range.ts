/**
 * @file The functions over range vectors: what of them is native, which name, which annotations.
 */
import { MetricstorError } from '../../errors.js';
import type { Histogram } from '../../model/histogram.js';
import type { Expr } from '../ast.js';
import type { EvalContext } from '../exec/context.js';
import type { HistogramFunction, HistogramWindow } from '../exec/histogram-window.js';
import { labelValue } from '../exec/label-sets.js';
import type { Row } from '../exec/rows.js';
import type { WindowFunction, WindowKernel } from '../exec/window.js';
import { RunningHistogram } from '../histogram/running.js';
import type { CallPlan, SelectorPlan, SubqueryPlan } from '../plan.js';
import { edgedHistogramRate } from './edged-histogram-rate.js';
import { edgedRate, edgesOf } from './edges.js';
import { histogramRate, type RateKind, type RateNote } from './histogram-rate.js';
import type { Implementation } from './implementation.js';
import { isQuantile } from './quantile.js';
import { annotateRange, nameOf, placeOfArgument } from './range-notes.js';
import * as rate from './rate.js';
import { startedRate } from './starts.js';

/** Of samples of all kinds: their number or times. */
const counting: Implementation = {
  kind: 'window',
  make: (_ctx, { name }) => ({ native: name, keepsName: false, histograms: 'all' }),
};

/** Of floats: histograms are left out, which a window with both tells. */
const ofFloats: Implementation = {
  kind: 'window',
  make: (ctx, node) => ({ native: node.name, keepsName: false, ...leavingOut(ctx, node) }),
};

function leavingOut(
  ctx: EvalContext,
  node: CallPlan,
): Pick<WindowFunction, 'histograms' | 'onMixed'> {
  const at = placeOfArgument(node);
  return {
    histograms: 'float',
    onMixed: (labels, series) => {
      ctx.annotations.histogramsIgnoredInRange(nameOf(ctx, labels, series), at);
    },
  };
}

/** `sum_over_time` and `avg_over_time`. */
function total(op: 'sum' | 'avg'): Implementation {
  return {
    kind: 'window',
    make: (ctx, node) => {
      const at = placeOfArgument(node);
      const ofHistograms: HistogramFunction = {
        mixed: 'nothing',
        onMixed: (labels, series) => annotateRange(ctx, at, 'mixedKinds', { labels, series }),
        evaluate: (window) => totalOfHistograms(ctx, op, window, at),
      };
      return { native: node.name, keepsName: false, ofHistograms };
    },
  };
}

function totalOfHistograms(
  ctx: EvalContext,
  op: 'sum' | 'avg',
  window: HistogramWindow,
  at: Expr,
): Histogram | undefined {
  const { histograms, low, high } = window;
  const running = new RunningHistogram(op, histograms[low]);
  let reconciled = false;
  for (let i = low + 1; i < high; i++) {
    const added = running.add(histograms[i]);
    if (added === undefined) {
      annotateRange(ctx, at, 'mixedSchemas', window);
      return undefined;
    }
    reconciled ||= added.reconciled;
  }
  if (running.collision) {
    ctx.annotations.resetCollision('aggregation', at);
  }
  if (reconciled) {
    ctx.annotations.boundsReconciled('aggregation', at);
  }
  return running.finish();
}

/** Where start timestamps are in use, a kernel that knows them; the others know none. */
function knowingStarts(ctx: EvalContext, kernel: WindowKernel): Pick<WindowFunction, 'ofStarts'> {
  return ctx.startTimestamps ? { ofStarts: kernel } : {};
}

/** `irate` and `idelta`. */
function instantDelta(counter: boolean): Implementation {
  return {
    kind: 'window',
    make: (ctx, node) => {
      const at = placeOfArgument(node);
      const tell: rate.TellOfSeries = (note, of) => annotateRange(ctx, at, note, of);
      const ofAll = rate.instantDelta(counter, tell);
      const ofStarts = counter ? knowingStarts(ctx, ofAll) : {};
      return { native: node.name, ofAll, ...ofStarts, keepsName: false, histograms: 'all' };
    },
  };
}

/** The suffixes that make a metric's name look like a counter's. */
const counterName = /_(?:total|sum|count|bucket)$/;

/** What the three rate functions do with histograms. */
function ratesOfHistograms(ctx: EvalContext, node: CallPlan, kind: RateKind): HistogramFunction {
  const at = placeOfArgument(node);
  const edges = edgesOf(node);
  return {
    mixed: 'nothing',
    onMixed: (labels, series) => annotateRange(ctx, at, 'mixedKinds', { labels, series }),
    evaluate: (window) => {
      const tell = (note: RateNote): void => annotateRange(ctx, at, note, window);
      return edges === undefined
        ? histogramRate(kind, window, tell)
        : edgedHistogramRate(kind, edges, window, tell);
    },
  };
}

/** The kernel of a rate between edges; undefined for any other, which is native. */
function edgedKernel(node: CallPlan, { counter, perSecond }: RateKind): WindowKernel | undefined {
  const edges = edgesOf(node);
  return edges && edgedRate(counter, perSecond, edges);
}

/** `changes` and `resets`. */
function marks(what: 'changes' | 'resets'): Implementation {
  return {
    kind: 'window',
    make: (ctx, node) => {
      const edges = edgesOf(node);
      const ofAll = rate.countMarks(what, edges);
      const kernel = edges && ofAll;
      const ofStarts = what === 'resets' ? knowingStarts(ctx, ofAll) : {};
      return { native: what, kernel, ofAll, ...ofStarts, keepsName: false, histograms: 'all' };
    },
  };
}

const delta: Implementation = {
  kind: 'window',
  make: (ctx, node) => ({
    native: 'delta',
    kernel: edgedKernel(node, { counter: false, perSecond: false }),
    keepsName: false,
    ofHistograms: ratesOfHistograms(ctx, node, { counter: false, perSecond: false }),
  }),
};

/** The first or the last sample of each window, whatever it is. */
function end(which: 'newest' | 'oldest'): Implementation {
  return {
    kind: 'window',
    make: (_ctx, { name }) => ({
      native: name,
      keepsName: true,
      ofHistograms: {
        mixed: which,
        evaluate: ({ histograms, low, high }) =>
          histograms[which === 'newest' ? high - 1 : low].slice(),
      },
    }),
  };
}

/** Where types are labels: informs of a named series whose type is not that of a counter. */
function tellType(ctx: EvalContext, node: CallPlan, name: string, typeId: number): void {
  const type = ctx.session.text(typeId);
  if (name !== '' && type !== 'counter' && type !== 'histogram') {
    ctx.annotations.notTypedCounter(name, type, placeOfArgument(node));
  }
}

/** `rate` and `increase` inform about metrics that may not be counters, once a name. */
function counterFunction(perSecond: boolean): Implementation {
  return {
    kind: 'window',
    make: (ctx, node) => {
      const known = new Set<number>([0]);
      const typeLabel = ctx.session.intern('__type__');
      const at = placeOfArgument(node);
      const started = startedRate(perSecond, (note, of) => annotateRange(ctx, at, note, of));
      return {
        native: node.name,
        kernel: edgedKernel(node, { counter: true, perSecond }),
        ...(edgesOf(node) === undefined ? knowingStarts(ctx, started) : {}),
        keepsName: false,
        ofHistograms: ratesOfHistograms(ctx, node, { counter: true, perSecond }),
        onSeries: (labels, series) => {
          const id = labelValue(labels, series, ctx.nameLabel);
          if (ctx.typeLabels) {
            tellType(ctx, node, ctx.session.text(id), labelValue(labels, series, typeLabel));
            return;
          }
          if (known.has(id)) {
            return;
          }
          known.add(id);
          const name = ctx.session.text(id);
          if (!counterName.test(name)) {
            ctx.annotations.possibleNonCounter(name, placeOfArgument(node));
          }
        },
      };
    },
  };
}

const quantileOverTime: Implementation = {
  kind: 'window',
  make: (ctx, node) => {
    const q = ctx.scalars(node.args[0]);
    const invalid = q.findIndex((value) => !isQuantile(value)) >= 0;
    const onRow = (row: Row): void => {
      for (let k = 0; k < q.length; k++) {
        const has = row.present === null || row.present[row.presentBase + k] !== 0;
        if (has && !isQuantile(q[k])) {
          ctx.annotations.invalidQuantile(q[k], node.args[0].expr);
        }
      }
    };
    const tells = invalid ? { onRow } : {};
    return { native: node.name, keepsName: false, ...tells, ...leavingOut(ctx, node) };
  },
};

const predictLinear: Implementation = {
  kind: 'window',
  make: (ctx, node) => {
    const { startMs, stepMs, steps } = node.grid;
    const times = Float64Array.from({ length: steps }, (_, k) => startMs + k * stepMs);
    return { native: node.name, more: [times], keepsName: false, ...leavingOut(ctx, node) };
  },
};

const doubleExponentialSmoothing: Implementation = {
  kind: 'window',
  make: (ctx, node) => {
    checkFactor(ctx, node, 1, 'smoothing');
    checkFactor(ctx, node, 2, 'trend');
    return { native: node.name, keepsName: false, ...leavingOut(ctx, node) };
  },
};

function checkFactor(ctx: EvalContext, node: CallPlan, index: number, what: string): void {
  const name = what === 'smoothing' ? 'sf' : 'tf';
  for (const factor of ctx.scalars(node.args[index])) {
    if (factor <= 0 || factor >= 1) {
      const text = `invalid ${what} factor. Expected: 0 < ${name} < 1, got: ${factor.toFixed(6)}`;
      throw new MetricstorError('execution', text);
    }
  }
}

/** The range vector among a call's arguments. */
export function rangeArgument(node: CallPlan): SelectorPlan | SubqueryPlan {
  for (const arg of node.args) {
    if (arg.kind === 'matrix' || arg.kind === 'subquery') {
      return arg;
    }
  }
  throw new MetricstorError('internal', `${node.name} has no range vector argument`);
}

export const rangeFunctions = {
  avg_over_time: total('avg'),
  changes: marks('changes'),
  count_over_time: counting,
  delta,
  deriv: ofFloats,
  double_exponential_smoothing: doubleExponentialSmoothing,
  first_over_time: end('oldest'),
  idelta: instantDelta(false),
  increase: counterFunction(false),
  irate: instantDelta(true),
  last_over_time: end('newest'),
  mad_over_time: ofFloats,
  max_over_time: ofFloats,
  min_over_time: ofFloats,
  predict_linear: predictLinear,
  present_over_time: counting,
  quantile_over_time: quantileOverTime,
  rate: counterFunction(true),
  resets: marks('resets'),
  stddev_over_time: ofFloats,
  stdvar_over_time: ofFloats,
  sum_over_time: total('sum'),
  ts_of_first_over_time: counting,
  ts_of_last_over_time: counting,
  ts_of_max_over_time: ofFloats,
  ts_of_min_over_time: ofFloats,
} satisfies Record<string, Implementation>;

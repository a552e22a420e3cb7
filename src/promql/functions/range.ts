/**
 * @file The functions over range vectors: which kernel, which name, which annotations.
 */
import { MetricstorError } from '../../errors.js';
import type { Histogram } from '../../model/histogram.js';
import type { Expr } from '../ast.js';
import type { EvalContext } from '../exec/context.js';
import type { HistogramFunction, HistogramWindow } from '../exec/histogram-window.js';
import { labelValue } from '../exec/label-sets.js';
import type { WindowFunction, WindowKernel } from '../exec/window.js';
import { WindowFinder } from '../exec/window.js';
import { RunningHistogram } from '../histogram/running.js';
import type { CallPlan, SelectorPlan, SubqueryPlan } from '../plan.js';
import { absentLabels } from './absent.js';
import { edgedHistogramRate } from './edged-histogram-rate.js';
import { edgedRate, edgesOf } from './edges.js';
import { histogramRate, type RateKind, type RateNote } from './histogram-rate.js';
import type { Implementation } from './implementation.js';
import * as overTime from './over-time.js';
import { isQuantile } from './quantile.js';
import { annotateRange, nameOf, placeOfArgument } from './range-notes.js';
import * as rate from './rate.js';

/** Of samples of all kinds. */
function counting(make: () => WindowKernel): Implementation {
  return {
    kind: 'window',
    make: () => ({ kernel: make(), keepsName: false, histograms: 'all' }),
  };
}

/** Of floats: histograms are left out, which a window with both tells. */
function ofFloats(make: () => WindowKernel): Implementation {
  return {
    kind: 'window',
    make: (ctx, node) => ({ kernel: make(), keepsName: false, ...leavingOut(ctx, node) }),
  };
}

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
function total(make: () => WindowKernel, op: 'sum' | 'avg'): Implementation {
  return {
    kind: 'window',
    make: (ctx, node) => {
      const at = placeOfArgument(node);
      const ofHistograms: HistogramFunction = {
        mixed: 'nothing',
        onMixed: (labels, series) => annotateRange(ctx, at, 'mixedKinds', { labels, series }),
        evaluate: (window) => totalOfHistograms(ctx, op, window, at),
      };
      return { kernel: make(), keepsName: false, ofHistograms };
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

/** `irate` and `idelta`. */
function instantDelta(counter: boolean): Implementation {
  return {
    kind: 'window',
    make: (ctx, node) => {
      const at = placeOfArgument(node);
      const kernel = rate.instantDelta(counter, (note, of) => annotateRange(ctx, at, note, of));
      return { kernel, keepsName: false, histograms: 'all' };
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

function rateKernel(node: CallPlan, { counter, perSecond }: RateKind): WindowKernel {
  const edges = edgesOf(node);
  return edges === undefined
    ? rate.extrapolatedRate(counter, perSecond)
    : edgedRate(counter, perSecond, edges);
}

/** `changes` and `resets`. */
function marks(what: 'changes' | 'resets'): Implementation {
  return {
    kind: 'window',
    make: (_ctx, node) => ({
      kernel: rate.countMarks(what, edgesOf(node)),
      keepsName: false,
      histograms: 'all',
    }),
  };
}

const delta: Implementation = {
  kind: 'window',
  make: (ctx, node) => ({
    kernel: rateKernel(node, { counter: false, perSecond: false }),
    keepsName: false,
    ofHistograms: ratesOfHistograms(ctx, node, { counter: false, perSecond: false }),
  }),
};

/** The first or the last sample of each window, whatever it is. */
function end(make: () => WindowKernel, which: 'newest' | 'oldest'): Implementation {
  return {
    kind: 'window',
    make: () => ({
      kernel: make(),
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
      return {
        kernel: rateKernel(node, { counter: true, perSecond }),
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
    const quantile = overTime.quantileOverTime();
    const q = ctx.scalars(node.args[0]);
    const invalid = q.some((value) => !isQuantile(value));
    const kernel: WindowKernel = (series, out, scalars) => {
      const count = quantile(series, out, scalars);
      for (let k = 0; invalid && k < out.steps; k++) {
        if (out.flags[k] !== 0 && !isQuantile(q[k])) {
          ctx.annotations.invalidQuantile(q[k], node.args[0].expr);
        }
      }
      return count;
    };
    return { kernel, keepsName: false, ...leavingOut(ctx, node) };
  },
};

const predictLinear: Implementation = {
  kind: 'window',
  make: (ctx, node) => {
    const kernel = rate.prediction(node.grid.startMs, node.grid.stepMs);
    return { kernel, keepsName: false, ...leavingOut(ctx, node) };
  },
};

const doubleExponentialSmoothing: Implementation = {
  kind: 'window',
  make: (ctx, node) => {
    checkFactor(ctx, node, 1, 'smoothing');
    checkFactor(ctx, node, 2, 'trend');
    const kernel = overTime.doubleExponentialSmoothing();
    return { kernel, keepsName: false, ...leavingOut(ctx, node) };
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

/** 1 at every step where no series has a sample in its window. */
const absentOverTime: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const input = node.args[0] as SelectorPlan | SubqueryPlan;
    const { steps } = node.grid;
    const finder = new WindowFinder(input.windows);
    const absent = new Uint8Array(steps).fill(1);
    ctx.series(input, {
      histograms: 'take',
      begin: () => undefined,
      samples: (_series, samples) => {
        finder.find(samples);
        for (let k = 0; k < steps; k++) {
          if (finder.first[k] < finder.last[k]) {
            absent[k] = 0;
          }
        }
        ctx.budget.spend(steps);
      },
      end: () => undefined,
    });
    const values = new Float64Array(steps).fill(1);
    sink.begin(absentLabels(ctx, input), null);
    sink.row(0, { values, base: 0, present: absent, presentBase: 0 });
    sink.end();
  },
};

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
  absent_over_time: absentOverTime,
  avg_over_time: total(overTime.avgOverTime, 'avg'),
  changes: marks('changes'),
  count_over_time: counting(overTime.countOverTime),
  delta,
  deriv: ofFloats(rate.derivative),
  double_exponential_smoothing: doubleExponentialSmoothing,
  first_over_time: end(overTime.firstOverTime, 'oldest'),
  idelta: instantDelta(false),
  increase: counterFunction(false),
  irate: instantDelta(true),
  last_over_time: end(overTime.lastOverTime, 'newest'),
  mad_over_time: ofFloats(overTime.madOverTime),
  max_over_time: ofFloats(() => overTime.extremeOverTime('max')),
  min_over_time: ofFloats(() => overTime.extremeOverTime('min')),
  predict_linear: predictLinear,
  present_over_time: counting(overTime.presentOverTime),
  quantile_over_time: quantileOverTime,
  rate: counterFunction(true),
  resets: marks('resets'),
  stddev_over_time: ofFloats(() => overTime.varianceOverTime(true)),
  stdvar_over_time: ofFloats(() => overTime.varianceOverTime(false)),
  sum_over_time: total(overTime.sumOverTime, 'sum'),
  ts_of_first_over_time: counting(overTime.timeOfFirst),
  ts_of_last_over_time: counting(overTime.timeOfLast),
  ts_of_max_over_time: ofFloats(() => overTime.timeOfExtreme('max')),
  ts_of_min_over_time: ofFloats(() => overTime.timeOfExtreme('min')),
} satisfies Record<string, Implementation>;

/**
 * @file Functions of one number, rounding and clamping included, and Go's arithmetic where it
 * differs from JavaScript's.
 */
import type { EvalContext } from '../exec/context.js';
import { droppingNames } from '../exec/names.js';
import { noSeries, type Row, type RowSink } from '../exec/rows.js';
import type { CallPlan } from '../plan.js';
import { type Implementation, numeric } from './implementation.js';

/** Go's `math.Max`: an infinity wins over NaN. */
export function goMax(a: number, b: number): number {
  return a === Infinity || b === Infinity ? Infinity : Math.max(a, b);
}

/** Go's `math.Min`: an infinity wins over NaN. */
export function goMin(a: number, b: number): number {
  return a === -Infinity || b === -Infinity ? -Infinity : Math.min(a, b);
}

/** Go's `math.Pow`: 1 to any power is 1, and so is -1 to an infinite one. */
export function goPow(base: number, exponent: number): number {
  if (base === 1 || (base === -1 && Math.abs(exponent) === Infinity)) {
    return 1;
  }
  return base ** exponent;
}

function sign(value: number): number {
  return value < 0 ? -1 : value > 0 ? 1 : value;
}

const round: Implementation = {
  kind: 'map',
  make: (ctx, node) => {
    const nearest = node.args[1] === undefined ? undefined : ctx.scalars(node.args[1]);
    return (from, base, to) => {
      for (let k = 0; k < to.length; k++) {
        // The inverse is what Prometheus calculates with, and it decides ties.
        const inverse = nearest === undefined ? 1 : 1 / nearest[k];
        to[k] = Math.floor(from[base + k] * inverse + 0.5) / inverse;
      }
    };
  },
};

/** `clamp` with bounds a step; steps whose bounds are crossed have no value. */
function clampRows(
  ctx: EvalContext,
  node: CallPlan,
  sink: RowSink,
  bounds: { readonly min?: Float64Array; readonly max?: Float64Array },
): void {
  const { steps } = node.grid;
  const min = bounds.min ?? new Float64Array(steps).fill(-Infinity);
  const max = bounds.max ?? new Float64Array(steps).fill(Infinity);
  const crossed = min.some((bound, k) => max[k] < bound);
  const flags = new Uint8Array(steps);
  const out: Row = { values: new Float64Array(steps), base: 0, present: null, presentBase: 0 };
  const target = droppingNames(ctx, sink, steps);
  ctx.rows(node.args[0], {
    histograms: 'skip',
    begin: (labels, dropName) => target.begin(labels, dropName),
    row: (series, row) => {
      for (let k = 0; k < steps; k++) {
        out.values[k] = goMax(min[k], goMin(max[k], row.values[row.base + k]));
      }
      out.present = row.present;
      out.presentBase = row.presentBase;
      if (crossed) {
        for (let k = 0; k < steps; k++) {
          const has = row.present === null || row.present[row.presentBase + k] !== 0;
          flags[k] = has && !(max[k] < min[k]) ? 1 : 0;
        }
        out.present = flags;
        out.presentBase = 0;
      }
      target.row(series, out);
    },
    end: () => target.end(),
  });
}

const clamp: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const min = ctx.scalars(node.args[1]);
    const max = ctx.scalars(node.args[2]);
    clampRows(ctx, node, sink, { min, max });
  },
};

const clampMin: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => clampRows(ctx, node, sink, { min: ctx.scalars(node.args[1]) }),
};

const clampMax: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => clampRows(ctx, node, sink, { max: ctx.scalars(node.args[1]) }),
};

/** A scalar of two scalars. */
function pairwise(fn: (a: number, b: number) => number): Implementation {
  return {
    kind: 'scalar',
    evaluate: (ctx, node) => {
      const left = ctx.scalars(node.args[0]);
      const right = ctx.scalars(node.args[1]);
      return left.map((value, k) => fn(value, right[k]));
    },
  };
}

const pi: Implementation = {
  kind: 'scalar',
  evaluate: (_ctx, node) => new Float64Array(node.grid.steps).fill(Math.PI),
};

/** Functions that only the planner evaluates; it replaces their calls by numbers. */
const planned: Implementation = {
  kind: 'rows',
  rows: (_ctx, _node, sink) => {
    sink.begin(noSeries, null);
    sink.end();
  },
};

export const mathFunctions = {
  abs: numeric(Math.abs),
  acos: numeric(Math.acos),
  acosh: numeric(Math.acosh),
  asin: numeric(Math.asin),
  asinh: numeric(Math.asinh),
  atan: numeric(Math.atan),
  atanh: numeric(Math.atanh),
  ceil: numeric(Math.ceil),
  clamp,
  clamp_max: clampMax,
  clamp_min: clampMin,
  cos: numeric(Math.cos),
  cosh: numeric(Math.cosh),
  deg: numeric((value) => (value * 180) / Math.PI),
  end: planned,
  exp: numeric(Math.exp),
  floor: numeric(Math.floor),
  ln: numeric(Math.log),
  log10: numeric(Math.log10),
  log2: numeric(Math.log2),
  max_of: pairwise(goMax),
  min_of: pairwise(goMin),
  pi,
  rad: numeric((value) => (value * Math.PI) / 180),
  range: planned,
  round,
  sgn: numeric(sign),
  sin: numeric(Math.sin),
  sinh: numeric(Math.sinh),
  sqrt: numeric(Math.sqrt),
  start: planned,
  step: planned,
  tan: numeric(Math.tan),
  tanh: numeric(Math.tanh),
} satisfies Record<string, Implementation>;

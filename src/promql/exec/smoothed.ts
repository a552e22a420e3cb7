/**
 * @file The value of a `smoothed` instant selector: between the samples around each step.
 *
 * Follows `smoothSeries` in Prometheus' `promql/engine.go` (3.14).
 */
import { customSchema, type Histogram, place, resetHint } from '../../model/histogram.js';
import { interpolate } from '../functions/edges.js';
import { annotateRange } from '../functions/range-notes.js';
import { interpolateHistograms } from '../histogram/interpolate.js';
import type { Edges, SelectorPlan } from '../plan.js';
import type { EvalContext } from './context.js';
import type { HistogramFunction, HistogramWindow } from './histogram-window.js';
import type { RowSink } from './rows.js';
import { type WindowKernel, windowRows } from './window.js';

/** The rows of a smoothed selector. */
export function smoothedRows(
  ctx: EvalContext,
  plan: SelectorPlan,
  edges: Edges,
  sink: RowSink,
): void {
  const ofHistograms: HistogramFunction = {
    mixed: 'nothing',
    onMixed: (labels, series) => annotateRange(ctx, plan.expr, 'mixedKinds', { labels, series }),
    evaluate: (window) => smoothedHistogram(ctx, plan, edges, window),
  };
  const kernel = smoothedFloat(edges);
  windowRows(ctx, plan, [], { native: 'value', kernel, keepsName: true, ofHistograms }, sink);
}

function smoothedFloat(edges: Edges): WindowKernel {
  const { firstEndMs, strideMs } = edges.inner;
  return ({ timestamps, values, first, last }, out) => {
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const timeMs = firstEndMs + k * strideMs;
      const at = firstAt(timestamps, first[k], last[k], timeMs);
      const exact = at < last[k] && timestamps[at] === timeMs;
      out.flags[k] = exact || at > first[k] ? 1 : 0;
      count += out.flags[k];
      if (exact) {
        out.values[k] = values[at];
      } else if (at > first[k]) {
        const before = { timeMs: timestamps[at - 1], value: values[at - 1] };
        out.values[k] =
          at < last[k]
            ? interpolate(before, { timeMs: timestamps[at], value: values[at] }, timeMs, false)
            : before.value;
      }
    }
    return count;
  };
}

/** The first of `[low, high)` at or after a time, or `high`. */
function firstAt(times: ArrayLike<number>, low: number, high: number, timeMs: number): number {
  let at = low;
  while (at < high && times[at] < timeMs) {
    at++;
  }
  return at;
}

function smoothedHistogram(
  ctx: EvalContext,
  plan: SelectorPlan,
  edges: Edges,
  window: HistogramWindow,
): Histogram | undefined {
  const { times, histograms, low, high } = window;
  const timeMs = window.endMs - (edges.outer.firstEndMs - edges.inner.firstEndMs);
  const at = firstAt(times, low, high, timeMs);
  if (at < high && times[at] === timeMs) {
    return histograms[at].slice();
  }
  if (at === low) {
    return undefined;
  }
  const before = histograms[at - 1];
  if (at === high) {
    const copy = before.slice();
    copy[place.hint] = resetHint.unknown;
    return copy;
  }
  const after = histograms[at];
  if ((before[place.schema] === customSchema) !== (after[place.schema] === customSchema)) {
    annotateRange(ctx, plan.expr, 'mixedSchemas', window);
    return undefined;
  }
  const counter = [before, after].some((one) => one[place.hint] !== resetHint.gauge);
  return interpolateHistograms(
    { timeMs: times[at - 1], histogram: before },
    { timeMs: times[at], histogram: after },
    timeMs,
    counter,
    (note) => annotateRange(ctx, plan.expr, note, window),
  )?.slice();
}

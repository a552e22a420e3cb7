/**
 * @file Functions of histograms that give a number each, but for `histogram_quantiles`.
 *
 * Follows `funcHistogramQuantile` and its neighbours in Prometheus' `promql/functions.go` (3.14).
 */
import { type Histogram, place } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from '../exec/context.js';
import { droppingNames } from '../exec/names.js';
import { RowBuffer, type RowSink } from '../exec/rows.js';
import { histogramFraction as nativeFraction } from '../histogram/quantile.js';
import { histogramVariance } from '../histogram/variance.js';
import type { CallPlan, Plan } from '../plan.js';
import type { Buckets } from './buckets.js';
import { metricName, nativeQuantileOf, tellRepair, visitHistograms } from './histogram-groups.js';
import { histogramQuantiles } from './histogram-quantiles.js';
import type { Implementation } from './implementation.js';
import { isQuantile } from './quantile.js';

/** Evaluate one number a histogram and step. */
interface Evaluate {
  classic(buckets: Buckets, step: number, group: number): number;
  native(histogram: Histogram, step: number, group: number): number;
}

function histogramRows(
  ctx: EvalContext,
  node: CallPlan,
  arg: Plan,
  sink: RowSink,
  evaluate: (labels: LabelTable) => Evaluate,
): void {
  const { steps } = node.grid;
  const target = droppingNames(ctx, sink, steps);
  const out = new RowBuffer(steps);
  let count = 0;
  const put = (step: number, value: number): void => {
    out.values[step] = value;
    out.flags[step] = 1;
    count++;
  };
  visitHistograms(ctx, arg, (labels) => {
    const compute = evaluate(labels);
    target.begin(labels, null);
    return {
      classic: (buckets, step, group) => put(step, compute.classic(buckets, step, group)),
      native: (histogram, step, group) => put(step, compute.native(histogram, step, group)),
      end: (group) => {
        out.filled(count);
        if (count > 0) {
          target.row(group, out);
        }
        out.flags.fill(0);
        count = 0;
      },
    };
  });
  target.end();
}

const histogramQuantile: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const [param, arg] = node.args;
    const q = ctx.scalars(param);
    histogramRows(ctx, node, arg, sink, (labels) => {
      // After what is inside and before what is outside: of the same text the last place is said.
      for (const value of q) {
        if (!isQuantile(value)) {
          ctx.annotations.invalidQuantile(value, param.expr);
        }
      }
      return {
        classic: (buckets, step, group) => {
          const value = buckets.quantile(q[step]);
          if (buckets.repaired) {
            tellRepair(ctx, arg, buckets, { labels, group, step });
          }
          return value;
        },
        native: (histogram, step, group) =>
          nativeQuantileOf(ctx, arg, histogram, q[step], { labels, group }),
      };
    });
  },
};

const histogramFraction: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const lower = ctx.scalars(node.args[0]);
    const upper = ctx.scalars(node.args[1]);
    const arg = node.args[2];
    histogramRows(ctx, node, arg, sink, (labels) => ({
      classic: (buckets, step) => buckets.fraction(lower[step], upper[step]),
      native: (histogram, step, group) =>
        nativeFraction(lower[step], upper[step], histogram, (note) => {
          ctx.annotations.nanObservations(note, metricName(ctx, labels, group), arg.expr);
        }),
    }));
  },
};

/** A number of each native histogram; floats count as no value. */
function ofHistogram(compute: (histogram: Histogram) => number): Implementation {
  return {
    kind: 'rows',
    rows: (ctx, node, sink) => {
      const { steps } = node.grid;
      const target = droppingNames(ctx, sink, steps);
      const out = new RowBuffer(steps);
      ctx.rows(node.args[0], {
        histograms: 'take',
        begin: (labels, dropName) => target.begin(labels, dropName),
        row: (series, { histograms, base, present, presentBase }) => {
          let count = 0;
          for (let k = 0; k < steps; k++) {
            const has = present === null || present[presentBase + k] !== 0;
            const histogram = has ? histograms?.[base + k] : undefined;
            out.flags[k] = histogram === undefined ? 0 : 1;
            if (histogram !== undefined) {
              out.values[k] = compute(histogram);
              count++;
            }
          }
          out.filled(count);
          if (count > 0) {
            target.row(series, out);
          }
        },
        end: () => target.end(),
      });
    },
  };
}

export const histogramFunctions = {
  histogram_avg: ofHistogram((histogram) => histogram[place.sum] / histogram[place.count]),
  histogram_count: ofHistogram((histogram) => histogram[place.count]),
  histogram_fraction: histogramFraction,
  histogram_quantile: histogramQuantile,
  histogram_quantiles: histogramQuantiles,
  histogram_stddev: ofHistogram((histogram) => Math.sqrt(histogramVariance(histogram))),
  histogram_stdvar: ofHistogram(histogramVariance),
  histogram_sum: ofHistogram((histogram) => histogram[place.sum]),
} satisfies Record<string, Implementation>;

/**
 * @file `histogram_quantiles`: several quantiles at once, told apart by a label.
 *
 * Follows `funcHistogramQuantiles` in Prometheus' `promql/functions.go` (3.14).
 */
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from '../exec/context.js';
import { LabelIndex, LabelScratch } from '../exec/label-sets.js';
import { droppingNames, sameLabels } from '../exec/names.js';
import { RowBuffer, type RowSink } from '../exec/rows.js';
import { formatShortest } from '../format-float.js';
import { nativeQuantileOf, tellRepair, visitHistograms } from './histogram-groups.js';
import type { Implementation } from './implementation.js';
import { stringArgument } from './label.js';
import { isQuantile } from './quantile.js';

/** A number as OpenMetrics writes it: with a point or an exponent. */
function openMetricsFloat(value: number): string {
  const text = formatShortest(value === 0 ? 0 : value);
  return Number.isFinite(value) && !/[.e]/.test(text) ? `${text}.0` : text;
}

const noLabels: ReadonlySet<number> = new Set();

/** The rows by label set, while they are filled in any order. */
class QuantileRows {
  private readonly index = new LabelIndex();
  private readonly scratch = new LabelScratch();
  private readonly rows: RowBuffer[] = [];

  constructor(
    private readonly ctx: EvalContext,
    private readonly label: number,
    private readonly steps: number,
  ) {}

  put(of: { labels: LabelTable; group: number }, q: number, step: number, value: number): void {
    const { ctx, scratch, steps } = this;
    // The label may be the name itself, which is only gone by then if names are dropped at once.
    scratch.project(of.labels, of.group, ctx.delayedNames ? noLabels : ctx.metadataLabels, false);
    scratch.set(ctx.session, this.label, ctx.session.intern(openMetricsFloat(q)));
    const at = this.index.add(scratch);
    if (at === this.rows.length) {
      this.rows.push(new RowBuffer(steps));
      ctx.budget.hold(steps * 9, steps);
    }
    const row = this.rows[at];
    if (row.flags[step] !== 0) {
      throw sameLabels();
    }
    row.values[step] = value;
    row.flags[step] = 1;
  }

  send(sink: RowSink): void {
    sink.begin(this.index.table(), null);
    this.rows.forEach((row, at) => {
      row.filled(row.flags.reduce((sum, flag) => sum + flag, 0));
      sink.row(at, row);
    });
    sink.end();
    this.ctx.budget.release(this.rows.length * this.steps * 9, this.rows.length * this.steps);
  }
}

export const histogramQuantiles: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const [arg, label, ...params] = node.args;
    const { steps } = node.grid;
    const quantiles = params.map((param) => ctx.scalars(param));
    const rows = new QuantileRows(ctx, ctx.session.intern(stringArgument(label)), steps);
    visitHistograms(ctx, arg, (labels) => ({
      classic: (buckets, step, group) => {
        for (const q of quantiles) {
          const known = buckets.repaired;
          const value = buckets.quantile(q[step]);
          if (buckets.repaired && !known) {
            tellRepair(ctx, arg, buckets, { labels, group, step });
          }
          rows.put({ labels, group }, q[step], step, value);
        }
      },
      native: (histogram, step, group) => {
        for (const q of quantiles) {
          const value = nativeQuantileOf(ctx, arg, histogram, q[step], { labels, group });
          rows.put({ labels, group }, q[step], step, value);
        }
      },
      end: () => undefined,
    }));
    // After those of what is inside, so that one of the same text is said here.
    quantiles.forEach((values, i) => {
      for (const value of values) {
        if (!isQuantile(value)) {
          ctx.annotations.invalidQuantile(value, params[i].expr);
        }
      }
    });
    rows.send(ctx.delayedNames ? droppingNames(ctx, sink, steps) : sink);
  },
};

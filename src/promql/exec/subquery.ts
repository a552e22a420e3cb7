/**
 * @file The samples of a subquery: the rows of its inner expression, as a range vector.
 */
import { type Histogram, place, resetHint } from '../../model/histogram.js';
import type { SubqueryPlan } from '../plan.js';
import type { EvalContext, SeriesReader, SeriesSamples } from './context.js';
import type { Row } from './rows.js';
import { refuseHistograms } from './selector.js';

/** Evaluates the inner expression once, at its own steps, and passes each row on as samples. */
export function subquerySeries(ctx: EvalContext, plan: SubqueryPlan, reader: SeriesReader): void {
  const { startMs, stepMs, steps } = plan.inner.grid;
  // Before anything is allocated: a short step in a long range makes any number of steps. Four
  // columns here, and as much again for the rows of inner operators.
  const bytes = steps * 8 * 8;
  ctx.budget.hold(bytes, steps);
  const timestamps = new Float64Array(steps);
  for (let k = 0; k < steps; k++) {
    timestamps[k] = startMs + k * stepMs;
  }
  const sparse: SeriesSamples = {
    timestamps: new Float64Array(steps),
    values: new Float64Array(steps),
    from: 0,
    to: 0,
  };
  const dense: SeriesSamples = { timestamps, values: new Float64Array(steps), from: 0, to: steps };
  ctx.rows(plan.inner, {
    histograms: 'take',
    begin: (labels, dropName) => reader.begin(labels, dropName),
    row: (series, row) => {
      const { values, base, present, presentBase } = row;
      if (row.histograms !== undefined) {
        const mixed = mixedSamples(row, timestamps);
        if (reader.histograms === undefined) {
          refuseHistograms(mixed);
        }
        if (mixed.to > 0) {
          reader.samples(series, mixed);
        }
        return;
      }
      if (present === null) {
        dense.values.set(values.subarray(base, base + steps));
        reader.samples(series, dense);
        return;
      }
      let count = 0;
      for (let k = 0; k < steps; k++) {
        if (present[presentBase + k] !== 0) {
          sparse.timestamps[count] = timestamps[k];
          sparse.values[count] = values[base + k];
          count++;
        }
      }
      sparse.to = count;
      if (count > 0) {
        reader.samples(series, sparse);
      }
    },
    end: () => reader.end(),
  });
  ctx.budget.release(bytes, steps);
}

/** The values of a row with histograms as samples. */
function mixedSamples(row: Row, times: Float64Array): SeriesSamples {
  const { values, base, present, presentBase, histograms } = row;
  const steps = times.length;
  const samples = {
    timestamps: new Float64Array(steps),
    values: new Float64Array(steps),
    histograms: new Array<Histogram | undefined>(steps),
    from: 0,
    to: 0,
  };
  for (let k = 0; k < steps; k++) {
    if (present === null || present[presentBase + k] !== 0) {
      samples.timestamps[samples.to] = times[k];
      samples.values[samples.to] = values[base + k];
      samples.histograms[samples.to] = forgettingResets(histograms?.[base + k]);
      samples.to++;
    }
  }
  return samples;
}

/** Between the samples of a subquery there may be others: what they say of resets is not known. */
function forgettingResets(histogram: Histogram | undefined): Histogram | undefined {
  if (histogram === undefined || histogram[place.hint] === resetHint.gauge) {
    return histogram;
  }
  const copy = histogram.slice();
  copy[place.hint] = resetHint.unknown;
  return copy;
}

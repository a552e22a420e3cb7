/**
 * @file Quantiles of a set of values, as `quantile` in Prometheus' `promql/quantile.go` (3.14).
 */

/** Sorts ascending with NaN first: NaN is the smallest value of a quantile. */
function sortNanFirst(values: Float64Array): void {
  // The built-in order puts NaN last.
  values.sort();
  let nans = 0;
  while (nans < values.length && Number.isNaN(values[values.length - 1 - nans])) {
    nans++;
  }
  if (nans > 0 && nans < values.length) {
    values.copyWithin(nans, 0, values.length - nans);
    values.fill(NaN, 0, nans);
  }
}

/** The `q`-quantile of `values`, which it sorts; -Inf and +Inf where `q` lies outside [0, 1]. */
export function quantileOf(q: number, values: Float64Array): number {
  const count = values.length;
  if (count === 0 || Number.isNaN(q)) {
    return NaN;
  }
  if (q < 0) {
    return -Infinity;
  }
  if (q > 1) {
    return Infinity;
  }
  sortNanFirst(values);
  const rank = q * (count - 1);
  const lower = Math.max(0, Math.floor(rank));
  const upper = Math.min(count - 1, lower + 1);
  const weight = rank - Math.floor(rank);
  return values[lower] * (1 - weight) + values[upper] * weight;
}

export function isQuantile(q: number): boolean {
  return q >= 0 && q <= 1;
}

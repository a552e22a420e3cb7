/**
 * @file Quantiles of a set of values, as `quantile` in Prometheus' `promql/quantile.go` (3.14).
 */

/** Up to this many values, insertion beats the built-in sort's fixed cost. */
const shortSort = 48;

/** Sorts `[0, length)` ascending with NaN first: NaN is the smallest value of a quantile. */
function sortNanFirst(values: Float64Array, length: number): void {
  if (length > shortSort) {
    longSort(values.subarray(0, length));
    return;
  }
  for (let i = 1; i < length; i++) {
    const value = values[i];
    let at = i;
    if (Number.isNaN(value)) {
      while (at > 0 && !Number.isNaN(values[at - 1])) {
        values[at] = values[at - 1];
        at--;
      }
    } else {
      while (at > 0 && values[at - 1] > value) {
        values[at] = values[at - 1];
        at--;
      }
    }
    values[at] = value;
  }
}

function longSort(values: Float64Array): void {
  // The built-in order puts NaN last.
  values.sort();
  let nans = 0;
  while (nans < values.length && Number.isNaN(values[values.length - 1 - nans])) {
    nans++;
  }
  if (nans > 0) {
    values.copyWithin(nans, 0, values.length - nans);
    values.fill(NaN, 0, nans);
  }
}

/**
 * The `q`-quantile of the first `count` values, which it sorts; -Inf and +Inf where `q` lies
 * outside [0, 1].
 */
export function quantileOf(q: number, values: Float64Array, count: number): number {
  if (count === 0 || Number.isNaN(q)) {
    return NaN;
  }
  if (q < 0) {
    return -Infinity;
  }
  if (q > 1) {
    return Infinity;
  }
  sortNanFirst(values, count);
  const rank = q * (count - 1);
  const lower = Math.max(0, Math.floor(rank));
  const upper = Math.min(count - 1, lower + 1);
  const weight = rank - Math.floor(rank);
  return values[lower] * (1 - weight) + values[upper] * weight;
}

export function isQuantile(q: number): boolean {
  return q >= 0 && q <= 1;
}

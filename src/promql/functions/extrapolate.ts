/**
 * @file How far the growth of a counter or gauge between the samples of a window is extrapolated to
 * the window's ends.
 *
 * Follows `extrapolatedRate` in Prometheus' `promql/functions.go` (3.14), with the same order of
 * floating-point operations.
 */

/** A window's gaps to its bounds are bridged up to this multiple of the mean interval. */
const extrapolationFactor = 1.1;

/** A window and the times of its first and last sample. */
export interface WindowEnds {
  readonly endMs: number;
  readonly rangeMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** How many samples there are: at least two, or a start. */
  readonly samples: number;
  /** When the counter was zero, where that is known to be within the window. */
  readonly startMs?: number | undefined;
  /**
   * A counter's first value as a share of its growth: so long before the first sample it was zero,
   * and it cannot have been below.
   */
  readonly zeroShare?: number | undefined;
}

/** What the growth of a window is multiplied with. */
export function extrapolation(window: WindowEnds): number {
  const { endMs, rangeMs, firstMs, lastMs, samples, startMs, zeroShare } = window;
  const between = (lastMs - firstMs) / 1000;
  const interval = samples > 1 ? between / (samples - 1) : 0;
  const threshold = interval * extrapolationFactor;
  let sampled = between;
  let toStart = 0;
  if (startMs === undefined) {
    toStart = (firstMs - (endMs - rangeMs)) / 1000;
    if (toStart >= threshold) {
      toStart = interval / 2;
    }
    if (zeroShare !== undefined && sampled * zeroShare < toStart) {
      toStart = sampled * zeroShare;
    }
  } else {
    sampled = (lastMs - startMs) / 1000;
  }
  let toEnd = (endMs - lastMs) / 1000;
  if (toEnd >= threshold) {
    toEnd = interval / 2;
  }
  return (sampled + toStart + toEnd) / sampled;
}

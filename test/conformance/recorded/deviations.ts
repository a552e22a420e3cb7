/**
 * @file The cases in which metricstor answers otherwise than Prometheus on purpose, each with its
 * reason. Every reason here is also in the README's list of deviations.
 */
import type { Aspect } from '../../support/compare-results.js';

export interface Deviation {
  /** What differs; everything else must agree, and this must go on differing. */
  readonly aspect: Aspect;
  readonly reason: string;
}

const subnormalLogarithm: Deviation = {
  aspect: 'value',
  reason:
    "Go's x86-64 assembly takes the logarithm of a subnormal number as if it were a normal one",
};

const monotonicityCount: Deviation = {
  aspect: 'annotations',
  reason:
    'Prometheus merges the annotation into itself and so doubles the repaired samples every step',
};

const timeNotANumber: Deviation = {
  aspect: 'status',
  reason: 'a time that is no number is refused; Prometheus makes some integer of it',
};

const timeBeyondRange: Deviation = {
  aspect: 'value',
  reason: 'a time beyond ±2^53 ms is moved to that bound; Prometheus makes some integer of it',
};

const emptyTimeRange: Deviation = {
  aspect: 'shape',
  reason: 'no label has a value in a range that ends before it starts',
};

/** By case id. */
export const deviations: ReadonlyMap<string, Deviation> = new Map([
  ['get /api/v1/query?query=1&time=NaN', timeNotANumber],
  ['get /api/v1/query?query=1&time=1e30', timeBeyondRange],
  ['get /api/v1/label/job/values?start={5h}&end={4h}', emptyTimeRange],
  ['at 3h ln(weird)', subnormalLogarithm],
  ['from 50m to 3h10m step 3m histogram_quantile(0.5, rpc_latency_bucket)', monotonicityCount],
  [
    'from 50m to 3h10m step 3m histogram_quantile(0.9, rate(rpc_latency_bucket{shape=~"spelled|falling"}[10m]))',
    monotonicityCount,
  ],
]);

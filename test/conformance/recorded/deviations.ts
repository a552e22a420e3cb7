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

/** By case id. */
export const deviations: ReadonlyMap<string, Deviation> = new Map([
  ['at 3h ln(weird)', subnormalLogarithm],
  ['from 50m to 3h10m step 3m histogram_quantile(0.5, rpc_latency_bucket)', monotonicityCount],
  [
    'from 50m to 3h10m step 3m histogram_quantile(0.9, rate(rpc_latency_bucket{shape=~"spelled|falling"}[10m]))',
    monotonicityCount,
  ],
]);

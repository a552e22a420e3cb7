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
  reason: 'on x86-64 Prometheus computes logarithms of subnormal numbers wrongly (ln(5e-324))',
};

const dateOfNoDate: Deviation = {
  aspect: 'value',
  reason:
    'date functions of NaN, infinities and numbers beyond ±2^63 give NaN; Prometheus shows what its processor makes of them as integers',
};

const monotonicityCount: Deviation = {
  aspect: 'annotations',
  reason:
    'the count of repaired buckets in the info of histogram_quantile; Prometheus doubles it at every further step of a range query',
};

/** By case id. */
export const deviations: ReadonlyMap<string, Deviation> = new Map([
  ['at 3h ln(weird)', subnormalLogarithm],
  ['at 3h hour(weird{kind=~"nan|.*inf|huge"})', dateOfNoDate],
  ['from 50m to 3h10m step 3m histogram_quantile(0.5, rpc_latency_bucket)', monotonicityCount],
  [
    'from 50m to 3h10m step 3m histogram_quantile(0.9, rate(rpc_latency_bucket{shape=~"spelled|falling"}[10m]))',
    monotonicityCount,
  ],
]);

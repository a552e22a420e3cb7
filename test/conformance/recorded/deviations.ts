/**
 * @file The cases in which metricstor answers otherwise than Prometheus on purpose, each with its
 * reason. Every reason here is also in the README's list of deviations.
 */

const doubled =
  'Prometheus merges the annotation into itself and so doubles the repaired samples every step';

/** Reason by case id. */
export const deviations: ReadonlyMap<string, string> = new Map<string, string>([
  [
    'at 3h ln(weird)',
    "Go's x86-64 assembly takes the logarithm of a subnormal number as if it were a normal one",
  ],
  ['from 50m to 3h10m step 3m histogram_quantile(0.5, rpc_latency_bucket)', doubled],
  [
    'from 50m to 3h10m step 3m histogram_quantile(0.9, ' +
      'rate(rpc_latency_bucket{shape=~"spelled|falling"}[10m]))',
    doubled,
  ],
]);

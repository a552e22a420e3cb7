/**
 * @file Parts of PromQL that have a feature flag in Prometheus (3.14), by its names.
 */

/** Those that metricstor has. */
export const promqlFeatures = [
  'promql-experimental-functions',
  'promql-binop-fill-modifiers',
  'promql-extended-range-selectors',
  'promql-delayed-name-removal',
  'type-and-unit-labels',
  'use-start-timestamps',
  'promql-duration-expr',
  'promql-per-step-stats',
] as const;

export type PromqlFeature = (typeof promqlFeatures)[number];

/** What changes the meaning of queries. */
const changing: ReadonlySet<PromqlFeature> = new Set([
  'promql-delayed-name-removal',
  'type-and-unit-labels',
  'use-start-timestamps',
]);

/** Names that are accepted and have no effect: what they turned on once is always on. */
const always: ReadonlySet<PromqlFeature> = new Set([
  'promql-duration-expr',
  'promql-per-step-stats',
]);

/** On unless the configuration says otherwise: what only adds to the language. */
export const defaultFeatures: readonly PromqlFeature[] = promqlFeatures.filter(
  (feature) => !changing.has(feature) && !always.has(feature),
);

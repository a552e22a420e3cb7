/**
 * @file Parts of PromQL that have a feature flag in Prometheus (3.14), by its names.
 */

/** Those that metricstor has. */
export const promqlFeatures = [
  'promql-experimental-functions',
  'promql-duration-expr',
  'promql-binop-fill-modifiers',
  'promql-extended-range-selectors',
  'promql-delayed-name-removal',
  'type-and-unit-labels',
  'use-start-timestamps',
] as const;

export type PromqlFeature = (typeof promqlFeatures)[number];

/** What changes the meaning of queries. */
const changing: ReadonlySet<PromqlFeature> = new Set([
  'promql-delayed-name-removal',
  'type-and-unit-labels',
  'use-start-timestamps',
]);

/** On unless the configuration says otherwise: what only adds to the language. */
export const defaultFeatures: readonly PromqlFeature[] = promqlFeatures.filter(
  (feature) => !changing.has(feature),
);

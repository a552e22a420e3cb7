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
] as const;

export type PromqlFeature = (typeof promqlFeatures)[number];

/** On unless the configuration says otherwise: what only adds to the language. */
export const defaultFeatures: readonly PromqlFeature[] = promqlFeatures.filter(
  (feature) => feature !== 'promql-delayed-name-removal' && feature !== 'type-and-unit-labels',
);

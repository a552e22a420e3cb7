/**
 * @file The cases in which metricstor answers otherwise than Prometheus on purpose, each with its
 * reason. Every reason here is also in the README's list of deviations.
 */

/** Reason by case id. */
export const deviations: ReadonlyMap<string, string> = new Map<string, string>([]);

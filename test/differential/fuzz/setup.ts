/** @file The Prometheus of random queries: the whole language. */
import { type PrometheusSetup, scriptSetup } from '../prometheus.js';

export const fuzzSetup: PrometheusSetup = scriptSetup([]);

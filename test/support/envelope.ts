/**
 * @file A query's outcome as the JSON envelope of the HTTP API, for comparison with Prometheus.
 */
import { MetricstorError } from '../../src/errors.js';
import type { QueryOutcome } from '../../src/promql/engine.js';
import type { ApiEnvelope } from './compare-results.js';
import { histogramJson } from './histogram-json.js';
import type { MemorySession } from './memory-querier.js';
import { valueText } from './value-text.js';

/** What `/api/v1/query` and `query_range` would answer. */
export function toEnvelope(session: MemorySession, run: () => QueryOutcome): ApiEnvelope {
  try {
    const { result, annotations } = run();
    const extra = {
      ...(annotations.warnings.length > 0 ? { warnings: annotations.warnings } : {}),
      ...(annotations.infos.length > 0 ? { infos: annotations.infos } : {}),
    };
    return { status: 'success', data: toData(session, result), ...extra };
  } catch (error) {
    return errorEnvelope(error);
  }
}

/** What is answered for a failure; throws what is none of a query's. */
export function errorEnvelope(error: unknown): ApiEnvelope {
  if (error instanceof MetricstorError) {
    const { errorType } = error.kind;
    return { status: 'error', errorType, error: error.message };
  }
  throw error;
}

function toData(session: MemorySession, result: QueryOutcome['result']): unknown {
  const resultType = result.type;
  if (result.type === 'scalar' || result.type === 'string') {
    const text = result.type === 'scalar' ? valueText(result.values[0]) : result.value;
    return { resultType, result: [result.timestampMs / 1000, text] };
  }
  const { labels, timestamps, values, histograms = [] } = result;
  const list = Array.from({ length: labels.count }, (_, i) => {
    const metric = Object.fromEntries(session.pairs(labels, i));
    if (result.type === 'vector') {
      const histogram = histograms[i];
      const time = timestamps[i] / 1000;
      return histogram === undefined
        ? { metric, value: [time, valueText(values[i])] }
        : { metric, histogram: [time, histogramJson(histogram)] };
    }
    const floats: unknown[] = [];
    const cells: unknown[] = [];
    for (let at = result.offsets[i]; at < result.offsets[i + 1]; at++) {
      const histogram = histograms[at];
      const time = timestamps[at] / 1000;
      if (histogram === undefined) {
        floats.push([time, valueText(values[at])]);
      } else {
        cells.push([time, histogramJson(histogram)]);
      }
    }
    return {
      metric,
      ...(floats.length > 0 && { values: floats }),
      ...(cells.length > 0 && { histograms: cells }),
    };
  });
  return { resultType, result: list };
}

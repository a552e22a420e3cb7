/**
 * @file A query's outcome as the JSON envelope of the HTTP API, for comparison with Prometheus.
 */
import { MetricstorError } from '../../src/errors.js';
import type { QueryOutcome } from '../../src/promql/engine.js';
import type { ApiEnvelope } from './compare-results.js';
import type { MemorySession } from './memory-querier.js';

function valueText(value: number): string {
  if (Number.isNaN(value)) {
    return 'NaN';
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? '+Inf' : '-Inf';
  }
  return Object.is(value, -0) ? '-0' : String(value);
}

function point(timestamps: Float64Array, values: Float64Array, at: number): [number, string] {
  return [timestamps[at] / 1000, valueText(values[at])];
}

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
    if (error instanceof MetricstorError) {
      const { errorType } = error.kind;
      return { status: 'error', errorType, error: error.message };
    }
    throw error;
  }
}

function toData(session: MemorySession, result: QueryOutcome['result']): unknown {
  const resultType = result.type;
  if (result.type === 'scalar' || result.type === 'string') {
    const text = result.type === 'scalar' ? valueText(result.values[0]) : result.value;
    return { resultType, result: [result.timestampMs / 1000, text] };
  }
  const { labels, timestamps, values } = result;
  const list = Array.from({ length: labels.count }, (_, i) => {
    const metric = Object.fromEntries(session.pairs(labels, i));
    if (result.type === 'vector') {
      return { metric, value: point(timestamps, values, i) };
    }
    const points: [number, string][] = [];
    for (let at = result.offsets[i]; at < result.offsets[i + 1]; at++) {
      points.push(point(timestamps, values, at));
    }
    return { metric, values: points };
  });
  return { resultType, result: list };
}

/** @file Answers as the HTTP API would, from the evaluator over a store in memory. */
import { MetricstorError } from '../../src/errors.js';
import type { MatrixResult, QueryResult, VectorResult } from '../../src/model/result.js';
import { PromqlEngine, type QueryOutcome } from '../../src/promql/engine.js';
import { formatFloat } from '../../src/promql/format-float.js';
import type { RecordedSeries } from '../conformance/recorded/dataset.js';
import type { InstantCase, RangeCase } from '../conformance/recorded/expressions.js';
import type { ApiEnvelope } from './compare-results.js';
import { MemoryQuerier, type MemorySession } from './memory-querier.js';

const queryTimeoutMs = 30_000;

/** What `POST /api/v1/query` and `query_range` would answer over one data set. */
export class MemoryApi {
  private readonly querier = new MemoryQuerier();
  private readonly engine = new PromqlEngine({
    lookbackMs: 300_000,
    subqueryStepMs: 60_000,
    limits: { maxSamples: 50_000_000, maxPoints: 10_000_000, maxBytes: 2 ** 30 },
    delayedNames: false,
  });

  constructor(dataset: readonly RecordedSeries[]) {
    for (const { labels, timestamps, values } of dataset) {
      this.querier.addColumns(Object.fromEntries(labels), timestamps, values);
    }
  }

  ask(one: InstantCase | RangeCase): ApiEnvelope {
    const session = this.querier.openSession();
    try {
      return successEnvelope(session, this.evaluate(session, one));
    } catch (error) {
      if (error instanceof MetricstorError) {
        return { status: 'error', errorType: error.kind.errorType, error: error.message };
      }
      throw error;
    }
  }

  private evaluate(session: MemorySession, one: InstantCase | RangeCase): QueryOutcome {
    const deadlineMs = Date.now() + queryTimeoutMs;
    return one.kind === 'instant'
      ? this.engine.instant(session, { ...one, deadlineMs })
      : this.engine.range(session, { ...one, deadlineMs });
  }
}

function successEnvelope(session: MemorySession, outcome: QueryOutcome): ApiEnvelope {
  const { warnings, infos } = outcome.annotations;
  return {
    status: 'success',
    data: queryData(session, outcome.result),
    ...(warnings.length > 0 ? { warnings } : {}),
    ...(infos.length > 0 ? { infos } : {}),
  };
}

type Point = [number, string];

function queryData(session: MemorySession, result: QueryResult): unknown {
  switch (result.type) {
    case 'scalar': {
      const point: Point = [result.timestampMs / 1000, formatFloat(result.values[0])];
      return { resultType: 'scalar', result: point };
    }
    case 'string':
      return { resultType: 'string', result: [result.timestampMs / 1000, result.value] };
    case 'vector':
      return { resultType: 'vector', result: vectorSeries(session, result) };
    case 'matrix':
      return { resultType: 'matrix', result: matrixSeries(session, result) };
  }
}

function metricOf(session: MemorySession, result: VectorResult | MatrixResult, i: number): object {
  return Object.fromEntries(session.pairs(result.labels, i));
}

function pointAt(result: VectorResult | MatrixResult, i: number): Point {
  return [result.timestamps[i] / 1000, formatFloat(result.values[i])];
}

function vectorSeries(session: MemorySession, result: VectorResult): unknown[] {
  return Array.from({ length: result.labels.count }, (_, i) => ({
    metric: metricOf(session, result, i),
    value: pointAt(result, i),
  }));
}

function matrixSeries(session: MemorySession, result: MatrixResult): unknown[] {
  return Array.from({ length: result.labels.count }, (_, i) => {
    const points = result.offsets[i + 1] - result.offsets[i];
    const values = Array.from({ length: points }, (_, k) => pointAt(result, result.offsets[i] + k));
    return { metric: metricOf(session, result, i), values };
  });
}

/**
 * @file The `stats` of an answer, as Prometheus shows them, and its warning for values of the
 * parameter that it does not know (3.14, `util/stats/query_stats.go`, `web/api/v1/api.go`).
 *
 * `stats=all` has the samples of each step, as a Prometheus with `promql-per-step-stats`.
 */
import { type QueryStatistics, sumOf } from '../promql/engine.js';
import { goQuote } from '../promql/position.js';
import type { QueryAnswer } from '../query/service.js';

/** The warning for a value of `stats`; undefined for those that are documented. */
export function statsWarning(stats: string): string | undefined {
  if (['', 'true', 'all'].includes(stats)) {
    return undefined;
  }
  const text = 'is deprecated and will be rejected in the next major release, use "true" or "all"';
  return `value ${goQuote(stats)} for parameter "stats" ${text}`;
}

/** The member `stats` as JSON text. */
export function statsJson(answer: QueryAnswer, { times, counts, steps }: QueryStatistics): string {
  const { prepareMs, evaluateMs, sortMs } = times;
  const queueMs = answer.queueMs ?? 0;
  const totalMs = prepareMs + evaluateMs + sortMs;
  const perStep = (column: Float64Array): readonly (readonly [number, number])[] =>
    Array.from(column, (count, k) => [
      ((steps?.startMs ?? 0) + k * (steps?.stepMs ?? 0)) / 1000,
      count,
    ]);
  return JSON.stringify({
    timings: {
      evalTotalTime: totalMs / 1000,
      resultSortTime: sortMs / 1000,
      queryPreparationTime: prepareMs / 1000,
      innerEvalTime: evaluateMs / 1000,
      execQueueTime: queueMs / 1000,
      execTotalTime: (queueMs + totalMs) / 1000,
    },
    samples: {
      ...(steps && { totalQueryableSamplesPerStep: perStep(counts.total) }),
      totalQueryableSamples: sumOf(counts.total),
      ...(steps && { samplesReadPerStep: perStep(counts.read) }),
      samplesRead: sumOf(counts.read),
      peakSamples: answer.stats?.peakPoints ?? 0,
    },
  });
}

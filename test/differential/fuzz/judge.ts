/**
 * @file Whether two answers to a random query agree, and every reason why they may not.
 */
import {
  type ApiEnvelope,
  compareAnswers,
  type Difference,
} from '../../support/compare-results.js';

/**
 * Without what Prometheus doubles: it merges the annotation of a repair into itself every step, so
 * its count of samples is not that of the samples.
 */
function withoutRepairCount(answer: ApiEnvelope): ApiEnvelope {
  const infos = answer.infos?.map((info) => info.replace(/over \d+ samples/, 'over some samples'));
  return infos === undefined ? answer : { ...answer, infos };
}

/**
 * Inside of these Prometheus reads histograms without their buckets, and so sees no mismatch of
 * buckets to annotate.
 */
const withoutBuckets = /histogram_(count|sum|avg)\(/;

/** The differences that have no reason. */
export function unexplained(query: string, want: ApiEnvelope, got: ApiEnvelope): Difference[] {
  const differences = compareAnswers(withoutRepairCount(want), withoutRepairCount(got));
  return differences.filter(({ aspect }) => {
    if (aspect === 'error') {
      return false;
    }
    return !(aspect === 'annotations' && withoutBuckets.test(query));
  });
}

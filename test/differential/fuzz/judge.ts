/**
 * @file Whether two answers to a random query agree, and every reason why they may not.
 */
import {
  type ApiEnvelope,
  compareAnswers,
  type Difference,
} from '../../support/compare-results.js';

/** A way in which metricstor answers otherwise; the README lists those that users may meet. */
interface Reason {
  readonly text: string;
  readonly explains: (query: string, difference: Difference, got: ApiEnvelope) => boolean;
}

const reasons: readonly Reason[] = [
  {
    text: 'the wording of execution errors may differ, their type may not',
    explains: (_query, { aspect }) => aspect === 'error',
  },
  {
    text: 'Prometheus reads histograms without buckets inside of these: other warnings and resets',
    explains: (query, { aspect }) =>
      /histogram_(count|sum|avg)\(/.test(query) &&
      (aspect === 'annotations' ||
        (aspect === 'value' && /smoothed|anchored|(rate|increase)\(nhg/.test(query))),
  },
  {
    text: 'Prometheus keeps empty buckets for others of a chunk: multiplied, negated, interpolated',
    explains: (query, { aspect, message }) =>
      aspect === 'value' &&
      (/"NaN"\]/.test(message) || /resets\(.*-|(quantiles?|fraction)\((.*smoothed|-)/.test(query)),
  },
  {
    text: 'Prometheus merges a float and a histogram of one time into a series without a name',
    explains: (query, { aspect }, got) =>
      aspect === 'status' &&
      /__name__[=!]~|label_replace/.test(query) &&
      /same labelset$/.test(got.error ?? ''),
  },
  {
    text: 'the spread of numbers that are all but equal is what rounding left of them',
    explains: (query, { aspect, message }) =>
      aspect === 'value' &&
      /std(dev|var)/.test(query) &&
      /(got 0|e-(1[2-9]|[2-9]\d))$/.test(message),
  },
  {
    text: 'the last digit of a large number turns its sine, or what is left of a division, around',
    explains: (query, { aspect }) =>
      aspect === 'value' &&
      /(sin|cos|tan)\(.*(exp|sinh|cosh|\^|\*)|%.*\^|\^.*%|exp\(.*%/.test(query),
  },
  {
    text: 'Prometheus evaluates a subquery with @ in predict_linear at times that nobody looks at',
    explains: (query, { aspect }) =>
      aspect === 'annotations' && /predict_linear\(.*\[[^\]]*:[^\]]*\][^\]]* @/.test(query),
  },
  {
    text: 'the difference of angles that are all but equal is what rounding left of them',
    explains: (query, { aspect, message }) =>
      aspect === 'value' && /delta\(.*atan2/.test(query) && /e-1[4-9]$/.test(message),
  },
  {
    text: 'Prometheus reads info series no further back than the first argument reads its own',
    explains: (query, { aspect }) => aspect === 'series' && /info\(\w+_over_time\(/.test(query),
  },
  {
    text: 'Prometheus forgets the offset of a selector with @ inside of timestamp()',
    explains: (query) => /timestamp\(+[^()]*( offset [^@()]+@| @ \S+ offset )/.test(query),
  },
];

/**
 * Without what Prometheus doubles: it merges the annotation of a repair into itself every step, so
 * its count of samples is not that of the samples.
 */
function withoutRepairCount(answer: ApiEnvelope): ApiEnvelope {
  const infos = answer.infos?.map((info) => info.replace(/over -?\d+ samples/, 'over samples'));
  return infos === undefined ? answer : { ...answer, infos };
}

/** Of several metrics that do not go together, the order of series decides which one is named. */
function withoutMixedName(answer: ApiEnvelope): ApiEnvelope {
  const warnings = answer.warnings?.map((text) =>
    text.replace(/(buckets schemas) for metric name "\w+"/, '$1'),
  );
  return warnings === undefined ? answer : { ...answer, warnings: [...new Set(warnings)] };
}

function comparable(answer: ApiEnvelope): ApiEnvelope {
  return withoutMixedName(withoutRepairCount(answer));
}

/** The spread of large numbers has few digits, which depend on the order of series. */
function toleranceOf(query: string): number {
  return /std(dev|var)/.test(query) ? 1e-6 : 1e-9;
}

/** The differences that have no reason. */
export function unexplained(query: string, want: ApiEnvelope, got: ApiEnvelope): Difference[] {
  const options = { tolerance: toleranceOf(query) };
  return compareAnswers(comparable(want), comparable(got), options).filter(
    (difference) => !reasons.some(({ explains }) => explains(query, difference, got)),
  );
}

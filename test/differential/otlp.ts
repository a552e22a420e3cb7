/**
 * @file Sends samples with start timestamps to a real Prometheus: by OTLP in its JSON form, since
 * its receiver of remote_write (3.14) drops them. `scriptSetup` has the flags that store them.
 */
import type { WriteStarted } from '../conformance/script/http-target.js';
import type { HistogramSeries, WireHistogram } from '../support/histogram-wire.js';

const noRecordedValue = 1;
const cumulative = 2;

const nanos = (ms: number): string => String(BigInt(ms) * 1_000_000n);

function attributesOf({ labels }: HistogramSeries): unknown[] {
  const pairs = Object.entries(labels).filter(([name]) => name !== '__name__');
  return pairs.map(([key, value]) => ({ key, value: { stringValue: value } }));
}

function timesOf(timeMs: number, startMs: number | undefined): object {
  return { timeUnixNano: nanos(timeMs), startTimeUnixNano: nanos(startMs ?? 0) };
}

/** OTLP numbers buckets from one less, and all of a side follow one another. */
function sideOf(
  spans: WireHistogram['positiveSpans'] = [],
  counts: readonly number[] = [],
): object {
  if (spans.length > 1) {
    throw new RangeError('a histogram with a start timestamp has one span a side');
  }
  return { offset: (spans[0]?.[0] ?? 0) - 1, bucketCounts: counts.map(String) };
}

function pointOf(histogram: WireHistogram): object {
  const { schema, sum, count, zeroCount = 0, zeroThreshold = 0, bounds = [] } = histogram;
  const plain = histogram.integer && bounds.length === 0 && zeroCount + zeroThreshold === 0;
  if (!plain || (histogram.hint ?? 0) !== 0 || typeof sum !== 'number') {
    throw new RangeError('OTLP has no such histogram as a sample with a start timestamp');
  }
  return {
    ...timesOf(histogram.timestamp, histogram.start),
    scale: schema,
    sum,
    count: String(count),
    positive: sideOf(histogram.positiveSpans, histogram.positive),
    negative: sideOf(histogram.negativeSpans, histogram.negative),
  };
}

/** A metric a sample, in the order of time. */
function metricsOf(series: HistogramSeries): unknown[] {
  const { labels, floats = [], histograms = [] } = series;
  const attributes = attributesOf(series);
  const numbers = floats.map(([timeMs, value, start]) => {
    const said = value === 'stale' ? { flags: noRecordedValue } : { asDouble: value };
    const dataPoints = [{ attributes, ...timesOf(timeMs, start), ...said }];
    return { timeMs, metric: { name: labels.__name__, gauge: { dataPoints } } };
  });
  const buckets = histograms.map((histogram) => {
    const dataPoints = [{ attributes, ...pointOf(histogram) }];
    const exponentialHistogram = { aggregationTemporality: cumulative, dataPoints };
    return { timeMs: histogram.timestamp, metric: { name: labels.__name__, exponentialHistogram } };
  });
  const inOrder = [...numbers, ...buckets].sort((a, b) => a.timeMs - b.timeMs);
  return inOrder.map(({ metric }) => metric);
}

/** Sends series with start timestamps. */
export const writeOtlp: WriteStarted = async (url, series) => {
  const metrics = series.flatMap(metricsOf);
  const answer = await fetch(`${url}/api/v1/otlp/v1/metrics`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] }),
  });
  if (!answer.ok) {
    throw new Error(`OTLP was answered ${answer.status}: ${await answer.text()}`);
  }
};

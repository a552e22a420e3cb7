/**
 * @file `rate`, `increase` and `delta` of `anchored` and `smoothed` ranges of native histograms.
 *
 * Follows `extendedHistogramRate` and `correctForCounterResetsHistogram` in Prometheus'
 * `promql/functions.go` (3.14).
 */
import { customSchema, type Histogram, place, resetHint } from '../../model/histogram.js';
import type { HistogramWindow } from '../exec/histogram-window.js';
import { type HistogramPoint, interpolateHistograms } from '../histogram/interpolate.js';
import { isReset } from '../histogram/reset.js';
import { HistogramTally } from '../histogram/tally.js';
import type { Edges } from '../plan.js';
import { type EdgedWindow, type Extent, extentOf } from './edges.js';
import type { RateKind, RateNote } from './histogram-rate.js';

type Tell = (note: RateNote) => void;

/** A window, and how it is looked at. */
interface Range extends EdgedWindow {
  readonly histograms: readonly Histogram[];
  readonly smoothed: boolean;
  readonly counter: boolean;
}

/** The value of a window; undefined for none, or for histograms that do not fit. */
export function edgedHistogramRate(
  { counter, perSecond }: RateKind,
  edges: Edges,
  window: HistogramWindow,
  tell: Tell,
): Histogram | undefined {
  const smoothed = edges.kind === 'smoothed';
  // What the outer window has behind its range.
  const endMs = window.endMs - (edges.outer.firstEndMs - edges.inner.firstEndMs);
  const startMs = endMs - edges.inner.rangeMs;
  const range: Range = { ...window, startMs, endMs, smoothed, counter };
  const extent = extentOf(range, smoothed);
  if (extent === undefined || !belongTogether(range, extent, tell)) {
    return undefined;
  }
  const ends = endsOf(range, extent, tell);
  if (ends === undefined) {
    return undefined;
  }
  const { left, right } = ends;
  if (!counter && (!isGauge(left) || !isGauge(right))) {
    tell('notAGauge');
  }
  const result = new HistogramTally(right);
  if (result.add(left, -1)?.reconciled) {
    tell('boundsSubtracted');
  }
  const lost = counter ? resetsOf(range, extent, left, right, tell) : undefined;
  if (lost !== undefined && result.add(lost, 1)?.reconciled) {
    tell('boundsAdded');
  }
  if (perSecond) {
    result.divide(edges.inner.rangeMs / 1000);
  }
  return result.pack(resetHint.gauge);
}

function isGauge(histogram: Histogram): boolean {
  return histogram[place.hint] === resetHint.gauge;
}

/** Whether all histograms have one kind of buckets; a gauge among them is told of. */
function belongTogether(
  { histograms, counter }: Range,
  { first, last }: Extent,
  tell: Tell,
): boolean {
  const custom = histograms[first][place.schema] === customSchema;
  for (let i = first; i <= last; i++) {
    if ((histograms[i][place.schema] === customSchema) !== custom) {
      tell('mixedSchemas');
      return false;
    }
    if (counter && isGauge(histograms[i])) {
      tell('notACounter');
    }
  }
  return true;
}

/** The histograms at both edges. */
function endsOf(
  range: Range,
  { first, last }: Extent,
  tell: Tell,
): { readonly left: Histogram; readonly right: Histogram } | undefined {
  const { times, histograms, low, startMs, endMs, smoothed, counter } = range;
  const point = (i: number): HistogramPoint => ({ timeMs: times[i], histogram: histograms[i] });
  const at = (i: number, timeMs: number): Histogram | undefined =>
    interpolateHistograms(point(i), point(i + 1), timeMs, counter, tell);
  const left = smoothed && times[first] < startMs ? at(first, startMs) : histograms[first];
  const right =
    smoothed && last > low && times[last] > endMs ? at(last - 1, endMs) : histograms[last];
  return left === undefined || right === undefined ? undefined : { left, right };
}

/** What the counter lost by resets inside of the range; undefined for nothing. */
function resetsOf(
  { times, histograms, startMs, smoothed }: Range,
  { first, last }: Extent,
  left: Histogram,
  right: Histogram,
  tell: Tell,
): Histogram | undefined {
  let from = first + 1;
  let previous = left;
  if (smoothed && times[first] < startMs && isReset(histograms[from], histograms[first])) {
    // The left edge lies within that reset, which is reckoned with there.
    previous = histograms[from];
    from++;
  }
  if (from > last) {
    return undefined;
  }
  let lost: HistogramTally | undefined;
  const lose = (histogram: Histogram): void => {
    if (lost === undefined) {
      lost = new HistogramTally(histogram);
    } else if (lost.add(histogram, 1)?.reconciled) {
      tell('boundsAdded');
    }
  };
  for (let i = from; i < last; i++) {
    if (isReset(histograms[i], previous)) {
      lose(previous);
    }
    previous = histograms[i];
  }
  if (isReset(right, previous)) {
    lose(previous);
  }
  return lost?.pack();
}

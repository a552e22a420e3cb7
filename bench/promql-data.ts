/**
 * @file The samples that `promql.ts` asks: a day of a small fleet, seeded, in memory.
 *
 * | metric | series | what |
 * |---|---|---|
 * | `requests_total` | 400 | counters that are reset now and then |
 * | `temperature` | 400 | gauges of many digits |
 * | `target_info` | 50 | a 1 for each host, with a label of its own |
 * | `latency_seconds_bucket` | 480 | classic histograms of 12 buckets |
 * | `latency_seconds` | 40 | native histograms of 20 buckets, a sample a minute |
 */
import { type Histogram, headerLength, place, resetHint } from '../src/model/histogram.js';
import { MemoryQuerier } from '../test/support/memory-querier.js';

export const hourMs = 3_600_000;
/** Samples are so far apart, but for native histograms. */
const intervalMs = 15_000;
const sparseMs = 60_000;
const hours = 24;
const targets = 400;
const hosts = 50;
const histograms = 40;
const bounds = ['0.005', '0.01', '0.025', '0.05', '0.1', '0.25', '0.5', '1', '2.5', '5', '10'];
const nativeBuckets = 20;

/** Numbers in [0, 1), the same ones every time. */
function randomNumbers(): () => number {
  let seed = 1;
  return () => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed / 0x80000000;
  };
}

/** Times of one target, whose scrapes begin at a moment of their own. */
function timesOf(everyMs: number, random: () => number): Float64Array {
  const first = Math.floor(random() * everyMs);
  return Float64Array.from({ length: (hours * hourMs) / everyMs }, (_, k) => first + k * everyMs);
}

/** All of the series above. */
export function filledQuerier(): MemoryQuerier {
  const querier = new MemoryQuerier();
  const random = randomNumbers();
  for (let i = 0; i < targets; i++) {
    const times = timesOf(intervalMs, random);
    const host = `host-${i % hosts}`;
    const labels = {
      job: `job-${i % 8}`,
      instance: `${host}:${9100 + i}`,
      host,
      region: `r-${i % 3}`,
    };
    let total = 0;
    const counter = times.map(() => {
      total = random() < 0.0005 ? 0 : total + Math.floor(random() * 100);
      return total;
    });
    querier.addColumns({ ...labels, __name__: 'requests_total' }, times, counter);
    const gauge = times.map(() => random() * 100);
    querier.addColumns({ ...labels, __name__: 'temperature' }, times, gauge);
    if (i < hosts) {
      const identity = { job: labels.job, instance: labels.instance, version: `1.${i % 4}` };
      querier.addColumns(
        { ...identity, __name__: 'target_info' },
        times,
        times.map(() => 1),
      );
    }
  }
  for (let i = 0; i < histograms; i++) {
    addClassic(querier, i, random);
    addNative(querier, i, random);
  }
  return querier;
}

function histogramLabels(i: number): Readonly<Record<string, string>> {
  return { job: `job-${i % 8}`, instance: `host-${i}:9100` };
}

function addClassic(querier: MemoryQuerier, i: number, random: () => number): void {
  const times = timesOf(intervalMs, random);
  const cumulative = new Float64Array(times.length);
  for (const le of [...bounds, '+Inf']) {
    let total = 0;
    for (let k = 0; k < times.length; k++) {
      total += Math.floor(random() * 10);
      cumulative[k] += total;
    }
    const labels = { ...histogramLabels(i), le, __name__: 'latency_seconds_bucket' };
    querier.addColumns(labels, times, cumulative.slice());
  }
}

function addNative(querier: MemoryQuerier, i: number, random: () => number): void {
  const timestamps = timesOf(sparseMs, random);
  const values = new Float64Array(timestamps.length);
  const counts = new Float64Array(nativeBuckets);
  const cells: Histogram[] = [];
  for (let k = 0; k < timestamps.length; k++) {
    const histogram = new Float64Array(headerLength + 2 + nativeBuckets);
    for (let b = 0; b < nativeBuckets; b++) {
      counts[b] += Math.floor(random() * 10);
      histogram[place.count] += counts[b];
    }
    histogram[place.schema] = 3;
    histogram[place.hint] = k === 0 ? resetHint.unknown : resetHint.noReset;
    histogram[place.zeroThreshold] = 1e-9;
    histogram[place.sum] = histogram[place.count] * 0.3;
    histogram[place.positiveSpans] = 1;
    histogram.set([-nativeBuckets, nativeBuckets], headerLength);
    histogram.set(counts, headerLength + 2);
    values[k] = histogram[place.sum];
    cells.push(histogram);
  }
  const labels = { ...histogramLabels(i), __name__: 'latency_seconds' };
  querier.addSeries({ labels, timestamps, values, histograms: cells });
}

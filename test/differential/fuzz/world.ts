/**
 * @file Seeded random samples for random queries: counters with resets, gauges, classic and native
 * histograms, with gaps, stale markers, NaN, jitter, and samples that are written late.
 *
 * Series are made and written in the order of their labels: where an answer of Prometheus depends
 * on the order of series, as annotations do, that order is then also metricstor's.
 */
import type { HistogramSeries, WireHistogram } from '../../support/histogram-wire.js';
import { type Random, seededRandom } from '../series-draft.js';
import { histogramFamilies } from './world-histograms.js';

export const worldStartMs = 1_700_000_000_000;
const minute = 60_000;
export const worldLengthMs = 100 * minute;

export type Labels = Readonly<Record<string, string>>;
type Value = number | 'stale' | WireHistogram;

/** What the families of series are made with. */
export class WorldMaker {
  readonly series: { labels: Labels; samples: (readonly [number, Value])[]; late: boolean }[] = [];

  constructor(readonly random: Random) {}

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)];
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  /** Whole numbers from 0 to `below`, without it. */
  whole(below: number): number {
    return Math.floor(this.random() * below);
  }

  /**
   * Adds a series whose samples `valueAt` gives by number and time, undefined for none; with the
   * gaps and stale markers of a scrape that fails at times.
   */
  add(labels: Labels, valueAt: (n: number, timeMs: number) => Value | undefined): void {
    const intervalMs = this.pick([15_000, 30_000, 30_000, 60_000]);
    const jitterMs = this.chance(0.4) ? 900 : 0;
    const gaps = this.chance(0.35);
    const ends = this.chance(0.15);
    const samples: (readonly [number, Value])[] = [];
    let silentUntil = -1;
    const firstMs = this.chance(0.2) ? this.whole(40) * minute : this.whole(intervalMs);
    const lastMs = this.chance(0.2) ? worldLengthMs / 2 : worldLengthMs;
    for (let t = firstMs, n = 0; t < lastMs; t += intervalMs, n++) {
      const timeMs = worldStartMs + t + (jitterMs > 0 ? this.whole(jitterMs) : 0);
      const value = valueAt(n, timeMs);
      if (t < silentUntil || value === undefined) {
        continue;
      }
      if (gaps && this.chance(0.03)) {
        silentUntil = t + (1 + this.whole(12)) * minute;
        if (ends) {
          samples.push([timeMs, 'stale']);
        }
        continue;
      }
      samples.push([timeMs, value]);
    }
    this.series.push({ labels, samples, late: this.chance(0.15) });
  }
}

/** A counter: grows, and now and then starts anew. */
function counter(maker: WorldMaker, speed: number): (n: number) => number {
  const resets = maker.pick([0, 0, 0.01, 0.05]);
  const whole = maker.chance(0.5);
  let total = maker.chance(0.5) ? 0 : maker.whole(1000);
  return () => {
    if (maker.chance(resets)) {
      total = maker.whole(3);
    } else {
      total += whole ? maker.whole(speed) : Math.round(maker.random() * speed * 1000) / 1000;
    }
    return total;
  };
}

const jobs = ['api', 'db', 'web'];
const instances = ['a:1', 'b:1', 'c:1'];

function counters(maker: WorldMaker): void {
  for (const job of jobs.slice(0, 2)) {
    for (const instance of instances) {
      for (const code of ['200', '500']) {
        maker.add({ __name__: 'reqs_total', job, instance, code }, counter(maker, 50));
      }
      maker.add({ __name__: 'cpu_seconds_total', job, instance }, counter(maker, 9));
    }
  }
}

function gauges(maker: WorldMaker): void {
  for (const job of jobs) {
    for (const instance of instances) {
      let level = maker.random() * 20 - 5;
      maker.add({ __name__: 'level', job, instance }, () => {
        level += maker.random() * 4 - 2;
        return Math.round(level * 1e6) / 1e6;
      });
      maker.add({ __name__: 'up', job, instance }, () => (maker.chance(0.9) ? 1 : 0));
    }
  }
  const odd = [NaN, Infinity, -Infinity, 0, -0, 1, -2.5, 1e-9, 3, 7, 1e15];
  for (const kind of ['nan', 'inf', 'any']) {
    maker.add({ __name__: 'odd', kind, job: 'api' }, (n) => {
      const some = kind === 'nan' ? NaN : kind === 'inf' ? Infinity : maker.pick(odd);
      return maker.chance(0.3) ? some : n % 7;
    });
  }
  for (const [id, zone] of [
    ['1', 'x'],
    ['2', 'x'],
    ['3', 'y'],
    ['4', ''],
  ]) {
    maker.add({ __name__: 'left', id, zone }, () => maker.whole(9) - 3);
    maker.add({ __name__: 'right', id, zone, owner: maker.pick(['ann', 'bob']) }, () =>
      maker.whole(5),
    );
  }
  for (const service of ['ünï', '漢字']) {
    maker.add({ __name__: 'http.server.duration', 'service.name': service }, () => maker.whole(40));
  }
}

function infos(maker: WorldMaker): void {
  for (const job of jobs) {
    for (const instance of instances.slice(0, 2)) {
      const changes = maker.whole(100);
      for (const version of ['1.0', '2.0']) {
        maker.add({ __name__: 'target_info', job, instance, version, region: 'eu' }, (n) =>
          n < changes === (version === '1.0') ? 1 : undefined,
        );
      }
    }
    maker.add({ __name__: 'build_info', job, instance: 'a:1', commit: 'c0ffee' }, () => 1);
  }
}

function classicHistograms(maker: WorldMaker): void {
  const bounds = ['0.1', '0.5', '1', '2.5', '+Inf'];
  for (const job of jobs.slice(0, 2)) {
    const counts = bounds.map(() => 0);
    // All buckets see the same scrapes, as those of one target do.
    const shared = new WorldMaker(maker.random);
    const seed = maker.whole(2 ** 31);
    bounds.forEach((le, i) => {
      const same = new WorldMaker(seededRandom(seed));
      const grow = counter(new WorldMaker(seededRandom(seed + 1)), 5);
      same.add({ __name__: 'lat_bucket', job, le }, (n) => {
        counts[i] = grow(n) * (i + 1);
        return maker.chance(0.01) ? counts[i] - 1 : counts[i];
      });
      shared.series.push(...same.series);
    });
    maker.series.push(...shared.series);
    maker.add({ __name__: 'lat_count', job }, counter(maker, 25));
    maker.add({ __name__: 'lat_sum', job }, counter(maker, 12));
  }
}

/** The samples of a world, as the requests that write them. */
export function makeWorld(seed: number): HistogramSeries[][] {
  const maker = new WorldMaker(seededRandom(seed));
  for (const family of [counters, gauges, infos, classicHistograms, histogramFamilies]) {
    family(maker);
  }
  const key = (labels: Labels): string => {
    const pairs = Object.entries(labels).filter(([, value]) => value !== '');
    return pairs
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${name}\u0000${value}`)
      .join('\u0001');
  };
  const sorted = [...maker.series].sort((a, b) => (key(a.labels) < key(b.labels) ? -1 : 1));
  const middle = worldStartMs + worldLengthMs / 2;
  // The first half of a late series is written after its second.
  const parts = [
    sorted.map((one) => wire(one.labels, one.samples, (t) => !one.late || t >= middle)),
    sorted.map((one) => wire(one.labels, one.samples, (t) => one.late && t < middle)),
  ];
  return parts.map((part) =>
    part.filter(({ floats = [], histograms = [] }) => floats.length + histograms.length > 0),
  );
}

function wire(
  labels: Labels,
  samples: readonly (readonly [number, Value])[],
  has: (timeMs: number) => boolean,
): HistogramSeries {
  const chosen = samples.filter(([timeMs]) => has(timeMs));
  const plain = Object.entries(labels).filter(([, value]) => value !== '');
  return {
    labels: Object.fromEntries(plain),
    floats: chosen.flatMap(([timeMs, value]) =>
      typeof value === 'object' ? [] : [[timeMs, value] as const],
    ),
    histograms: chosen.flatMap(([timestamp, value]) =>
      typeof value === 'object' ? [{ ...value, timestamp }] : [],
    ),
  };
}

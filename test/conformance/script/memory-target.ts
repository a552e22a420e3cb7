/** @file Scripts against the evaluator over a store in memory. */
import type { Histogram } from '../../../src/model/histogram.js';
import { defaultFeatures } from '../../../src/model/promql-features.js';
import { PromqlEngine } from '../../../src/promql/engine.js';
import { toEnvelope } from '../../support/envelope.js';
import { MemoryQuerier, staleMarker } from '../../support/memory-querier.js';
import { keyOf } from './compare.js';
import { packHistogram } from './histogram.js';
import type { Evaluation, Load } from './parse.js';
import type { Point } from './points.js';
import type { StartTarget } from './run.js';

interface Samples {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: Map<number, Point>;
  readonly starts: Map<number, number>;
}

/** An evaluator without data. */
export const startMemoryTarget: StartTarget = (features) => {
  const series = new Map<string, Samples>();
  let querier = new MemoryQuerier();
  const engine = new PromqlEngine({
    lookbackMs: 300_000,
    subqueryStepMs: 60_000,
    limits: { maxSamples: 10_000_000, maxBytes: 2 ** 30, maxPoints: 10_000_000 },
    features: [...defaultFeatures, ...features],
  });
  return Promise.resolve({
    load: ({ stepMs, series: loaded }: Load) => {
      for (const { labels, points, starts } of loaded) {
        const key = keyOf(labels);
        const samples: Samples = series.get(key) ?? {
          labels,
          points: new Map(),
          starts: new Map(),
        };
        series.set(key, samples);
        points.forEach((point, k) => {
          if (point !== undefined) {
            const timeMs = k * stepMs;
            const start = starts?.[k];
            samples.points.set(timeMs, point);
            samples.starts.set(timeMs, start === undefined ? 0 : timeMs + start);
          }
        });
      }
      querier = querierOf([...series.values()]);
      return Promise.resolve();
    },
    ask: ({ query, range, timeMs }: Evaluation) => {
      const session = querier.openSession();
      const deadlineMs = Date.now() + 20_000;
      const envelope = toEnvelope(session, () =>
        range === undefined
          ? engine.instant(session, { query, timeMs, deadlineMs })
          : engine.range(session, { query, ...range, deadlineMs }),
      );
      return Promise.resolve(envelope);
    },
    stop: () => Promise.resolve(),
  });
};

function querierOf(all: readonly Samples[]): MemoryQuerier {
  const querier = new MemoryQuerier();
  for (const { labels, points, starts: said } of all) {
    const samples = [...points].sort(([a], [b]) => a - b);
    if (samples.length === 0) {
      continue;
    }
    const values = new Float64Array(samples.length);
    const histograms: (Histogram | undefined)[] = [];
    samples.forEach(([, point], k) => {
      if (typeof point === 'number') {
        values[k] = point;
      } else if (typeof point === 'object') {
        values[k] = point.sum;
        histograms[k] = packHistogram(point);
      } else {
        values.set(staleMarker, k);
      }
    });
    const timestamps = Float64Array.from(samples, ([time]) => time);
    const starts = timestamps.map((time) => said.get(time) ?? 0);
    querier.addSeries({ labels, timestamps, values, histograms, starts });
  }
  return querier;
}

/** @file Scripts over HTTP: data by remote_write, questions by the query API. */
import { RemoteWriteClient } from '../../../src/client/remote-write.js';
import type { ApiEnvelope } from '../../support/compare-results.js';
import { encodeHistograms, type HistogramSeries } from '../../support/histogram-wire.js';
import { wireHistogram } from './histogram.js';
import type { Evaluation, Load, ScriptSeries } from './parse.js';
import type { ScriptTarget } from './run.js';

/** A server that listens at `url`; `stop` ends it. */
export function httpTarget(url: string, stop: () => Promise<void>): ScriptTarget {
  const client = new RemoteWriteClient({ url });
  return {
    load: async ({ stepMs, series }: Load) => {
      const all = series.map((one) => wireSeries(one, stepMs)).filter(hasSamples);
      const answer = await client.writeBody(encodeHistograms(all));
      if (answer.status !== 204) {
        throw new Error(`the write was answered ${answer.status}: ${answer.body}`);
      }
    },
    ask: async (evaluation) => {
      const response = await fetch(`${url}/api/v1/${pathOf(evaluation)}`);
      return (await response.json()) as ApiEnvelope;
    },
    stop: async () => {
      client.close();
      await stop();
    },
  };
}

function hasSamples({ floats = [], histograms = [] }: HistogramSeries): boolean {
  return floats.length + histograms.length > 0;
}

function wireSeries({ labels, points }: ScriptSeries, stepMs: number): HistogramSeries {
  return {
    labels,
    floats: points.flatMap((point, k) =>
      typeof point === 'number' || point === 'stale' ? [[k * stepMs, point] as const] : [],
    ),
    histograms: points.flatMap((point, k) =>
      typeof point === 'object' ? [wireHistogram(point, k * stepMs)] : [],
    ),
  };
}

function pathOf({ query, range, timeMs }: Evaluation): string {
  const seconds = (ms: number): string => String(ms / 1000);
  if (range === undefined) {
    return `query?${new URLSearchParams({ query, time: seconds(timeMs) })}`;
  }
  const start = seconds(range.startMs);
  const times = { start, end: seconds(range.endMs), step: seconds(range.stepMs) };
  return `query_range?${new URLSearchParams({ query, ...times })}`;
}

/**
 * @file Scripts over HTTP: data by remote_write, questions by the query API. Series with start
 * timestamps go by a way of their own, which depends on the server.
 */
import { RemoteWriteClient, type WriteAnswer } from '../../../src/client/remote-write.js';
import type { ApiEnvelope } from '../../support/compare-results.js';
import {
  encodeHistograms,
  encodeStarted,
  type HistogramSeries,
  remoteWrite2,
} from '../../support/histogram-wire.js';
import { wireHistogram } from './histogram.js';
import type { Evaluation, Load, ScriptSeries } from './parse.js';
import type { ScriptTarget } from './run.js';

/** Writes series with start timestamps. */
export type WriteStarted = (url: string, series: readonly HistogramSeries[]) => Promise<void>;

/** As metricstor takes them: by remote_write 2.0. */
export const writeStarted: WriteStarted = async (url, series) => {
  const client = new RemoteWriteClient({ url });
  checkWritten(await client.writeBody(encodeStarted(series), remoteWrite2));
  client.close();
};

function checkWritten({ status, body }: WriteAnswer): void {
  if (status !== 204) {
    throw new Error(`the write was answered ${status}: ${body}`);
  }
}

/** A server that listens at `url`; `stop` ends it. */
export function httpTarget(
  url: string,
  stop: () => Promise<void>,
  started: WriteStarted = writeStarted,
): ScriptTarget {
  const client = new RemoteWriteClient({ url });
  return {
    load: async ({ stepMs, series }: Load) => {
      const all = series.filter(({ starts }) => starts === undefined);
      const plain = all.map((one) => wireSeries(one, stepMs)).filter(hasSamples);
      checkWritten(await client.writeBody(encodeHistograms(plain)));
      const others = series.filter(({ starts }) => starts !== undefined);
      if (others.length > 0) {
        await started(
          url,
          others.map((one) => wireSeries(one, stepMs)),
        );
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

function wireSeries({ labels, points, starts }: ScriptSeries, stepMs: number): HistogramSeries {
  const startOf = (k: number): number | undefined => {
    const offset = starts?.[k];
    return offset === undefined ? undefined : k * stepMs + offset;
  };
  return {
    labels,
    floats: points.flatMap((point, k) =>
      typeof point === 'number' || point === 'stale'
        ? [[k * stepMs, point, startOf(k)] as const]
        : [],
    ),
    histograms: points.flatMap((point, k) =>
      typeof point === 'object' ? [{ ...wireHistogram(point, k * stepMs), start: startOf(k) }] : [],
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

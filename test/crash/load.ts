/**
 * @file The load under which the server is killed: several writers whose timestamps run faster than
 * the clock, with late samples, backfill, rewritten timestamps and new series in every request mix;
 * floats by both versions of remote_write, with exemplars, native histograms, and deletes.
 */
import {
  type DescribedSeries,
  RemoteWriteClient,
  remoteWriteHeaders,
  type WireSeries,
  type WriteAnswer,
} from '../../src/client/remote-write.js';
import { encodeHistograms } from '../support/histogram-wire.js';
import { ask, histogramBits } from '../support/query.js';
import type { Random } from '../support/random.js';
import { bitsOf, seriesKey } from '../support/recording.js';
import type { AcknowledgedSamples, WrittenSample } from './model.js';

/** How the data's time runs: it starts days ago and each request moves it by seconds. */
export interface DataClock {
  nowMs: number;
}

const minuteMs = 60_000;
/** How far back a sample goes that is backfilled. */
const backfillMs = 20 * 60 * minuteMs;
/** How far back a late sample goes: across several flushed windows. */
const latestBackMs = 30 * minuteMs;
/** How many of its own samples a writer remembers for rewriting. */
const memory = 500;

/** An exemplar that the server acknowledged. */
export interface SentExemplar {
  readonly series: string;
  readonly timestamp: number;
  readonly trace: string;
}

interface Remembered {
  readonly labels: readonly (readonly [string, string])[];
  readonly timestamp: number;
}

/** One writer: its series are its own, so that its writes of a timestamp follow one another. */
export class CrashWriter {
  private readonly recent: Remembered[] = [];
  private seriesCount = 20;
  acknowledgedRequests = 0;
  refusedRequests = 0;
  acknowledgedDeletes = 0;
  acknowledgedHistograms = 0;
  readonly exemplars: SentExemplar[] = [];

  constructor(
    private readonly name: string,
    private readonly random: Random,
    private readonly clock: DataClock,
    private readonly model: AcknowledgedSamples,
  ) {}

  /** Writes until `stopped` says so or the server is gone. */
  async run(url: string, stopped: () => boolean): Promise<void> {
    const client = new RemoteWriteClient({ url, timeoutMs: 20_000 });
    try {
      while (!stopped()) {
        if (this.random.chance(0.05)) await this.delete(url);
        else if (this.random.chance(0.15)) await this.writeHistograms(client);
        else if (this.random.chance(0.3)) await this.writeDescribed(client);
        else {
          const { series, samples } = this.nextRequest();
          await this.send(samples, () => client.write(series));
        }
      }
    } catch (error) {
      // The kill closes connections; an answer that is neither 204 nor 503 is a failure.
      if (!isConnectionError(error)) throw error;
    } finally {
      client.close();
    }
  }

  /** Whether the server said that it has them. */
  private async send(
    samples: readonly WrittenSample[],
    request: () => Promise<WriteAnswer>,
  ): Promise<boolean> {
    this.model.sending(samples);
    const answer = await request();
    if (answer.status === 204) {
      this.model.acknowledge(samples);
      this.acknowledgedRequests++;
      return true;
    }
    if (answer.status !== 503) {
      throw new Error(`a write was answered ${answer.status}: ${answer.body}`);
    }
    this.refusedRequests++;
    return false;
  }

  /** By remote_write 2.0: the newest sample of each series has an exemplar. */
  private async writeDescribed(client: RemoteWriteClient): Promise<void> {
    const { series, samples } = this.nextRequest();
    // An exemplar behind a newer one of its series would be refused.
    const timestampMs = this.clock.nowMs;
    const trace = `${this.name}-${this.random.integer(0, 2 ** 31)}`;
    const described: DescribedSeries[] = series.map((one) => ({
      ...one,
      exemplars: [{ labels: [['trace_id', trace]], timestampMs, value: 1.5 }],
      metadata: { type: 'gauge', help: 'Under the kill.' },
    }));
    if (!(await this.send(samples, () => client.writeDescribed(described)))) return;
    for (const { labels } of series) {
      this.exemplars.push({ series: seriesKey(labels), timestamp: timestampMs, trace });
    }
  }

  private async writeHistograms(client: RemoteWriteClient): Promise<void> {
    const { random, clock } = this;
    clock.nowMs += random.integer(500, 4000);
    const labels = this.histogramLabels();
    const count = random.integer(1, 1000);
    const histogram = {
      timestamp: clock.nowMs - (random.chance(0.2) ? random.integer(1, latestBackMs) : 0),
      integer: random.chance(0.7),
      schema: random.integer(-2, 4),
      count,
      sum: random.next() * 1e6,
      positiveSpans: [[random.integer(-3, 3), 2]] as const,
      positive: [random.integer(0, count), 0],
    };
    histogram.positive[1] = count - histogram.positive[0];
    const { timestamp, sum } = histogram;
    const body = encodeHistograms([
      { labels: Object.fromEntries(labels), histograms: [histogram] },
    ]);
    const samples = [{ series: seriesKey(labels), timestamp, bits: histogramBits(count, sum) }];
    const sent = await this.send(samples, () => client.writeBody(body, remoteWriteHeaders));
    if (sent) this.acknowledgedHistograms++;
    this.recent[random.integer(0, memory - 1)] = { labels, timestamp };
  }

  /** Deletes one of its samples, and what the series has some minutes around it. */
  private async delete(url: string): Promise<void> {
    const { random } = this;
    const known = this.recent.filter((one) => one !== undefined);
    if (known.length === 0) return;
    const { labels, timestamp } = random.pick(known);
    // Whole seconds: that is what a time in the API says exactly.
    const second = Math.floor(timestamp / 1000) * 1000;
    const from = second - random.integer(0, 5) * minuteMs;
    const to = second + 1000 + random.integer(0, 5) * minuteMs;
    const series = seriesKey(labels);
    const matchers = labels.map(([name, value]) => `${name}="${value}"`);
    this.model.deleting(series, from, to);
    const form = {
      'match[]': `{${matchers.join(',')}}`,
      start: String(from / 1000),
      end: String(to / 1000),
    };
    const answer = await ask(`${url}/api/v1/admin/tsdb/delete_series`, { form });
    if (answer.status === 204) {
      this.model.acknowledgeDelete(series, from, to);
      this.acknowledgedDeletes++;
    } else if (answer.status !== 503) {
      throw new Error(`a delete was answered ${answer.status}: ${answer.text}`);
    }
  }

  private histogramLabels(): (readonly [string, string])[] {
    return [
      ['__name__', 'crash_histogram'],
      ['index', String(this.random.integer(0, 3))],
      ['writer', this.name],
    ];
  }

  private nextRequest(): { series: WireSeries[]; samples: WrittenSample[] } {
    const { random, clock } = this;
    clock.nowMs += random.integer(500, 4000);
    if (random.chance(0.2)) this.seriesCount += random.integer(1, 3);
    // Each timestamp of a series once in a request, and by label text.
    const points = new Map<string, { labels: Remembered['labels']; at: Map<number, number> }>();
    const add = (labels: Remembered['labels'], timestamp: number): void => {
      const key = seriesKey(labels);
      const entry = points.get(key) ?? { labels, at: new Map() };
      entry.at.set(timestamp, this.value());
      points.set(key, entry);
      this.recent[random.integer(0, memory - 1)] = { labels, timestamp };
    };
    for (let i = random.integer(5, 40); i > 0; i--) {
      const labels = this.labelsOf(random.integer(0, this.seriesCount - 1));
      const back = random.chance(0.2) ? backfillMs : latestBackMs;
      const late = random.chance(0.1) ? random.integer(1, back) : random.integer(0, 500);
      add(labels, clock.nowMs - late);
    }
    const known = this.recent.filter((one) => one !== undefined);
    for (let i = random.integer(0, 3); i > 0 && known.length > 0; i--) {
      const { labels, timestamp } = random.pick(known);
      add(labels, timestamp);
    }
    return toRequest([...points.values()]);
  }

  private labelsOf(index: number): (readonly [string, string])[] {
    return [
      ['__name__', `crash_${index % 7}`],
      ['index', String(index)],
      ['writer', this.name],
    ];
  }

  private value(): number {
    const { random } = this;
    const kinds = [
      () => random.integer(0, 1000),
      () => random.next() * 1e6,
      () => -0,
      () => Number.POSITIVE_INFINITY,
      () => 5e-324,
    ];
    return random.chance(0.9) ? kinds[random.integer(0, 1)]() : random.pick(kinds)();
  }
}

function toRequest(
  points: readonly { labels: Remembered['labels']; at: ReadonlyMap<number, number> }[],
): { series: WireSeries[]; samples: WrittenSample[] } {
  const series: WireSeries[] = [];
  const samples: WrittenSample[] = [];
  for (const { labels, at } of points) {
    const sorted = [...at].sort(([a], [b]) => a - b);
    series.push({
      labels,
      timestamps: Float64Array.from(sorted, ([timestamp]) => timestamp),
      values: Float64Array.from(sorted, ([, value]) => value),
    });
    const key = seriesKey(labels);
    for (const [timestamp, value] of sorted) {
      samples.push({ series: key, timestamp, bits: bitsOf(value) });
    }
  }
  return { series, samples };
}

function isConnectionError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return ['ECONNRESET', 'ECONNREFUSED', 'EPIPE'].includes(code);
}

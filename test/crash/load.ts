/**
 * @file The load under which the server is killed: several writers whose timestamps run faster than
 * the clock, with late samples, rewritten timestamps and new series in every request mix.
 */
import { RemoteWriteClient, type WireSeries } from '../../src/client/remote-write.js';
import type { Random } from '../support/random.js';
import { bitsOf, seriesKey } from '../support/recording.js';
import type { AcknowledgedSamples, WrittenSample } from './model.js';

/** How the data's time runs: it starts days ago and each request moves it by seconds. */
export interface DataClock {
  nowMs: number;
}

const minuteMs = 60_000;
/** How far back a late sample goes: across several flushed windows. */
const latestBackMs = 30 * minuteMs;
/** How many of its own samples a writer remembers for rewriting. */
const memory = 500;

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
        const { series, samples } = this.nextRequest();
        this.model.sending(samples);
        const answer = await client.write(series);
        if (answer.status === 204) {
          this.model.acknowledge(samples);
          this.acknowledgedRequests++;
        } else if (answer.status === 503) {
          this.refusedRequests++;
        } else {
          throw new Error(`a write was answered ${answer.status}: ${answer.body}`);
        }
      }
    } catch (error) {
      // The kill closes connections; an answer that is neither 204 nor 503 is a failure.
      if (!isConnectionError(error)) throw error;
    } finally {
      client.close();
    }
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
      const late = random.chance(0.1) ? random.integer(1, latestBackMs) : random.integer(0, 500);
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

/**
 * @file Disk, once more: pages that `record.ts` recorded, written to each contender as they came
 * (every second) and as fifteen agents a second apart would have sent them (every 15 s).
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import {
  encodeWriteRequest,
  RemoteWriteClient,
  type WireSeries,
} from '../src/client/remote-write.js';
import type { Contender } from './competitors.js';
import type { StorageResult } from './query.js';

/** Pages of one target that go out together: a minute of them. */
const pagesPerRequest = 60;
const agents = 15;

interface Line {
  readonly target: string;
  readonly series?: readonly string[];
  readonly t?: number;
  readonly values?: string;
}

interface Column {
  readonly labels: readonly (readonly [string, string])[];
  readonly timestamps: number[];
  readonly values: number[];
}

/** `sparse`: the page of second `s` comes from agent `s % 15`. */
export type PageRate = 'dense' | 'sparse';

function parseLabels(text: string, target: string, agent: number): Column['labels'] {
  const at = text.indexOf('{');
  const name = at < 0 ? text : text.slice(0, at);
  const labels: [string, string][] = [
    ['__name__', name],
    ['instance', `${target}-${agent}.example:9100`],
    ['job', target],
  ];
  const pairs = at < 0 ? [] : text.slice(at).matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
  for (const [, label, value] of pairs) {
    labels.push([label, value.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))]);
  }
  const known = new Map(labels.filter(([, value]) => value !== ''));
  return [...known].sort(([a], [b]) => (a < b ? -1 : 1));
}

function parseValue(text: string): number {
  return text.endsWith('Inf') ? Number(`${text}inity`) : Number(text);
}

/** What one agent has of one target and has not sent yet. */
class Pending {
  private series: readonly string[] = [];
  private columns: Column[] = [];
  private pages = 0;

  constructor(
    private readonly target: string,
    private readonly agent: number,
  ) {}

  /** Takes a page; the request when it is full. */
  add(series: readonly string[], t: number, values: readonly string[]): Uint8Array | undefined {
    const full = this.series === series ? undefined : this.take();
    if (this.columns.length === 0) {
      this.series = series;
      this.columns = series.map((text) => ({
        labels: parseLabels(text, this.target, this.agent),
        timestamps: [],
        values: [],
      }));
    }
    for (let i = 0; i < this.columns.length && i < values.length; i++) {
      this.columns[i].timestamps.push(t);
      this.columns[i].values.push(parseValue(values[i]));
    }
    this.pages++;
    return full ?? (this.pages === pagesPerRequest ? this.take() : undefined);
  }

  take(): Uint8Array | undefined {
    const request: WireSeries[] = this.columns.map((column) => ({
      labels: column.labels,
      timestamps: Float64Array.from(column.timestamps),
      values: Float64Array.from(column.values),
    }));
    this.columns = [];
    this.pages = 0;
    return request.length > 0 ? encodeWriteRequest(request) : undefined;
  }
}

/** The requests that bring the pages of `file`, oldest first, and how many samples they hold. */
async function* requests(file: string, rate: PageRate): AsyncGenerator<[Uint8Array, number]> {
  const series = new Map<string, readonly string[]>();
  const pending = new Map<string, Pending>();
  let samples = 0;
  for await (const text of createInterface({ input: createReadStream(file) })) {
    const line = JSON.parse(text) as Line;
    if (line.series !== undefined) {
      series.set(line.target, line.series);
    } else if (line.t !== undefined && line.values !== undefined) {
      const agent = rate === 'dense' ? 0 : Math.floor(line.t / 1000) % agents;
      const key = `${line.target}-${agent}`;
      const known = pending.get(key) ?? new Pending(line.target, agent);
      pending.set(key, known);
      const values = line.values.split(' ');
      samples += values.length;
      const full = known.add(series.get(line.target) ?? [], line.t, values);
      if (full !== undefined) {
        yield [full, samples];
      }
    }
  }
  for (const one of pending.values()) {
    const rest = one.take();
    if (rest !== undefined) {
      yield [rest, samples];
    }
  }
}

/** Writes the pages to each contender and asks what they take. */
export async function measurePages(
  contenders: readonly Contender[],
  file: string,
  rate: PageRate,
): Promise<StorageResult[]> {
  const results: StorageResult[] = [];
  for (const contender of contenders) {
    const server = await contender.start();
    const client = new RemoteWriteClient({ url: server.url, timeoutMs: 120_000 });
    let samples = 0;
    for await (const [body, count] of requests(file, rate)) {
      const answer = await client.writeBody(body);
      if (answer.status !== 204 && answer.status !== 200) {
        throw new Error(
          `${contender.name} answered ${answer.status}: ${answer.body.slice(0, 300)}`,
        );
      }
      samples = count;
    }
    client.close();
    const bytes = await server.storedBytes();
    await server.stop();
    results.push({
      contender: contender.name,
      samples,
      bytesPerSample: bytes.blocks / samples,
      logBytesPerSample: bytes.log / samples,
    });
  }
  return results;
}

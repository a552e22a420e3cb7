/**
 * @file The embedded library: a metrics database inside a Node program, without a listener.
 */
import { loadConfig } from './config/load.js';
import { environmentName } from './config/schema.js';
import { engineOptions } from './engine-options.js';
import { MetricstorError } from './errors.js';
import { NativeEngine } from './native/engine.js';
import type { QueryPool } from './query/pool.js';
import type { InstantJob, QueryAnswer, RangeJob, ResultColumns } from './query/service.js';
import { startQueries, startQueryThread } from './server.js';
import type { WriteOutcome } from './storage/appender.js';

export { type ErrorCode, MetricstorError } from './errors.js';
export type { QueryStats, ResultColumns, SeriesColumns } from './query/service.js';
export type { Rejection, WriteOutcome } from './storage/appender.js';

export interface OpenOptions {
  readonly dataDir: string;
  /**
   * Further keys as `docs/configuration.md` lists them, by dotted path, values as they are written
   * there: `{ 'wal.sync': '1s' }`.
   */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface WriteOptions {
  readonly format?: 'remote-write-1' | 'remote-write-2';
}

export interface Answer {
  readonly result: ResultColumns;
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
}

const everything = Object.freeze({ tenant: 0, matchers: [] });
const client = 'embedded';

/** An open database. */
export class Database {
  readonly #engine: NativeEngine;
  readonly #queries: QueryPool;

  constructor(engine: NativeEngine, queries: QueryPool) {
    this.#engine = engine;
    this.#queries = queries;
  }

  /**
   * Stores a remote_write body, compressed with snappy, of version 1.0 unless `format` says 2.0.
   * Leave it alone until this settles.
   */
  write(body: Uint8Array, { format = 'remote-write-1' }: WriteOptions = {}): Promise<WriteOutcome> {
    return this.#engine.write(body, { format, encoding: 'snappy', scope: everything });
  }

  /** Evaluates an expression at one time, in epoch milliseconds; now unless given. */
  async query(query: string, timeMs: number = Date.now()): Promise<Answer> {
    return await this.#ask({ kind: 'instant', query, timeMs, limit: 0, format: 'columns' });
  }

  /** Evaluates an expression at every step of `[startMs, endMs]`. */
  async queryRange(
    query: string,
    range: { readonly startMs: number; readonly endMs: number; readonly stepMs: number },
  ): Promise<Answer> {
    return await this.#ask({ kind: 'range', query, ...range, limit: 0, format: 'columns' });
  }

  /** Makes blocks of what is in memory. */
  async flush(): Promise<void> {
    await this.#engine.flush();
  }

  /** Merges the blocks that may be merged. */
  async compact(): Promise<void> {
    await this.#engine.compact();
  }

  /** Ends queries, finishes writes and lets the directory go. */
  async close(): Promise<void> {
    await this.#queries.close();
    await this.#engine.close();
  }

  async #ask(job: InstantJob | RangeJob): Promise<Answer> {
    const answer: QueryAnswer = await this.#queries.run(job, { client, scope: everything });
    const { columns, warnings, infos } = answer;
    if (columns === undefined) {
      throw new MetricstorError('internal', 'a query thread answered without columns');
    }
    return { result: columns, warnings, infos };
  }
}

/** Opens a data directory, or makes one. Throws `ConfigError` for settings that are not valid. */
export async function open({ dataDir, settings = {} }: OpenOptions): Promise<Database> {
  const written = Object.entries({ ...settings, dataDir });
  const environment = Object.fromEntries(
    written.map(([path, value]) => [environmentName(path), value]),
  );
  const { config, warnings } = loadConfig({ environment });
  if (warnings.length > 0) {
    throw new MetricstorError('bad_data', warnings.join('; '));
  }
  const engine = await NativeEngine.open(engineOptions(config));
  try {
    return new Database(engine, await startQueries(config, engine, startQueryThread));
  } catch (error) {
    await engine.close();
    throw error;
  }
}

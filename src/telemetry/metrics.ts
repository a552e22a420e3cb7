/**
 * @file metricstor's own metrics: one registry, written by `GET /metrics`.
 *
 * Numbers that the engine or the query pool already count are read when they are asked for; only
 * requests are counted here.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type EngineNumbers, writeEngineMetrics } from './engine-metrics.js';
import type { BuildInfo } from './version.js';

/** What the query pool tells about itself. */
export interface QueryNumbers {
  /** Small expressions answered without a query thread, since the start. */
  readonly inline: number;
  readonly workers: number;
  readonly running: number;
  readonly waiting: number;
  readonly replacedWorkers: number;
  /** Bytes that queries, and answers not sent yet, hold together. */
  readonly heldBytes: number;
  readonly cache: {
    readonly bytes: number;
    readonly entries: number;
    readonly hits: number;
    readonly partialHits: number;
    readonly misses: number;
    readonly invalidations: number;
  };
}

export interface MetricsSources {
  readonly build: BuildInfo;
  engineNumbers(): EngineNumbers;
  queryNumbers(): QueryNumbers;
}

export interface RequestSeen {
  /** The route's pattern, never the path asked for: its values are bounded. */
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}

/** Seconds: a write takes a few milliseconds with its fsync, a query up to minutes. */
const durationBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60];

export class Metrics {
  readonly registry = new Registry();
  readonly #requests: Counter;
  readonly #durations: Histogram;
  readonly #queries: Counter;
  readonly #sources: MetricsSources;
  /** Children of the two request metrics, which prom-client finds slowly by their labels. */
  readonly #children = new Map<string, { inc(): void; observe(seconds: number): void }>();

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    const registers = [this.registry];
    this.#requests = new Counter({
      name: 'metricstor_http_requests_total',
      help: 'HTTP requests answered.',
      labelNames: ['route', 'method', 'code'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'metricstor_http_request_seconds',
      help: 'Time from the head of a request to the end of its answer.',
      labelNames: ['route'],
      buckets: durationBuckets,
      registers,
    });
    this.#queries = new Counter({
      name: 'metricstor_queries_total',
      help: 'Queries answered, by kind and by error code; `ok` for those that succeeded.',
      labelNames: ['kind', 'code'],
      registers,
    });
    this.#addGauges();
    this.#addCacheMetrics();
    collectDefaultMetrics({ register: this.registry });
  }

  #addGauges(): void {
    const { build, queryNumbers } = this.#sources;
    const registers = [this.registry];
    new Gauge({
      name: 'metricstor_build_info',
      help: 'What runs; the value is 1.',
      labelNames: ['version', 'node_version', 'platform'],
      registers,
    })
      .labels(build.version, build.nodeVersion, build.platform)
      .set(1);
    const gauges: readonly [string, string, Exclude<keyof QueryNumbers, 'cache'>][] = [
      ['query_workers', 'Threads that answer queries.', 'workers'],
      ['queries_running', 'Queries being answered.', 'running'],
      ['queries_waiting', 'Queries waiting for a worker.', 'waiting'],
      ['query_memory_bytes', 'Memory of queries and of answers not sent yet.', 'heldBytes'],
    ];
    for (const [name, help, key] of gauges) {
      new Gauge({
        name: `metricstor_${name}`,
        help,
        registers,
        collect() {
          this.set(queryNumbers()[key]);
        },
      });
    }
    new Counter({
      name: 'metricstor_queries_inline_total',
      help: 'Small expressions answered without a query thread.',
      registers,
      collect() {
        this.reset();
        this.inc(queryNumbers().inline);
      },
    });
    new Counter({
      name: 'metricstor_query_workers_replaced_total',
      help: 'Query threads that died or did not stop in time, and were replaced.',
      registers,
      collect() {
        this.reset();
        this.inc(queryNumbers().replacedWorkers);
      },
    });
  }

  #addCacheMetrics(): void {
    const { queryNumbers } = this.#sources;
    const registers = [this.registry];
    const gauges = [
      ['bytes', 'Memory of kept steps of range queries.', 'bytes'],
      ['entries', 'Range queries with kept steps.', 'entries'],
    ] as const;
    for (const [name, help, key] of gauges) {
      new Gauge({
        name: `metricstor_query_cache_${name}`,
        help,
        registers,
        collect() {
          this.set(queryNumbers().cache[key]);
        },
      });
    }
    new Counter({
      name: 'metricstor_query_cache_requests_total',
      help: 'Range queries that could use kept steps: `hit` evaluated no step, `partial` some.',
      labelNames: ['result'],
      registers,
      collect() {
        const { hits, partialHits, misses } = queryNumbers().cache;
        this.reset();
        this.inc({ result: 'hit' }, hits);
        this.inc({ result: 'partial' }, partialHits);
        this.inc({ result: 'miss' }, misses);
      },
    });
    new Counter({
      name: 'metricstor_query_cache_invalidations_total',
      help: 'Misses although steps were kept: late samples, deletes or retention took too many.',
      registers,
      collect() {
        this.reset();
        this.inc(queryNumbers().cache.invalidations);
      },
    });
  }

  /** Counts an answered request. */
  request({ route, method, status, seconds }: RequestSeen): void {
    const key = `${method} ${status} ${route}`;
    let child = this.#children.get(key);
    if (child === undefined) {
      const requests = this.#requests.labels(route, method, `${status}`);
      const durations = this.#durations.labels(route);
      child = {
        inc: () => requests.inc(),
        observe: (value) => durations.observe(value),
      };
      this.#children.set(key, child);
    }
    child.inc();
    child.observe(seconds);
  }

  /** Counts an answered query; `code` is an error code or `ok`. */
  query(kind: string, code: string): void {
    this.#queries.inc({ kind, code });
  }

  /** Every metric in Prometheus' text format. */
  async text(): Promise<string> {
    return writeEngineMetrics(this.#sources.engineNumbers()) + (await this.registry.metrics());
  }

  get contentType(): string {
    return this.registry.contentType;
  }
}

/**
 * @file The one schema of the configuration: every key with its type, default, bounds and meaning.
 *
 * `load.ts` validates with it, `reference.ts` prints `docs/configuration.md` from it, and the type
 * of the loaded configuration is derived from it. A leaf carries the kind of text it is written as
 * (`values.ts` reads it), so that a YAML scalar and an environment variable are read alike.
 */

import Type, { type Static, type TSchema } from 'typebox';
import { defaultFeatures, promqlFeatures } from '../model/promql-features.js';

/** How a leaf is written. A duration is kept in milliseconds, a size in bytes. */
export type ValueKind =
  | 'string'
  | 'choice'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'duration'
  | 'bytes'
  | 'address'
  | 'list'
  | 'rules'
  | 'sync';

/** When a write is acknowledged: after its fsync, or after the log's write (see `wal.sync`). */
export type WalSync = 'always' | 'off' | { readonly intervalMs: number };

/** A retention of their own for the series of a selector. */
export interface RetentionRuleSetting {
  readonly match: string;
  readonly days: number;
}

interface LeafOptions {
  readonly kind: ValueKind;
  /** The default as it would be written in YAML. */
  readonly written: string;
  readonly description: string;
  readonly choices?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
}

/** A leaf of the schema as `load.ts` and `reference.ts` see it. */
export interface Leaf extends LeafOptions {
  /** Dotted, as in `query.timeout`. */
  readonly path: string;
  /** Whether a changed file is applied without a restart. */
  readonly reloaded: boolean;
}

type Doc = Omit<LeafOptions, 'kind'>;

const text = (doc: Doc) => Type.Unsafe<string>({ type: 'string', kind: 'string', ...doc });
const address = (doc: Doc) => Type.Unsafe<string>({ type: 'string', kind: 'address', ...doc });
const integer = (doc: Doc) => Type.Unsafe<number>({ type: 'integer', kind: 'integer', ...doc });
const decimal = (doc: Doc) => Type.Unsafe<number>({ type: 'number', kind: 'number', ...doc });
const flag = (doc: Doc) => Type.Unsafe<boolean>({ type: 'boolean', kind: 'boolean', ...doc });
/** Milliseconds. */
const duration = (doc: Doc) => Type.Unsafe<number>({ type: 'integer', kind: 'duration', ...doc });
/** Bytes. */
const bytes = (doc: Doc) => Type.Unsafe<number>({ type: 'integer', kind: 'bytes', ...doc });
const list = (doc: Doc) => Type.Unsafe<readonly string[]>({ type: 'array', kind: 'list', ...doc });
/** Some of the choices; `all` is every one of them. */
const choices = <T extends string>(of: readonly T[], doc: Omit<Doc, 'choices'>) =>
  Type.Unsafe<readonly T[]>({ type: 'array', kind: 'list', choices: of, ...doc });
const rules = (doc: Doc) =>
  Type.Unsafe<readonly RetentionRuleSetting[]>({ type: 'array', kind: 'rules', ...doc });
const choice = <T extends string>(choices: readonly T[], doc: Omit<Doc, 'choices'>) =>
  Type.Unsafe<T>({ type: 'string', kind: 'choice', enum: choices, choices, ...doc });

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

const hourMs = 3_600_000;

export const configSchema = Type.Object({
  http: Type.Object({
    addr: address({
      written: '127.0.0.1:9101',
      description: 'Where HTTP (or HTTPS) listens, as `host:port`. Port 0 picks a free one.',
    }),
    healthAddr: address({
      written: '',
      description:
        'A second, plain listener that answers `/-/healthy` and `/-/ready` only, for probes that ' +
        'have no certificate. It is up while the data directory is still being opened. Empty ' +
        'turns it off.',
    }),
    maxConnections: integer({
      written: '4096',
      minimum: 0,
      description: 'Connections at once; further ones are closed. 0 means no limit.',
    }),
  }),
  grpc: Type.Object({
    addr: address({
      written: '127.0.0.1:9102',
      description: 'Where gRPC listens. Port 0 picks a free one, empty turns it off.',
    }),
  }),
  dataDir: text({
    written: './metricstor-data',
    description: 'The data directory; created when it does not exist.',
  }),
  retention: Type.Object({
    days: decimal({
      written: '15',
      exclusiveMinimum: 0,
      maximum: 36_500,
      description: 'Days that samples are kept. Older samples are refused and dropped.',
    }),
    size: bytes({
      written: '0',
      minimum: 0,
      description:
        'Size of blocks, log and files of the head on disk, such as `50GB`. Past it the oldest ' +
        'blocks go, but never those of the newest window. With it the head is flushed once log ' +
        'and files of the head are a quarter of this size. 0 means no limit.',
    }),
    rules: rules({
      written: '[]',
      description:
        'Series that are kept for another time than `retention.days`: a list of ' +
        '`{match: selector, days: number}`, of which the first that matches a series counts. ' +
        'Older samples of these series are refused; those that are stored are hidden from ' +
        'queries once they are in blocks, and leave the disk when the block goes or is written ' +
        'anew. A rule with more days keeps the blocks of its series, and what other series have ' +
        'in them is hidden in its time. In the environment the list is written as in YAML, on ' +
        'one line.',
    }),
  }),
  wal: Type.Object({
    sync: Type.Unsafe<WalSync>({
      kind: 'sync',
      written: 'always',
      description:
        '`always` acknowledges a write after its fsync: nothing acknowledged is ever lost. A ' +
        'duration such as `1s` acknowledges after the write to the log and syncs at that ' +
        'interval; `off` leaves that to the operating system: a power loss may then lose ' +
        'acknowledged samples, a killed process does not.',
    }),
  }),
  checkpoint: Type.Object({
    interval: duration({
      written: '5m',
      minimum: 1000,
      maximum: 24 * hourMs,
      description:
        'How often the samples in memory are written down, so that a start has that much of the ' +
        'log to read at most, and the log before goes.',
    }),
    logBytes: bytes({
      written: '256MiB',
      minimum: 1024 ** 2,
      description:
        'They are also written down when the log has grown by this, or has twenty more samples ' +
        'of each series, and two million in all.',
    }),
  }),
  ingest: Type.Object({
    maxRequestBytes: bytes({
      written: '10MiB',
      minimum: 1024,
      maximum: 1024 ** 3,
      description: 'The largest write request, decompressed. A larger one gets 413.',
    }),
    maxFuture: duration({
      written: '10m',
      minimum: 0,
      description: 'How far ahead of the clock a sample may be; others are refused with 400.',
    }),
    rejectNonFinite: flag({
      written: 'false',
      description: 'Refuse NaN and infinities; stale markers are accepted nevertheless.',
    }),
    writeQueueBytes: bytes({
      written: '128MiB',
      minimum: 1024 ** 2,
      description: 'Writes decoded but not yet logged; past it a write gets 503.',
    }),
  }),
  limits: Type.Object({
    series: integer({
      written: '0',
      minimum: 0,
      description: 'Series in memory; samples of further ones are refused. 0 means no limit.',
    }),
    labelsPerSeries: integer({
      written: '256',
      minimum: 1,
      maximum: 65_535,
      description: 'Labels of one series, the metric name included.',
    }),
    labelNameBytes: bytes({
      written: '4KiB',
      minimum: 1,
      maximum: 1024 ** 2,
      description: 'Length of a label name.',
    }),
    labelValueBytes: bytes({
      written: '64KiB',
      minimum: 1,
      maximum: 1024 ** 2,
      description: 'Length of a label value.',
    }),
  }),
  exemplars: Type.Object({
    max: integer({
      written: '100000',
      minimum: 0,
      maximum: 100_000_000,
      description:
        'Exemplars that are kept: the newest, of all series together, in memory (about 200 bytes ' +
        'each) and across restarts. 0 keeps none.',
    }),
  }),
  metadata: Type.Object({
    max: integer({
      written: '100000',
      minimum: 0,
      maximum: 10_000_000,
      description:
        'Metric families whose type, unit and help are kept, with 1 KiB of text each on average. ' +
        'Past it, families that were not sent for long make room. 0 keeps none.',
    }),
  }),
  query: Type.Object({
    workers: integer({
      written: '2',
      minimum: 1,
      maximum: 256,
      description: 'Threads that answer queries.',
    }),
    helpers: integer({
      written: '-1',
      minimum: -1,
      maximum: 256,
      description:
        'Threads, shared by all queries, that help to evaluate large ones. 0 is none, -1 one less ' +
        'than there are processors.',
    }),
    maxConcurrency: integer({
      written: '0',
      minimum: 0,
      description:
        'PromQL expressions evaluated at once; fewer than `query.workers` keeps the rest free for ' +
        'label and series look-ups. 0 means as many as there are workers.',
    }),
    queue: integer({
      written: '256',
      minimum: 0,
      description: 'Queries that wait for a worker; past it a query gets 503.',
    }),
    timeout: duration({
      written: '2m',
      minimum: 1,
      description: 'The longest a query may take, waiting included. A request may ask for less.',
    }),
    maxSamples: integer({
      written: '50000000',
      minimum: 1,
      description: 'Samples that one query may hold at once.',
    }),
    maxBytes: bytes({
      written: '1GiB',
      minimum: 1024 ** 2,
      description: 'Memory that one query may use for its columns.',
    }),
    maxTotalBytes: bytes({
      written: '2GiB',
      minimum: 1024 ** 2,
      description:
        'Memory that all queries together may use for their columns and for answers that are not ' +
        'sent yet; a query that would need more gets 503. While unsent answers hold half of it, ' +
        'queries wait; a client that takes nothing of a large answer for 10 s is cut off. The ' +
        'process has, beside this and the head, JavaScript heaps of a few hundred MiB.',
    }),
    maxSeries: integer({
      written: '1000000',
      minimum: 0,
      description: 'Series that one selector of an expression may find. 0 means no limit.',
    }),
    maxPoints: integer({
      written: '10000000',
      minimum: 1,
      description: 'Points of the answer to one query, all series together.',
    }),
    maxSteps: integer({
      written: '11000',
      minimum: 1,
      maximum: 1_000_000,
      description: 'Steps of a range query.',
    }),
    cacheBytes: bytes({
      written: '0',
      minimum: 0,
      description:
        'Memory for steps of range queries that are kept for the next time, so that a dashboard ' +
        'that refreshes has only its new steps evaluated. Answers are those of an evaluation, bit ' +
        'for bit: what a late sample, a delete or retention may have changed is evaluated anew. ' +
        '`nocache=1` in a request evaluates everything. Queries that take a few milliseconds gain ' +
        'nothing. 0 keeps nothing.',
    }),
    lookbackDelta: duration({
      written: '5m',
      minimum: 1,
      description: 'How old a sample may be to count as the current value of its series.',
    }),
    subqueryStep: duration({
      written: '1m',
      minimum: 1,
      description: 'The step of a subquery that does not name one.',
    }),
  }),
  promql: Type.Object({
    features: choices(promqlFeatures, {
      written: `[${defaultFeatures.join(', ')}]`,
      description:
        'Parts of PromQL by the names of their feature flags in Prometheus. What only adds to the ' +
        'language is on by default; `promql-delayed-name-removal` changes which queries fail and ' +
        'what `label_replace` sees, and with `type-and-unit-labels` the label `__type__` says ' +
        'which metrics are counters; series of remote_write 2.0 get it and `__unit__` from their ' +
        'metadata. With `use-start-timestamps`, `rate`, `increase`, `irate`, `resets` and ' +
        '`start_timestamp` use the start timestamps of samples. `promql-duration-expr` and ' +
        '`promql-per-step-stats` have no effect, as what they turned on is always on. The list ' +
        'replaces the default one; `all` turns on every one. A flag that metricstor does not have ' +
        'is an error.',
    }),
  }),
  storage: Type.Object({
    blockRange: duration({
      written: '2h',
      minimum: 60_000,
      maximum: 24 * hourMs,
      description: 'Width of the blocks that recent data is flushed into.',
    }),
    flushSlack: duration({
      written: '1m',
      minimum: 0,
      description: 'How far past the end of a window the newest sample must be for its flush.',
    }),
    flushMinSamples: integer({
      written: '100000',
      minimum: 1,
      description: 'Fewer samples than this are flushed only once `storage.flushMinAge` old.',
    }),
    flushMinAge: duration({ written: '1m', minimum: 0, description: 'See above.' }),
    headMaxBytes: bytes({
      written: '2GiB',
      minimum: 1024 ** 2,
      description: 'Memory of the head at which it is flushed, whatever its window.',
    }),
    walMaxBytes: bytes({
      written: '4GiB',
      minimum: 1024 ** 2,
      description: 'Size of the log at which the head is flushed.',
    }),
    walSegmentBytes: bytes({
      written: '32MiB',
      minimum: 64 * 1024,
      maximum: 1024 ** 3,
      description: 'Size at which a segment of the log is full.',
    }),
  }),
  compaction: Type.Object({
    cpuShare: decimal({
      written: '0.25',
      minimum: 0,
      maximum: 1,
      description:
        'The share of all processors that merging blocks may take; its thread also has a lower ' +
        'priority. 0 merges only on `POST /api/v1/admin/tsdb/compact`, which goes as fast as it can.',
    }),
    maxBytes: bytes({
      written: '64GiB',
      minimum: 1024 ** 2,
      description:
        'Blocks that are merged at a time, together. The merged block takes at most as much beside ' +
        'them until they go. It is never more than half of the free disk.',
    }),
  }),
  tls: Type.Object({
    cert: text({
      written: '',
      description:
        'Certificate chain, PEM. With `tls.key` it turns TLS on for HTTP and gRPC. The files are ' +
        'read again when they change, and open connections stay.',
    }),
    key: text({ written: '', description: 'Private key, PEM.' }),
    clientCa: text({
      written: '',
      description: 'CA certificates, PEM, that client certificates must be signed by (mutual TLS).',
    }),
    minVersion: choice(['1.2', '1.3'], {
      written: '1.2',
      description: 'The lowest TLS version.',
    }),
    clientAuth: choice(['require', 'ifGiven'], {
      written: 'require',
      description:
        'Matters with `tls.clientCa` only. `require` refuses a client without a valid certificate ' +
        'in the handshake. `ifGiven` also lets clients without one in, unless `tls.allowedNames` ' +
        'is set: they then get 403 from everything but `/-/healthy` and `/-/ready`. A certificate ' +
        'that is given must be valid in either case.',
    }),
    allowedNames: list({
      written: '[]',
      description:
        'Names of which a client certificate must have one: its common name, a DNS name or, with ' +
        '`://` in it, a URI such as `spiffe://example.org/agent`; compared whole. Empty means any ' +
        'valid certificate. Judged on every request; others get 403.',
    }),
  }),
  auth: Type.Object({
    file: text({
      written: '',
      description:
        'A YAML file of identities with their roles. With it every request needs one, apart from ' +
        '`/-/healthy` and `/-/ready`; without it whoever may connect may do everything. The file ' +
        'is read again when it changes, and counts from the next request on; one that is not ' +
        'valid leaves the identities as they were.',
    }),
  }),
  log: Type.Object({
    level: choice(logLevels, { written: 'info', description: 'The lowest level that is logged.' }),
  }),
  shutdownTimeout: duration({
    written: '30s',
    minimum: 0,
    description: 'How long a shutdown waits for requests to finish.',
  }),
});

type DeepReadonly<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/** The loaded configuration: durations in milliseconds, sizes in bytes. Frozen. */
export type Config = DeepReadonly<Static<typeof configSchema>>;
export type TlsSettings = Config['tls'];

/** Keys that a changed file applies without a restart. */
const reloadedPaths: ReadonlySet<string> = new Set([
  'tls.cert',
  'tls.key',
  'tls.clientCa',
  'tls.minVersion',
  'tls.allowedNames',
  'auth.file',
]);

/** A section has `properties`; a leaf carries its {@link LeafOptions}. */
type SchemaNode = TSchema & { readonly properties?: Readonly<Record<string, TSchema>> };

/** Every leaf, in the order of the schema. */
export function configLeaves(): readonly Leaf[] {
  const leaves: Leaf[] = [];
  const walk = (node: SchemaNode, prefix: string): void => {
    for (const [name, property] of Object.entries(node.properties ?? {})) {
      const child: SchemaNode = property;
      const path = prefix === '' ? name : `${prefix}.${name}`;
      if (child.properties === undefined) {
        const options = child as unknown as LeafOptions;
        leaves.push({ ...options, path, reloaded: reloadedPaths.has(path) });
      } else {
        walk(child, path);
      }
    }
  };
  walk(configSchema, '');
  return leaves;
}

/** The environment variable of a key: `http.healthAddr` is `METRICSTOR_HTTP_HEALTH_ADDR`. */
export function environmentName(path: string): string {
  const snake = path.replaceAll('.', '_').replace(/[A-Z]/g, (upper) => `_${upper}`);
  return `METRICSTOR_${snake.toUpperCase()}`;
}

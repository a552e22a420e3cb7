/**
 * @file The whole server in the test's process, on free ports: over the real engine, or over one
 * whose answers to writes the test decides.
 */
import { pino } from 'pino';
import { loadConfig } from '../../src/config/load.js';
import type { Config, TlsSettings } from '../../src/config/schema.js';
import { NativeEngine } from '../../src/native/engine.js';
import { type Addresses, type Engine, Server } from '../../src/server.js';
import type { WriteOutcome, WriteRequest } from '../../src/storage/appender.js';
import { inProcessWorker } from './in-process-worker.js';
import { temporaryDirectory } from './server.js';

export interface WriteSeen {
  readonly body: Uint8Array;
  readonly request: WriteRequest;
}

export const nothingRefused: WriteOutcome = {
  samples: 1,
  histograms: 0,
  exemplars: 0,
  replaced: 0,
  rejections: [],
  droppedExemplars: 0,
  droppedMetadata: 0,
};

export interface TestServer {
  readonly addresses: Addresses;
  readonly server: Server;
  /** What `tls` is from the next reload on. */
  changeTls(change: Partial<TlsSettings>): void;
  /** What `auth` is from the next reload on. */
  changeAuth(change: Partial<Config['auth']>): void;
  readonly logs: readonly Record<string, unknown>[];
  stop(): Promise<void>;
}

/** Environment variables without their prefix. */
type Settings = Readonly<Record<string, string>>;

/** Starts a server over the real engine, in a directory that is removed at the end. */
export async function startTestServer(settings: Settings = {}): Promise<TestServer> {
  const data = temporaryDirectory('server');
  const server = await start({ ...settings, DATA_DIR: data.path }, (options) =>
    NativeEngine.open(options),
  );
  const stop = async (): Promise<void> => {
    await server.stop();
    data.remove();
  };
  return { ...server, stop };
}

export interface WriteServer extends TestServer {
  readonly writes: WriteSeen[];
  /** Decides what becomes of the next writes. */
  onWrite(decide: () => Promise<WriteOutcome>): void;
}

/**
 * Starts a server whose engine takes writes only, and remembers them; what else it does, `others`
 * say.
 */
export async function startWriteServer(
  settings: Settings = {},
  others: Partial<Engine> = {},
): Promise<WriteServer> {
  const writes: WriteSeen[] = [];
  let decide = async (): Promise<WriteOutcome> => nothingRefused;
  const engine: Engine = {
    handle: 0,
    write: async (body, request) => {
      writes.push({ body: Uint8Array.from(body), request });
      return await decide();
    },
    openCancelToken: () => 0,
    cancel: () => undefined,
    closeCancelToken: () => undefined,
    deleteSeries: async () => undefined,
    countSeries: async () => ({ series: 0, samples: 0 }),
    cleanTombstones: async () => undefined,
    async *exportJson() {},
    snapshot: async () => '',
    stats: () => ({}),
    flush: async () => undefined,
    compact: async () => undefined,
    lastFailure: () => undefined,
    newlyQuarantined: () => [],
    tornEnd: () => undefined,
    changedSince: () => ({ version: 0, writtenFrom: Infinity, expiredTo: -Infinity }),
    openSession: () => {
      throw new Error('this engine takes writes only');
    },
    close: async () => undefined,
    ...others,
  };
  const server = await start(settings, async () => engine);
  const onWrite: WriteServer['onWrite'] = (next) => {
    decide = next;
  };
  return { ...server, writes, onWrite };
}

async function start(
  settings: Settings,
  openEngine: Parameters<typeof Server.start>[1]['openEngine'],
): Promise<TestServer> {
  const environment = Object.fromEntries(
    Object.entries({ HTTP_ADDR: '127.0.0.1:0', GRPC_ADDR: '', ...settings }).map(
      ([name, value]) => [`METRICSTOR_${name}`, value],
    ),
  );
  const { config } = loadConfig({ environment });
  const logs: Record<string, unknown>[] = [];
  let { tls, auth } = config;
  const { server, addresses } = await Server.start(config, {
    log: pino({ level: 'info' }, { write: (line: string) => void logs.push(JSON.parse(line)) }),
    openEngine,
    startWorker: ({ engineHandle, promql }) =>
      inProcessWorker(NativeEngine.attach(engineHandle), promql.features),
    loadAccess: () => ({ tls, auth }),
  });
  const changeTls: TestServer['changeTls'] = (change) => {
    tls = { ...tls, ...change };
  };
  const changeAuth: TestServer['changeAuth'] = (change) => {
    auth = { ...auth, ...change };
  };
  return { addresses, server, logs, changeTls, changeAuth, stop: () => server.stop() };
}

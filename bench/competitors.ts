/** @file Starts what is measured: metricstor, and Prometheus and VictoriaMetrics where found. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort, startPrometheus } from '../test/differential/prometheus.js';
import { startServer } from '../test/support/server.js';
import { diskBytes } from './process.js';

/** This repository, seen from the compiled file. */
const packageDir = fileURLToPath(new URL('../..', import.meta.url));

const retentionDays = '3650';

/** A running server with an empty store of its own. */
export interface BenchServer {
  readonly url: string;
  readonly pid: number;
  /** Added to every query's form: what keeps a server from answering out of a result cache. */
  readonly queryForm: Readonly<Record<string, string>>;
  /** Makes everything written visible to queries, where a write does not do so by itself. */
  makeVisible(): Promise<void>;
  /** Bytes on disk of everything written, in the server's final form, its log apart. */
  storedBytes(): Promise<{ readonly blocks: number; readonly log: number }>;
  /** Ends it with SIGKILL; its data stays for another start. */
  kill(): Promise<void>;
  /** Where its data is. */
  readonly dataDir: string;
  /** Stops it and deletes its data. */
  stop(): Promise<void>;
}

export interface Contender {
  readonly name: string;
  readonly version: string;
  /** Starts with an empty store, or with that of a server that was killed. */
  start(killed?: BenchServer): Promise<BenchServer>;
}

function findBinary(variable: string, name: string): string | undefined {
  const candidates = [
    ...(process.env[variable] === undefined ? [] : [process.env[variable]]),
    ...(process.env.PATH ?? '').split(delimiter).map((dir) => join(dir, name)),
  ];
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function firstLine(binary: string, flag: string): string {
  const text = execFileSync(binary, [flag], { encoding: 'utf8' });
  return text.split('\n')[0];
}

async function post(url: string): Promise<boolean> {
  return (await fetch(url, { method: 'POST' })).ok;
}

async function startMetricstor(killed?: BenchServer): Promise<BenchServer> {
  const dataDir = killed?.dataDir ?? mkdtempSync(join(tmpdir(), 'metricstor-bench-'));
  const server = await startServer({
    dataDir,
    packageDir,
    env: { METRICSTOR_RETENTION_DAYS: retentionDays, METRICSTOR_QUERY_CACHE_BYTES: '64MiB' },
  });
  const isLog = (path: string): boolean => path.startsWith(join(dataDir, 'wal'));
  return {
    url: server.url,
    pid: server.pid,
    queryForm: { nocache: '1' },
    makeVisible: () => Promise.resolve(),
    storedBytes: async () => {
      const log = diskBytes(dataDir, isLog);
      for (const step of ['flush', 'compact']) {
        if (!(await post(`${server.url}/api/v1/admin/tsdb/${step}`))) {
          throw new Error(`metricstor does not ${step}`);
        }
      }
      return { blocks: diskBytes(dataDir), log };
    },
    kill: server.kill,
    dataDir,
    stop: async () => {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function startPrometheusBench(binary: string, killed?: BenchServer): Promise<BenchServer> {
  const server = await startPrometheus(
    binary,
    {
      arguments: ['--web.enable-admin-api', '--storage.tsdb.retention.time=10y'],
      configuration: '',
    },
    killed === undefined ? undefined : dirname(killed.dataDir),
  );
  const logs = ['wal', 'wbl', 'chunks_head'].map((name) => join(server.dataDir, name));
  return {
    url: server.url,
    pid: server.pid,
    queryForm: {},
    makeVisible: () => Promise.resolve(),
    // A snapshot holds the blocks (hard links) and the head as one more block.
    storedBytes: async () => {
      await post(`${server.url}/api/v1/admin/tsdb/snapshot`);
      const log = logs.reduce((sum, dir) => sum + existingBytes(dir), 0);
      return { blocks: diskBytes(join(server.dataDir, 'snapshots')), log };
    },
    kill: server.kill,
    dataDir: server.dataDir,
    stop: server.stop,
  };
}

function existingBytes(dir: string): number {
  try {
    return diskBytes(dir);
  } catch {
    return 0;
  }
}

async function waitForHealth(url: string, child: ChildProcess): Promise<void> {
  for (let i = 0; i < 300 && child.exitCode === null; i++) {
    const ready = await fetch(`${url}/health`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) {
      return;
    }
    await delay(100);
  }
  throw new Error('victoria-metrics was not ready within 30 s');
}

async function startVictoriaMetrics(binary: string, killed?: BenchServer): Promise<BenchServer> {
  const dataDir = killed?.dataDir ?? mkdtempSync(join(tmpdir(), 'metricstor-bench-vm-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    binary,
    [
      `-httpListenAddr=127.0.0.1:${port}`,
      `-storageDataPath=${dataDir}`,
      '-retentionPeriod=10y',
      '-loggerLevel=ERROR',
      // Otherwise the newest 30 s are left out of every answer.
      '-search.latencyOffset=0s',
      // Otherwise it closes connections after two minutes, while the load uses them.
      '-http.connTimeout=24h',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const exited = once(child, 'exit');
  await waitForHealth(url, child);
  return {
    url,
    pid: child.pid ?? 0,
    queryForm: { nocache: '1' },
    makeVisible: async () => {
      await fetch(`${url}/internal/force_flush`);
    },
    storedBytes: async () => {
      await fetch(`${url}/internal/force_flush`);
      await fetch(`${url}/internal/force_merge`);
      await mergesDone(dataDir);
      return { blocks: diskBytes(dataDir), log: 0 };
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    dataDir,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** A forced merge runs in the background: wait until the set of parts stays the same. */
async function mergesDone(dataDir: string): Promise<void> {
  let before = '';
  for (let same = 0; same < 3; ) {
    await delay(1000);
    const now = readdirSync(dataDir, { recursive: true }).sort().join('\n');
    same = now === before ? same + 1 : 0;
    before = now;
  }
}

function metricstorHere(): Contender {
  const text = readFileSync(join(packageDir, 'package.json'), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return { name: 'metricstor', version, start: startMetricstor };
}

function prometheusAt(binary: string): Contender {
  const version = firstLine(binary, '--version').replace(/^prometheus, version /, '');
  return { name: 'Prometheus', version, start: (killed) => startPrometheusBench(binary, killed) };
}

function victoriaMetricsAt(binary: string): Contender {
  const version = firstLine(binary, '--version');
  return {
    name: 'VictoriaMetrics',
    version,
    start: (killed) => startVictoriaMetrics(binary, killed),
  };
}

/**
 * metricstor, and the others whose binaries are found by environment variable or on PATH; only
 * those whose lower-case names are in `wanted`.
 */
export function findContenders(wanted: ReadonlySet<string>): Contender[] {
  const contenders: Contender[] = [];
  if (wanted.has('metricstor')) {
    contenders.push(metricstorHere());
  }
  const prometheus = findBinary('PROMETHEUS_BIN', 'prometheus');
  if (wanted.has('prometheus') && prometheus !== undefined) {
    contenders.push(prometheusAt(prometheus));
  }
  const victoria = findBinary('VICTORIA_METRICS_BIN', 'victoria-metrics');
  if (wanted.has('victoriametrics') && victoria !== undefined) {
    contenders.push(victoriaMetricsAt(victoria));
  }
  return contenders;
}

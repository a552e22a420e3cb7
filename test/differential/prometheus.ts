/** @file Starts a real Prometheus on loopback for recording and comparing. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Recording } from '../conformance/recorded/answers.js';

const prometheusArguments = [
  '--storage.tsdb.retention.time=100y',
  `--enable-feature=${[
    'promql-experimental-functions',
    'promql-extended-range-selectors',
    'promql-binop-fill-modifiers',
  ].join(',')}`,
  '--query.lookback-delta=5m',
  '--query.timeout=2m',
];

/** The window reaches back to 1970, whose samples arrive after those of 2026. */
const prometheusConfiguration = `global:
  scrape_interval: 1m
  evaluation_interval: 1m
storage:
  tsdb:
    out_of_order_time_window: 60y
`;

export interface PrometheusSetup {
  /** Flags beside address, directories and the remote_write receiver. */
  readonly arguments: readonly string[];
  /** Text of the configuration file. */
  readonly configuration: string;
}

/** How answers to queries are recorded. */
export const recordingSetup: PrometheusSetup = {
  arguments: prometheusArguments,
  configuration: prometheusConfiguration,
};

/** How expressions are recorded: with every part of the language that has a flag. */
export const parserSetup: PrometheusSetup = {
  arguments: [
    `--enable-feature=${[
      'promql-experimental-functions',
      'promql-duration-expr',
      'promql-extended-range-selectors',
      'promql-binop-fill-modifiers',
    ].join(',')}`,
  ],
  configuration: 'global: {}\n',
};

/** How scripts are answered: the whole language, and the features that a script names. */
export function scriptSetup(features: readonly string[]): PrometheusSetup {
  const all = new Set([...parserSetup.arguments[0].split('=')[1].split(','), ...features]);
  const started = all.has('use-start-timestamps');
  const stored = started ? ['st-storage', 'xor2-encoding', 'histograms-st-encoding'] : [];
  const flags = [
    `--enable-feature=${[...all, ...stored].join(',')}`,
    '--storage.tsdb.retention.time=100y',
    ...(started ? ['--web.enable-otlp-receiver'] : []),
  ];
  const names = started ? 'otlp:\n  translation_strategy: NoTranslation\n' : '';
  return { arguments: flags, configuration: prometheusConfiguration + names };
}

export interface RunningPrometheus {
  readonly url: string;
  readonly pid: number;
  readonly dataDir: string;
  /** Ends the process with SIGKILL; its data stays. */
  kill(): Promise<void>;
  /** Stops the process and deletes its data. */
  stop(): Promise<void>;
}

/** A port of the loopback interface that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') {
    throw new Error('no free port was given');
  }
  return address.port;
}

async function waitUntilReady(url: string, process: ChildProcess): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (process.exitCode !== null) {
      throw new Error(`prometheus ended with code ${process.exitCode}`);
    }
    const ready = await fetch(`${url}/-/ready`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) {
      return;
    }
    await delay(100);
  }
  throw new Error('prometheus was not ready within a minute');
}

/**
 * Starts the binary and waits until it answers; with an empty data directory, unless that of one
 * that was killed is given: the parent of its `dataDir`.
 */
export async function startPrometheus(
  binary: string,
  setup: PrometheusSetup,
  killed?: string,
): Promise<RunningPrometheus> {
  const directory = killed ?? (await mkdtemp(join(tmpdir(), 'metricstor-prometheus-')));
  const configFile = join(directory, 'prometheus.yml');
  const dataDir = join(directory, 'data');
  await writeFile(configFile, setup.configuration);
  const port = await freePort();
  const child = spawn(
    binary,
    [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${dataDir}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--web.enable-remote-write-receiver',
      '--log.level=error',
      ...setup.arguments,
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], cwd: directory },
  );
  const exited = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await waitUntilReady(url, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, pid: child.pid ?? 0, dataDir, kill, stop };
}

/** What the answers of a running Prometheus are recorded with. */
export async function describeRecording(url: string, setup: PrometheusSetup): Promise<Recording> {
  const response = await fetch(`${url}/api/v1/status/buildinfo`);
  const { data } = (await response.json()) as { data: Record<string, string> };
  return {
    version: data.version,
    revision: data.revision,
    goVersion: data.goVersion,
    ...setup,
  };
}

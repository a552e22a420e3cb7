/**
 * @file A real Prometheus in agent mode and a real node_exporter, as the distribution packages
 * them.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface RunningProcess {
  readonly output: () => string;
  /** Ends it with SIGTERM and waits; SIGKILL after half a minute. */
  stop(): Promise<void>;
}

function start(command: string, args: readonly string[], cwd: string): RunningProcess {
  const child: ChildProcess = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-100_000);
    });
  }
  return {
    output: () => output,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Starts node_exporter with a textfile collector that shows `metrics`; gives its address. */
export async function startNodeExporter(
  dir: string,
  metrics: string,
): Promise<RunningProcess & { readonly address: string }> {
  const textfiles = join(dir, 'textfiles');
  mkdirSync(textfiles, { recursive: true });
  writeFileSync(join(textfiles, 'delicate.prom'), metrics);
  const address = `127.0.0.1:${await freePort()}`;
  const process = start(
    'prometheus-node-exporter',
    [`--web.listen-address=${address}`, `--collector.textfile.directory=${textfiles}`],
    dir,
  );
  await waitFor(`http://${address}/metrics`, process);
  return { ...process, address };
}

export interface AgentOptions {
  /** The program; `prometheus` on PATH unless given. */
  readonly binary?: string | undefined;
  /** Feature flags. */
  readonly features?: readonly string[];
}

export interface ServerOptions extends AgentOptions {
  /** More of the configuration: what it scrapes. */
  readonly scrape?: string;
}

/** Starts Prometheus in agent mode with the configuration and waits until it is ready. */
export async function startAgent(
  dir: string,
  config: string,
  { binary = 'prometheus', features = [] }: AgentOptions = {},
): Promise<RunningProcess> {
  const configFile = join(dir, 'agent.yml');
  writeFileSync(configFile, config);
  const port = await freePort();
  const process = start(
    binary,
    [
      ...agentFlags(binary),
      ...(features.length > 0 ? [`--enable-feature=${features.join(',')}`] : []),
      `--config.file=${configFile}`,
      `--storage.agent.path=${join(dir, 'agent')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    dir,
  );
  await waitFor(`http://127.0.0.1:${port}/-/ready`, process);
  return process;
}

/**
 * Starts Prometheus as a server over `dataDir`, which takes remote writes, late ones too, and
 * deletes, and keeps everything; gives its URL.
 */
export async function startPrometheus(
  dir: string,
  dataDir: string,
  { binary = 'prometheus', features = [], scrape = '' }: ServerOptions = {},
): Promise<RunningProcess & { readonly url: string }> {
  const configFile = join(dir, 'prometheus.yml');
  writeFileSync(configFile, `storage: {tsdb: {out_of_order_time_window: 1d}}\n${scrape}`);
  const address = `127.0.0.1:${await freePort()}`;
  const process = start(
    binary,
    [
      ...(features.length > 0 ? [`--enable-feature=${features.join(',')}`] : []),
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${dataDir}`,
      '--storage.tsdb.retention.time=10y',
      '--web.enable-remote-write-receiver',
      '--web.enable-admin-api',
      `--web.listen-address=${address}`,
    ],
    dir,
  );
  await waitFor(`http://${address}/-/ready`, process);
  return { ...process, url: `http://${address}` };
}

/** Prometheus 3 has `--agent`; version 2 has it behind a feature flag. */
function agentFlags(binary: string): string[] {
  const version = execFileSync(binary, ['--version'], { encoding: 'utf8' });
  const major = Number(version.match(/version (\d+)\./)?.[1]);
  return major >= 3 ? ['--agent'] : ['--enable-feature=agent'];
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

async function waitFor(url: string, process: RunningProcess): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await delay(50);
  }
  throw new Error(`${url} did not answer within 30 s:\n${process.output()}`);
}

/**
 * @file Starts the shipped binary, `node dist/bin.js`, as its own process, and stops or kills it.
 *
 * Nothing of the server is imported: what these tests see is what an operator sees.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

/** One line of the server's log. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface ServerOptions {
  /**
   * Kept across restarts by the caller; without it a fresh one, removed with `temporaryDirectory`.
   */
  readonly dataDir: string;
  /** Added to the environment; wins over the test's defaults. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to a file that is passed with `--config`. */
  readonly configYaml?: string;
  /** The package's root; by default this repository. */
  readonly packageDir?: string;
  /** Replaces the whole environment that the process inherits. */
  readonly inheritEnv?: Readonly<Record<string, string>>;
  /** How long starting may take, in milliseconds. */
  readonly startTimeoutMs?: number;
}

export interface RunningServer {
  /** `http://127.0.0.1:port` or `https://…`. */
  readonly url: string;
  /** `host:port`, or undefined when gRPC is off. */
  readonly grpc: string | undefined;
  /** URL of the listener for probes, when there is one. */
  readonly health: string | undefined;
  readonly pid: number;
  /** Every log line so far; grows. */
  readonly logs: readonly LogLine[];
  /** Ends it with SIGTERM and resolves with the exit code. */
  stop(): Promise<number>;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
}

/** How a process ended before it listened. */
export class ServerExited extends Error {
  constructor(
    readonly code: number | null,
    readonly output: string,
  ) {
    super(`the server ended with code ${code} before it listened:\n${output}`);
  }
}

/** A process that was started and may not listen yet: what the crash test kills in recovery. */
export interface StartingServer {
  readonly ready: Promise<RunningServer>;
  kill(): Promise<void>;
}

/** Starts the server and waits until it listens. */
export function startServer(options: ServerOptions): Promise<RunningServer> {
  return launchServer(options).ready;
}

/** Starts the server and returns at once. */
export function launchServer(options: ServerOptions): StartingServer {
  const packageDir = options.packageDir ?? repositoryRoot;
  const entry = join(packageDir, 'dist', 'bin.js');
  if (!existsSync(entry)) throw new Error(`${entry} is missing: run node .ci/build.mjs`);
  const args = [entry, 'serve'];
  const configDir = options.configYaml === undefined ? undefined : temporaryDirectory('config');
  if (configDir !== undefined) {
    const file = join(configDir.path, 'metricstor.yml');
    writeFileSync(file, options.configYaml ?? '');
    args.push('--config', file);
  }
  const child = spawn(process.execPath, args, {
    cwd: packageDir,
    // Its own process group, so that a kill reaches every process of a launcher.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...(options.inheritEnv ?? process.env),
      METRICSTOR_HTTP_ADDR: '127.0.0.1:0',
      METRICSTOR_GRPC_ADDR: '',
      METRICSTOR_DATA_DIR: options.dataDir,
      ...options.env,
    },
  });
  const exited = once(child, 'exit').then(([code]) => {
    configDir?.remove();
    return code as number | null;
  });
  running.add(child);
  void exited.then(() => running.delete(child));
  const kill = async (): Promise<void> => {
    signalGroup(child, 'SIGKILL');
    await exited;
  };
  const ready = listening(child, exited, kill, options.startTimeoutMs ?? 60_000);
  // A caller that only kills never awaits `ready`.
  ready.catch(() => undefined);
  return { ready, kill };
}

async function listening(
  child: ChildProcess,
  exited: Promise<number | null>,
  kill: () => Promise<void>,
  timeoutMs: number,
): Promise<RunningServer> {
  const logs: LogLine[] = [];
  const output: string[] = [];
  const line = await new Promise<LogLine>((resolve, reject) => {
    const timer = setTimeout(() => {
      void kill();
      reject(new Error(`no "listening" line within ${timeoutMs} ms:\n${output.join('\n')}`));
    }, timeoutMs);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (text) => {
        output.push(text);
        const parsed = parseLogLine(text);
        if (parsed === undefined) return;
        logs.push(parsed);
        if (parsed.msg === 'listening') {
          clearTimeout(timer);
          resolve(parsed);
        }
      });
    }
    void exited.then((code) => reject(new ServerExited(code, output.join('\n'))));
    void Promise.allSettled([exited]).then(() => clearTimeout(timer));
    child.once('error', reject);
  });
  return {
    url: asUrl(text(line, 'http')),
    grpc: line.grpc === undefined ? undefined : text(line, 'grpc'),
    health: line.health === undefined ? undefined : asUrl(text(line, 'health')),
    pid: child.pid ?? 0,
    logs,
    stop: async () => {
      child.kill('SIGTERM');
      return (await exited) ?? -1;
    },
    kill,
  };
}

function parseLogLine(text: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as LogLine) : undefined;
  } catch {
    return undefined;
  }
}

function text(line: LogLine, key: string): string {
  const value = line[key];
  if (typeof value !== 'string') throw new Error(`the listening line has no text ${key}`);
  return value;
}

function asUrl(address: string): string {
  return /^https?:/.test(address) ? address.replace(/\/$/, '') : `http://${address}`;
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal);
  }
}

/** Servers of this test file that still run: a failing test must not leave one behind. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) signalGroup(child, 'SIGKILL');
});

/** A directory under the system's temporary one, and how to remove it. */
export function temporaryDirectory(purpose: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `metricstor-${purpose}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) };
}

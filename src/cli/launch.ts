/**
 * @file Node's thread pool, on which writes are decoded, sized to the machine.
 *
 * libuv reads UV_THREADPOOL_SIZE once, when the pool is first used, and the loader of ES modules
 * has used it before the first statement of a program runs. So a machine with more cores than the
 * pool has threads by default needs the variable in place before Node starts: the process starts
 * itself again with it. (Tried with Node 20: set as the first statement of an ES module, the
 * variable has no effect; in CommonJS it has.)
 */
import { spawn } from 'node:child_process';

/** What libuv takes without the variable. */
const defaultThreads = 4;

/** The size to start again with, or undefined when the pool is right as it is. */
export function missingPoolSize(
  environment: Readonly<Record<string, string | undefined>>,
  cores: number,
): number | undefined {
  const chosen = environment.UV_THREADPOOL_SIZE !== undefined;
  return chosen || cores <= defaultThreads ? undefined : cores;
}

/** Signals that end or reload a server; the second process handles them. */
const forwarded = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * Starts this program again with a pool of `threads`: in place where Node can (from 22.15 on), else
 * as a child, whose exit code is returned. The child ends with this process, for then its IPC
 * channel closes.
 */
export async function launchAgain(threads: number): Promise<number> {
  const environment = { ...process.env, UV_THREADPOOL_SIZE: `${threads}` };
  const { execPath } = process;
  const parameters = [...process.execArgv, ...process.argv.slice(1)];
  process.execve?.(execPath, [execPath, ...parameters], environment);
  const child = spawn(execPath, parameters, {
    env: environment,
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of forwarded) {
    process.on(signal, () => child.kill(signal));
  }
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}

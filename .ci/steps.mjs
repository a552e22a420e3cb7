/**
 * @file What the build, test and check scripts share: running a command, timing a step,
 * fingerprinting inputs, and counting what passed. Node's own modules only, because this runs
 * before anything is installed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root directory. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Stamps and reports of these scripts; safe to delete. */
export const cacheDir = join(root, '.cache', 'ci');

const tallyFile = join(cacheDir, 'tally.ndjson');

/** Ends the script with one sentence instead of a stack trace. */
export class StepError extends Error {}

/** Runs `main` and turns its failure into exit code 1 and one line. */
export async function script(main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof StepError ? `error: ${error.message}` : error);
    process.exitCode = 1;
  }
}

/** Runs a command in the root with its output shown; a non-zero exit is an error. */
export async function run(command, args, options = {}) {
  const { code } = await runCounting(command, args, { ...options, onLine: undefined });
  if (code !== 0) throw new StepError(`${[command, ...args].join(' ')} exited with ${code}`);
}

/**
 * Runs a command in the root, shows its output and hands each line of its standard output to
 * `onLine`. Resolves with the exit code whatever it is.
 */
export function runCounting(command, args, { onLine, env, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', onLine ? 'pipe' : 'inherit', 'inherit'],
    });
    child.on('error', (error) => reject(new StepError(`cannot run ${command}: ${error.message}`)));
    if (onLine) {
      let rest = '';
      child.stdout.setEncoding('utf8').on('data', (text) => {
        process.stdout.write(text);
        const lines = (rest + text).split('\n');
        rest = lines.pop();
        for (const line of lines) onLine(line);
      });
    }
    child.on('close', (code, signal) => resolve({ code: code ?? signal }));
  });
}

/** The standard output of a command, or undefined when it is not installed or fails. */
export function capture(command, args) {
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  return done.status === 0 ? done.stdout : undefined;
}

/** Runs `work`, and says what it is and how long it took. */
export async function timed(title, work) {
  console.log(`${title} …`);
  const start = process.hrtime.bigint();
  const value = await work();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  console.log(`${title}: done in ${seconds.toFixed(1)} s`);
  return value;
}

/**
 * The host triple of the Rust toolchain. Cargo and napi both get it as `--target`: with the flag on
 * one side only they would use two directories and compile every crate twice.
 */
export function hostTriple() {
  const version = capture('rustc', ['-vV']);
  const host = version?.match(/^host: (\S+)$/m)?.[1];
  if (!host) {
    throw new StepError('rustc is not on PATH: install Rust 1.88 or newer (https://rustup.rs)');
  }
  return host;
}

/** Files under `dirs` (relative to the root) whose name passes `keep`, in ascending order. */
export function filesUnder(dirs, keep) {
  const found = [];
  const skipped = new Set(['node_modules', 'target', '.git', 'dist']);
  const walk = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) {
        if (!skipped.has(entry.name)) walk(path);
      } else if (keep(entry.name)) {
        found.push(relative(root, path));
      }
    }
  };
  for (const dir of dirs) if (existsSync(join(root, dir))) walk(join(root, dir));
  return found.sort();
}

/** A hash over the names and contents of `files` and over `extra`. */
export function fingerprint(files, extra = '') {
  const hash = createHash('sha256').update(extra);
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/**
 * Runs `work` unless its outputs exist and its inputs are those of the last time it succeeded.
 * The stamp is removed first, so that an interrupted step runs again.
 */
export async function unlessUpToDate({ name, title, key, outputs, work }) {
  const stamp = join(cacheDir, `${name}.stamp`);
  const fresh = existsSync(stamp) && readFileSync(stamp, 'utf8') === key;
  if (fresh && outputs.every((file) => existsSync(join(root, file)))) return;
  rmSync(stamp, { force: true });
  await timed(title, work);
  const missing = outputs.filter((file) => !existsSync(join(root, file)));
  if (missing.length > 0) throw new StepError(`${name} did not write ${missing.join(', ')}`);
  mkdirSync(cacheDir, { recursive: true });
  writeFileSync(stamp, key);
}

/** Adds a result to the tally that `.ci/run` sums up at its end. */
export function record(name, passed, failed, skipped = 0) {
  mkdirSync(cacheDir, { recursive: true });
  appendFileSync(tallyFile, `${JSON.stringify({ name, passed, failed, skipped })}\n`);
  return { name, passed, failed, skipped };
}

/** Every result since the tally was cleared. */
export function recorded() {
  if (!existsSync(tallyFile)) return [];
  return readFileSync(tallyFile, 'utf8')
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** Forgets every result. */
export function clearRecorded() {
  rmSync(tallyFile, { force: true });
}

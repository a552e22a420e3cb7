/**
 * @file What the verbs share: their arguments, the engine of a directory that nobody else has, and
 * numbers for people.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { loadConfig } from '../../config/load.js';
import { engineOptions } from '../../engine-options.js';
import { MetricstorError } from '../../errors.js';
import { maxTimeMs, minTimeMs, parseTime } from '../../http/params.js';
import { NativeEngine, type NativeEngineOptions } from '../../native/engine.js';
import type { Finding } from '../../native/tools.js';
import { parseSelector } from '../../promql/parse.js';
import type { ExportRequest } from '../../storage/transfer.js';
import { type Environment, UsageError } from '../arguments.js';

export interface Verb {
  /** What `--help` prints. */
  readonly usage: string;
  /** Resolves with the exit code. Throws `UsageError`, `MetricstorError`. */
  run(parameters: readonly string[], environment: Environment): Promise<number>;
}

type Options = NonNullable<ParseArgsConfig['options']>;

/** Reads the arguments of a verb that takes `count` paths. Throws `UsageError` with its usage. */
export function readArguments<const T extends Options>(
  parameters: readonly string[],
  { usage, count, options }: { usage: string; count: number; options: T },
) {
  try {
    const parsed = parseArgs({ args: [...parameters], allowPositionals: true, options });
    if (parsed.positionals.length !== count) {
      throw new Error(`want ${count} path(s), got ${parsed.positionals.length}`);
    }
    return { values: parsed.values, paths: parsed.positionals };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), usage);
  }
}

/** The options of what moves data in or out: the other side, and how to report. */
export const movingOptions = {
  prometheus: { type: 'string' },
  json: { type: 'string' },
  'json-report': { type: 'boolean' },
} as const;

/** The directory of a Prometheus, or a file of JSON lines (`-`: the standard one). */
export interface OtherSide {
  readonly kind: 'prometheus' | 'json';
  readonly path: string;
}

/** The other side of a move. Throws `UsageError` with the verb's usage unless there is one. */
export function readOtherSide(
  values: { readonly prometheus?: string | undefined; readonly json?: string | undefined },
  usage: string,
): OtherSide {
  const { prometheus, json } = values;
  if (prometheus !== undefined && json === undefined) {
    return { kind: 'prometheus', path: prometheus };
  }
  if (json !== undefined && prometheus === undefined) {
    return { kind: 'json', path: json };
  }
  const both = json !== undefined && prometheus !== undefined;
  const message = both
    ? 'only one of --prometheus and --json may be given'
    : 'want --prometheus or --json';
  throw new UsageError(message, usage);
}

/** The options that say which samples are meant. */
export const selectionOptions = {
  match: { type: 'string', multiple: true },
  start: { type: 'string' },
  end: { type: 'string' },
} as const;

export const selectionUsage = `  --match selector   only series that satisfy it, such as 'up{job="a"}'; may be repeated
  --start time       only samples from this time on: unix seconds or RFC 3339
  --end time         only samples up to this time
`;

/** Which samples are meant. Throws `UsageError` with the verb's usage. */
export function readSelection(
  values: {
    readonly match?: string[] | undefined;
    readonly start?: string | undefined;
    readonly end?: string | undefined;
  },
  usage: string,
): ExportRequest {
  try {
    const mint = timeOption('start', values.start, minTimeMs);
    const maxt = timeOption('end', values.end, maxTimeMs);
    if (mint > maxt) {
      const message = `--start ${values.start} is after --end ${values.end}`;
      throw new MetricstorError('bad_data', message);
    }
    return { selectors: (values.match ?? []).map(parseSelector), mint, maxt };
  } catch (error) {
    if (error instanceof MetricstorError) {
      throw new UsageError(error.message, usage);
    }
    throw error;
  }
}

function timeOption(name: string, text: string | undefined, fallback: number): number {
  const ms = text === undefined ? fallback : parseTime(text);
  if (ms === undefined) {
    const message = `--${name}: want unix seconds or RFC 3339, got ${text}`;
    throw new MetricstorError('bad_data', message);
  }
  return ms;
}

/** Never reached. */
const noLimit = Number.MAX_SAFE_INTEGER;

/** The options of a server that keeps everything: the verbs drop nothing that is stored. */
export function withoutRetention(options: NativeEngineOptions): NativeEngineOptions {
  const kept = { maxExemplars: noLimit, maxMetadata: noLimit };
  return { ...options, ...kept, retentionMs: noLimit, retentionBytes: 0, retentionRules: [] };
}

/**
 * Opens a data directory that is there in order to read it: its log is replayed as by a server,
 * nothing is too old, and nothing in the directory changes. Rejects with `read_only` while somebody
 * else has it open.
 */
export async function openToRead(dir: string): Promise<NativeEngine> {
  return await openExisting(dir, { readOnly: true });
}

/** Opens a data directory that is there, under its lock, as a server without retention does. */
export async function openExisting(
  dir: string,
  how: { readonly readOnly: boolean },
): Promise<NativeEngine> {
  if (!isDataDirectory(dir)) {
    const message = 'this is no data directory: it has no metricstor.json';
    throw new MetricstorError('not_found', `${message} (${dir})`);
  }
  const { config } = loadConfig({ environment: {} });
  return await open(withoutRetention({ ...engineOptions(config), ...how, dir }));
}

/** Whether a directory has what every data directory has. */
export function isDataDirectory(dir: string): boolean {
  return existsSync(join(dir, 'metricstor.json'));
}

/** Opens a data directory, and makes one if it is not there. */
export async function open(options: NativeEngineOptions): Promise<NativeEngine> {
  try {
    return await NativeEngine.open(options);
  } catch (error) {
    if (error instanceof MetricstorError && error.code === 'read_only') {
      const hint = 'of a running server, take a snapshot (POST /api/v1/admin/tsdb/snapshot)';
      throw new MetricstorError(error.code, `${error.message}; ${hint}`, { cause: error });
    }
    throw error;
  }
}

/** Prints a report: as JSON, or as lines for people. */
export function print(report: unknown, json: boolean | undefined, lines: readonly string[]): void {
  const text = json === true ? JSON.stringify(report, undefined, 2) : lines.join('\n');
  process.stdout.write(`${text}\n`);
}

/** Says on standard error what is damaged; returns the exit code. */
export function reportFindings(findings: readonly Finding[]): number {
  for (const { code, message } of findings) {
    process.stderr.write(`metricstor: ${code}: ${message}\n`);
  }
  return findings.length === 0 ? 0 : 1;
}

/** `1,234,567`. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

/** `12.3 MiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [size, unit] = [bytes, 0];
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

/** `2026-01-02 03:04`, UTC; milliseconds where JavaScript has no such date. */
export function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms}` : date.toISOString().slice(0, 16).replace('T', ' ');
}

/** Rows with their columns aligned: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(cell).join('  ')}`.trimEnd());
}

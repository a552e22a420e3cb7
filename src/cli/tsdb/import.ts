/**
 * @file `metricstor tsdb import`.
 */
import type { Config } from '../../config/schema.js';
import { engineOptions } from '../../engine-options.js';
import { MetricstorError } from '../../errors.js';
import type { ImportReport, NativeEngine } from '../../native/engine.js';
import { listBlocks } from '../../native/tools.js';
import { type ImportOutcome, importLines } from '../../storage/import-lines.js';
import { loadChecked } from '../check-config.js';
import { countExpired, describeExpired } from './expired.js';
import { readJsonLines } from './json-lines.js';
import {
  grouped,
  isDataDirectory,
  movingOptions,
  open,
  print,
  readArguments,
  readOtherSide,
  type Verb,
  withoutRetention,
} from './verb.js';

const usage = `Usage: metricstor tsdb import <dir> --prometheus <promdir> [options]
       metricstor tsdb import <dir> --json <file | -> [options]

Writes into a data directory, which is made if it is not there, what a Prometheus has (its blocks
and its log, or one block), or JSON lines; a file called .gz is unpacked. Limits are those of the
configuration; every sample that is not stored is counted, and if one was refused, the exit code is
1. Importing again changes nothing about what is there, but takes its space once more until blocks
are merged. Exemplars and metadata of the log are left out, and counted.

Samples of any age are stored, and nothing that is stored goes. A server drops what is older than
its retention.days, counted from the newest sample: a warning says how many samples that is.

Options:
  -c, --config file    the server's configuration; METRICSTOR_… as for the server
      --retention-days n   warn as if the configuration's retention.days were n
      --json-report    print the report as JSON
`;

export const verb: Verb = {
  usage,
  async run(parameters, environment) {
    const options = {
      ...movingOptions,
      config: { type: 'string', short: 'c' },
      'retention-days': { type: 'string' },
    } as const;
    const { values, paths } = readArguments(parameters, { usage, count: 1, options });
    const { kind, path } = readOtherSide(values, usage);
    const days = values['retention-days'];
    const { config } = loadChecked({
      file: values.config ?? environment.METRICSTOR_CONFIG,
      environment: {
        ...environment,
        ...(days === undefined ? {} : { METRICSTOR_RETENTION_DAYS: days }),
      },
    });
    const dir = paths[0] as string;
    if (kind === 'prometheus' && isDataDirectory(path)) {
      const message = `${path} is a data directory of metricstor, not of a Prometheus`;
      const hint = 'write it as JSON lines (tsdb dump) and import those (--json)';
      throw new MetricstorError('bad_data', `${message}; ${hint}`);
    }
    const retained = engineOptions(config);
    const engine = await open(withoutRetention({ ...retained, dir }));
    try {
      const { report, lines, refused } =
        kind === 'prometheus'
          ? await importBlocks(engine, path)
          : await importJson(engine, path, config);
      const newest = Math.max(...(await listBlocks(dir)).blocks.map(({ maxt }) => maxt));
      const expired = await countExpired(engine, retained, { newest, now: Date.now() });
      const all = { ...report, beforeRetention: expired.samples };
      print(all, values['json-report'], lines);
      if (expired.samples > 0) {
        process.stderr.write(`metricstor: ${describeExpired(expired, retained)}\n`);
      }
      if (refused > 0) {
        process.stderr.write(`metricstor: ${grouped(refused)} refused; the others are stored\n`);
      }
      return refused > 0 ? 1 : 0;
    } finally {
      await engine.close();
    }
  },
};

interface Imported {
  readonly report: object;
  /** The report for people. */
  readonly lines: readonly string[];
  /** What was refused. */
  readonly refused: number;
}

async function importBlocks(engine: NativeEngine, dir: string): Promise<Imported> {
  const report = await engine.importPrometheus(dir);
  const refused = report.refused + report.tooOld;
  return { report, lines: describeBlocks(report), refused };
}

async function importJson(engine: NativeEngine, file: string, config: Config): Promise<Imported> {
  const scope = { tenant: 0, matchers: [] };
  const maxLineBytes = config.ingest.maxRequestBytes;
  const report = await importLines(readJsonLines(file), engine, { scope, maxLineBytes });
  await engine.flush();
  const refused = report.rejections.reduce((sum, { count }) => sum + count, 0);
  return { report, lines: describeLines(report), refused };
}

/** Lines for what is not zero. */
function counted(entries: readonly (readonly [number, string])[]): string[] {
  return entries.filter(([count]) => count > 0).map(([count, what]) => `${grouped(count)} ${what}`);
}

function describeBlocks(report: ImportReport): string[] {
  return [
    `${grouped(report.blocks)} blocks and the log: ${grouped(report.read)} samples read, ` +
      `${grouped(report.stored)} stored`,
    ...counted([
      [report.histograms, 'of the stored samples are native histograms'],
      [report.refused, 'samples were refused:'],
    ]),
    ...report.refusals.map((refusal) => `  ${refusal}`),
    ...counted([
      [report.replaced, 'samples replaced another value'],
      [report.deleted, 'samples had been deleted'],
      [report.unnamed, 'samples of the log belong to series that it does not name'],
      [report.exemplars, 'exemplars were left out'],
      [report.metadata, 'metadata entries were left out'],
    ]),
  ];
}

function describeLines({ samples, replaced, rejections }: ImportOutcome): string[] {
  return [
    `${grouped(samples)} samples stored`,
    ...counted([[replaced, 'samples replaced another value']]),
    ...rejections.flatMap(({ code, count, examples }) => [
      `${grouped(count)} refused (${code}):`,
      ...examples.map((example) => `  ${example}`),
    ]),
  ];
}

/**
 * @file `metricstor tsdb import`.
 */
import type { Config } from '../../config/schema.js';
import { engineOptions } from '../../engine-options.js';
import type { ImportReport, NativeEngine } from '../../native/engine.js';
import { type ImportOutcome, importLines } from '../../storage/import-lines.js';
import { loadChecked } from '../check-config.js';
import { readJsonLines } from './json-lines.js';
import {
  grouped,
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
configuration; every sample that is not stored is counted. Importing again changes nothing about
what is there. Exemplars and metadata of the log are left out, and counted.

Samples of any age are stored, and nothing that is stored goes.

Options:
  -c, --config file    the server's configuration; METRICSTOR_… as for the server
      --retention-days n   keep samples of so many days; the configuration's retention.days otherwise
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
    const engine = await open(
      withoutRetention({ ...engineOptions(config), dir: paths[0] as string }),
    );
    try {
      if (kind === 'prometheus') {
        const report = await engine.importPrometheus(path);
        print(report, values['json-report'], describeBlocks(report));
      } else {
        const report = await importJson(engine, path, config);
        print(report, values['json-report'], describeLines(report));
      }
    } finally {
      await engine.close();
    }
    return 0;
  },
};

async function importJson(
  engine: NativeEngine,
  file: string,
  config: Config,
): Promise<ImportOutcome> {
  const scope = { tenant: 0, matchers: [] };
  const maxLineBytes = config.ingest.maxRequestBytes;
  const outcome = await importLines(readJsonLines(file), engine, { scope, maxLineBytes });
  await engine.flush();
  return outcome;
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
      [report.tooOld, 'samples are older than retention keeps'],
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

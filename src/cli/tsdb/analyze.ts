/**
 * @file `metricstor tsdb analyze`.
 */
import { type Analysis, analyzeDirectory } from '../../native/tools.js';
import { UsageError } from '../arguments.js';
import {
  bytesText,
  grouped,
  print,
  readArguments,
  reportFindings,
  table,
  timeText,
  type Verb,
} from './verb.js';

const usage = `Usage: metricstor tsdb analyze <dir> [--top n] [--json]

Says what takes the space in the blocks of a data directory: bytes by block and file, the metrics
with the most series, the labels with the most values, the pairs of label and value with the most
series, and how many of each block's series no earlier block had; also how many samples are deleted
and wait for their blocks to be written anew, which the other counts have, too. Lists have 10 entries
unless --top says otherwise. Changes nothing; may be used beside a running server. What is in the log
alone is not counted. Damaged blocks are left out and named on standard error; the exit code is 1.
`;

export const verb: Verb = {
  usage,
  async run(parameters) {
    const options = { json: { type: 'boolean' }, top: { type: 'string' } } as const;
    const { values, paths } = readArguments(parameters, { usage, count: 1, options });
    const top = Number(values.top ?? '10');
    if (!Number.isInteger(top) || top < 1 || top > 1_000_000) {
      throw new UsageError(`--top: want a number from 1 to 1000000, got ${values.top}`, usage);
    }
    const analysis = await analyzeDirectory(paths[0] as string, top);
    print(analysis, values.json, describe(analysis));
    return reportFindings(analysis.findings);
  },
};

function describe(analysis: Analysis): string[] {
  const { blocks, bytes, samples, series, bytesPerSample } = analysis;
  return [
    `${grouped(blocks.length)} blocks, ${bytesText(bytes)}`,
    `${grouped(series)} series, ${grouped(samples)} samples, ` +
      `${bytesPerSample.toFixed(2)} bytes a sample`,
    ...deletedLines(analysis),
    ...section(
      'Blocks',
      ['from', 'to', 'series', 'new', 'samples', 'B/sample', 'files'],
      [
        ...blocks.map((block, index) => [
          timeText(block.start),
          timeText(block.end),
          grouped(block.series),
          grouped(analysis.churn[index]?.newSeries ?? 0),
          grouped(block.samples),
          (block.bytes / Math.max(block.samples, 1)).toFixed(2),
          block.files.map((file) => `${file.name} ${bytesText(file.bytes)}`).join(', '),
        ]),
      ],
    ),
    ...section('Metrics by series', ['metric', 'series'], counts(analysis.metrics)),
    ...section(
      'Labels by values',
      ['label', 'values', 'series'],
      analysis.labels.map(({ name, values, series: of }) => [name, grouped(values), grouped(of)]),
    ),
    ...section('Pairs of label and value by series', ['pair', 'series'], counts(analysis.pairs)),
  ];
}

/** What is deleted and still there. */
function deletedLines({ tombstones, deleted }: Analysis): string[] {
  const samples = deleted.reduce((sum, block) => sum + block.samples, 0);
  return tombstones === 0
    ? []
    : [
        `${grouped(samples)} of these samples, in ${grouped(deleted.length)} blocks, are deleted ` +
          `(${grouped(tombstones)} deletes): clean_tombstones or compaction brings the space back`,
      ];
}

function counts(entries: Analysis['metrics']): string[][] {
  return entries.map(({ name, series }) => [name, grouped(series)]);
}

function section(title: string, head: readonly string[], rows: readonly string[][]): string[] {
  return rows.length === 0 ? [] : ['', `${title}:`, ...table([head, ...rows])];
}

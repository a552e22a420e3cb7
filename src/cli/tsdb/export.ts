/**
 * @file `metricstor tsdb export`.
 */
import { writeJsonLines } from './json-lines.js';
import {
  grouped,
  movingOptions,
  openToRead,
  print,
  readArguments,
  readOtherSide,
  readSelection,
  selectionOptions,
  selectionUsage,
  type Verb,
} from './verb.js';

const usage = `Usage: metricstor tsdb export <dir> --prometheus <outdir> [options]
       metricstor tsdb export <dir> --json <file | -> [options]

Writes what is in a data directory as blocks of Prometheus, into a directory that is empty or not
there, or as JSON lines; a file called .gz is compressed. Changes nothing in <dir>. Put the blocks
into the data directory of a Prometheus that is stopped.

Options:
${selectionUsage}  --json-report      print the report of --prometheus as JSON
`;

export const verb: Verb = {
  usage,
  async run(parameters) {
    const options = { ...selectionOptions, ...movingOptions } as const;
    const { values, paths } = readArguments(parameters, { usage, count: 1, options });
    const { kind, path } = readOtherSide(values, usage);
    const request = readSelection(values, usage);
    const engine = await openToRead(paths[0] as string);
    try {
      if (kind === 'json') {
        await writeJsonLines(engine, request, path);
      } else {
        const report = await engine.exportPrometheus(path, request);
        const { blocks, series, samples, histograms, startTimestamps } = report;
        print(report, values['json-report'], [
          `${grouped(blocks)} blocks, ${grouped(series)} series, ${grouped(samples)} samples, ` +
            `${grouped(histograms)} of them native histograms`,
          ...(startTimestamps > 0
            ? [`${grouped(startTimestamps)} start timestamps were left out`]
            : []),
        ]);
      }
    } finally {
      await engine.close();
    }
    return 0;
  },
};

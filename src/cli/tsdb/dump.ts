/**
 * @file `metricstor tsdb dump`.
 */
import { writeJsonLines } from './json-lines.js';
import {
  openToRead,
  readArguments,
  readSelection,
  selectionOptions,
  selectionUsage,
  type Verb,
} from './verb.js';

const usage = `Usage: metricstor tsdb dump <dir> [options]

Writes samples to standard output as JSON lines: a series and up to 8192 of its samples a line, as
\`import --json\`, /api/v1/import and VictoriaMetrics read them. Values come back bit for bit: JSON
has no NaN, so a NaN is null, and "nan_bits" has the bits of those that are not the usual one.
Changes nothing, and needs no permission to write.

Options:
${selectionUsage}`;

export const verb: Verb = {
  usage,
  async run(parameters) {
    const options = selectionOptions;
    const { values, paths } = readArguments(parameters, { usage, count: 1, options });
    const request = readSelection(values, usage);
    const engine = await openToRead(paths[0] as string);
    try {
      await writeJsonLines(engine, request, '-');
    } finally {
      await engine.close();
    }
    return 0;
  },
};

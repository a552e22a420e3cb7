/**
 * @file `metricstor tsdb ls`.
 */
import { listBlocks } from '../../native/tools.js';
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

const usage = `Usage: metricstor tsdb ls <dir> [--json]

Lists the blocks of a data directory by time (UTC). Changes nothing; may be used beside a running
server. Blocks that cannot be described are named on standard error, and the exit code is 1.
`;

export const verb: Verb = {
  usage,
  async run(parameters) {
    const options = { json: { type: 'boolean' } } as const;
    const { values, paths } = readArguments(parameters, { usage, count: 1, options });
    const { blocks, findings } = await listBlocks(paths[0] as string);
    const rows = blocks.map((block) => [
      block.ulid,
      timeText(block.start),
      timeText(block.end),
      `${block.level}`,
      grouped(block.series),
      grouped(block.samples),
      bytesText(block.bytes),
    ]);
    const head = ['block', 'from', 'to', 'level', 'series', 'samples', 'size'];
    print(blocks, values.json, table([head, ...rows]));
    return reportFindings(findings);
  },
};

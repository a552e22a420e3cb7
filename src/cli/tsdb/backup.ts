/**
 * @file `metricstor tsdb backup`.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MetricstorError } from '../../errors.js';
import { backupDirectory, type CopyReport } from '../../native/tools.js';
import { bytesText, grouped, openToRead, print, readArguments, type Verb } from './verb.js';

const usage = `Usage: metricstor tsdb backup <dir> <target> [--replace] [--json]

Brings the backup in <target> up to the data directory <dir>: copies the blocks that are not there
yet, checks what it copies, and publishes manifest.json last, so that a backup that is cut off
leaves the one before. Blocks that <dir> has no more are removed afterwards. <dir> is a snapshot, or
the data directory of a server that is stopped; what is in its log is made blocks first. Exemplars
and metadata are in the backup, too.

The backup of another store stands: that is an error. --replace makes it the backup of <dir>
nevertheless; what it had is lost.
`;

export const verb: Verb = {
  usage,
  async run(parameters) {
    const options = { json: { type: 'boolean' }, replace: { type: 'boolean' } } as const;
    const { values, paths } = readArguments(parameters, { usage, count: 2, options });
    const [dir, target] = paths as [string, string];
    if (hasLog(dir)) {
      const engine = await openToRead(dir);
      try {
        await engine.flush();
      } finally {
        await engine.close();
      }
    }
    const report = await backupDirectory(dir, target, { replace: values.replace === true });
    print(report, values.json, describeCopy(report));
    return 0;
  },
};

/** Whether something may be in no block: a snapshot has no log, and must not get one. */
function hasLog(dir: string): boolean {
  try {
    return readdirSync(join(dir, 'wal')).length > 0;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return false;
    }
    throw new MetricstorError('io', `cannot list the log of ${dir}`, { cause: error });
  }
}

/** What was copied, for people. */
export function describeCopy(report: CopyReport): string[] {
  const { blocks, bytes, copiedBlocks, copiedBytes, removedBlocks, besideBytes } = report;
  const removed = removedBlocks > 0 ? [`${grouped(removedBlocks)} blocks removed`] : [];
  return [
    `${grouped(blocks)} blocks, ${bytesText(bytes)}`,
    `${grouped(copiedBlocks)} blocks copied, ${bytesText(copiedBytes)}`,
    ...removed,
    ...(besideBytes > 0 ? [`exemplars and metadata, ${bytesText(besideBytes)}`] : []),
  ];
}

/**
 * @file `metricstor tsdb backup`.
 */
import { accessSync, constants, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MetricstorError } from '../../errors.js';
import { backupDirectory, type CopyReport } from '../../native/tools.js';
import { bytesText, grouped, openExisting, print, readArguments, type Verb } from './verb.js';

const usage = `Usage: metricstor tsdb backup <dir> <target> [--replace] [--json]

Brings the backup in <target> up to the data directory <dir>: copies the blocks that are not there
yet, checks what it copies, and publishes manifest.json last, so that a backup that is cut off
leaves the one before. Blocks that <dir> has no more are removed afterwards. <dir> is a snapshot, or
the data directory of a server that is stopped; what is in its log is made blocks first, in memory
where <dir> cannot be written. Exemplars and metadata are in the backup, too.

The backup of another store stands: that is an error. --replace makes it the backup of <dir>
nevertheless; what it had is lost.
`;

export const verb: Verb = {
  usage,
  async run(parameters) {
    const options = { json: { type: 'boolean' }, replace: { type: 'boolean' } } as const;
    const { values, paths } = readArguments(parameters, { usage, count: 2, options });
    const [dir, target] = paths as [string, string];
    const report = await backup(dir, target, { replace: values.replace === true });
    print(report, values.json, describeCopy(report));
    return 0;
  },
};

async function backup(
  dir: string,
  target: string,
  how: { readonly replace: boolean },
): Promise<CopyReport> {
  if (!hasLog(dir)) {
    return await backupDirectory(dir, target, how);
  }
  const readOnly = !mayBeWritten(dir);
  const engine = await openExisting(dir, { readOnly });
  try {
    if (readOnly) {
      return await engine.backup(target, how);
    }
    // The blocks stay, so that the next backup has them already.
    await engine.flush();
  } finally {
    await engine.close();
  }
  return await backupDirectory(dir, target, how);
}

function mayBeWritten(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

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

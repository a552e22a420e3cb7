/**
 * @file `metricstor tsdb restore`.
 */
import { restoreDirectory } from '../../native/tools.js';
import { describeCopy } from './backup.js';
import { print, readArguments, type Verb } from './verb.js';

const usage = `Usage: metricstor tsdb restore <target> <dir> [--json]

Makes the data directory <dir>, which is empty or not there, of the backup in <target>. Every file
is compared with its checksum, and the blocks appear all at once: a restore that failed leaves no
data directory, and may be repeated.
`;

export const verb: Verb = {
  usage,
  async run(parameters) {
    const options = { json: { type: 'boolean' } } as const;
    const { values, paths } = readArguments(parameters, { usage, count: 2, options });
    const [target, dir] = paths as [string, string];
    const report = await restoreDirectory(target, dir);
    print(report, values.json, describeCopy(report));
    return 0;
  },
};

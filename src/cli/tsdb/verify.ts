/**
 * @file `metricstor tsdb verify`.
 */
import { type Verified, verifyDirectory } from '../../native/tools.js';
import { bytesText, grouped, print, readArguments, type Verb } from './verb.js';

const usage = `Usage: metricstor tsdb verify <dir> [--json]

Reads every block and the log of a data directory, compares them with their checksums, decodes every
chunk and every record, and compares counts and times with what is said about them. Changes nothing;
may be used beside a running server, whose log is then not looked at. Exit code 1 means damage.
`;

const logTexts: Readonly<Record<Verified['log'], string>> = {
  read: 'the log can be read',
  damaged: 'the log is damaged',
  absent: 'there is no log',
  'in-use': 'the log was not looked at: another process has the directory open',
  'not-permitted': 'the log was not looked at: this user may not lock the directory',
};

export const verb: Verb = {
  usage,
  async run(parameters) {
    const options = { json: { type: 'boolean' } } as const;
    const { values, paths } = readArguments(parameters, { usage, count: 1, options });
    const verified = await verifyDirectory(paths[0] as string);
    const { blocks, samples, bytes, log, logFrames, tornBytes, findings } = verified;
    const size = `${grouped(samples)} samples, ${bytesText(bytes)}`;
    const frames = log === 'read' ? `, ${grouped(logFrames)} writes` : '';
    const torn =
      tornBytes > 0
        ? [`${tornBytes} bytes at its end were being written when the server stopped`]
        : [];
    print(verified, values.json, [
      ...findings.map(({ code, message }) => `${code}: ${message}`),
      `${grouped(blocks)} blocks are what was written: ${size}`,
      `${logTexts[log]}${frames}`,
      ...torn,
      findings.length === 0 ? 'no damage found' : `damaged: ${findings.length}`,
    ]);
    return findings.length === 0 ? 0 : 1;
  },
};

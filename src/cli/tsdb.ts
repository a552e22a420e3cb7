/**
 * @file `metricstor tsdb <verb>`: tools over data directories. A verb is a file in `tsdb/`.
 */
import { type Environment, UsageError } from './arguments.js';
import type { Verb } from './tsdb/verb.js';

const verbs: Readonly<Record<string, () => Promise<{ readonly verb: Verb }>>> = {
  ls: () => import('./tsdb/ls.js'),
  verify: () => import('./tsdb/verify.js'),
  analyze: () => import('./tsdb/analyze.js'),
  dump: () => import('./tsdb/dump.js'),
  import: () => import('./tsdb/import.js'),
  export: () => import('./tsdb/export.js'),
  backup: () => import('./tsdb/backup.js'),
  restore: () => import('./tsdb/restore.js'),
};

export const tsdbUsage = `Usage: metricstor tsdb <verb> … [--help]

Verbs:
  ls <dir>                  list the blocks
  verify <dir>              compare everything with its checksums
  analyze <dir>             what takes the space: sizes, metrics, labels, churn
  dump <dir>                write all samples to standard output, as JSON lines
  import <dir> …            take data from a Prometheus, or from JSON lines
  export <dir> …            write blocks for a Prometheus, or JSON lines
  backup <dir> <target>     bring a backup up to date
  restore <target> <dir>    make a data directory of a backup

ls, verify, analyze, dump and export change nothing; they and backup work where nothing can be
written. ls, verify and analyze may be used beside a running server; its log is then not looked at.
The others want the directory for themselves: of a running server's data, take a snapshot (POST
/api/v1/admin/tsdb/snapshot), which is a data directory.

Exit codes: 0 fine, 1 failed, found damage or refused a sample, 2 wrong usage or configuration.
`;

/** Runs a verb; resolves with the exit code. Throws {@link UsageError}. */
export async function tsdb(
  parameters: readonly string[],
  environment: Environment,
): Promise<number> {
  const [name, ...rest] = parameters;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(tsdbUsage);
    return name === undefined ? 2 : 0;
  }
  const load = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (load === undefined) {
    throw new UsageError(`no such verb: tsdb ${name}`, tsdbUsage);
  }
  const { verb } = await load();
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(verb.usage);
    return 0;
  }
  return await verb.run(rest, environment);
}

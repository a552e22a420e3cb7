import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../support/server.js';

function tsdb(...parameters: string[]): { code: number | null; out: string; err: string } {
  const bin = join(repositoryRoot, 'dist', 'bin.js');
  const done = spawnSync(process.execPath, [bin, 'tsdb', ...parameters], { encoding: 'utf8' });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

const verbs = ['ls', 'verify', 'analyze', 'dump', 'import', 'export', 'backup', 'restore'];

test('every verb is listed and explains itself', () => {
  const { code, out } = tsdb('--help');
  expect(code).toBe(0);
  for (const verb of verbs) {
    expect(out).toContain(`\n  ${verb} `);
    const help = tsdb(verb, '--help');
    expect([verb, help.code]).toEqual([verb, 0]);
    expect(help.out).toContain(`Usage: metricstor tsdb ${verb} `);
  }
});

test('wrong usage is exit code 2 and shows that of the verb', () => {
  for (const parameters of [
    ['mend'],
    ['ls'],
    ['ls', 'a', 'b'],
    ['verify', 'a', '--loud'],
    ['analyze', 'a', '--top', 'many'],
    ['dump', 'a', '--start', 'soon'],
    ['import', 'a'],
    ['import', 'a', '--json', 'b', '--prometheus', 'c'],
    ['export', 'a'],
    ['export', 'a', '--json', '-', '--start', '10', '--end', '5'],
    ['dump', 'a', '--start', '10', '--end', '5'],
    ['backup', 'a'],
    ['restore', 'a'],
  ]) {
    const { code, err } = tsdb(...parameters);
    expect([parameters, code]).toEqual([parameters, 2]);
    expect(err).toContain('Usage: metricstor tsdb ');
  }
});

test('of two options that exclude each other, and of times in the wrong order, it says so', () => {
  const both = tsdb('import', 'a', '--json', 'b', '--prometheus', 'c');
  expect(both.err).toContain('only one of --prometheus and --json may be given');
  const reversed = tsdb('export', 'a', '--json', '-', '--start', '10', '--end', '5');
  expect(reversed.err).toContain('--start 10 is after --end 5');
});

test('a directory that is no data directory is an error, and stays as it is', () => {
  const nowhere = join(repositoryRoot, 'no-such-directory');
  for (const parameters of [
    ['ls', nowhere],
    ['verify', nowhere],
    ['analyze', nowhere],
    ['dump', nowhere],
    ['export', nowhere, '--json', '-'],
    ['backup', nowhere, join(nowhere, 'target')],
    ['restore', nowhere, join(nowhere, 'data')],
  ]) {
    const { code, err } = tsdb(...parameters);
    expect([parameters, code]).toEqual([parameters, 1]);
    expect(err).toContain(nowhere);
    expect(existsSync(nowhere)).toBe(false);
  }
});

import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileWatch } from '../../src/auth/watch.js';
import { temporaryDirectory } from '../support/server.js';

let dir: { path: string; remove(): void };
beforeEach(() => {
  dir = temporaryDirectory('watch');
});
afterEach(() => dir.remove());

function watching(...paths: string[]): { look(): number } {
  let changes = 0;
  const watch = new FileWatch(
    () => paths,
    () => {
      changes += 1;
    },
  );
  return {
    look: () => {
      watch.look();
      return changes;
    },
  };
}

test('a file that is written, replaced, removed or made again has changed', () => {
  const file = join(dir.path, 'a');
  writeFileSync(file, '1');
  const watch = watching(file, '');
  expect(watch.look()).toBe(0);
  writeFileSync(file, '22');
  expect([watch.look(), watch.look()]).toEqual([1, 1]);
  writeFileSync(join(dir.path, 'b'), '33');
  renameSync(join(dir.path, 'b'), file);
  expect(watch.look()).toBe(2);
  rmSync(file);
  expect([watch.look(), watch.look()]).toEqual([3, 3]);
  writeFileSync(file, '22');
  expect(watch.look()).toBe(4);
});

test('a link that is switched to another directory has changed', () => {
  for (const name of ['one', 'two']) {
    mkdirSync(join(dir.path, name));
    writeFileSync(join(dir.path, name, 'cert'), name);
  }
  const link = join(dir.path, 'current');
  symlinkSync('one', link);
  const watch = watching(join(link, 'cert'));
  rmSync(link);
  symlinkSync('two', link);
  expect(watch.look()).toBe(1);
});

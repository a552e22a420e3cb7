import { expect, test } from 'vitest';
import { listFiles, readText, withoutComments } from './repository.js';

/** The layer of each module directly under `native/engine/src/`, as the front page has it. */
const layers: Readonly<Record<string, number>> = {
  error: 0,
  options: 0,
  sample: 0,
  refs: 0,
  labels: 0,
  histogram: 0,
  run: 0,
  sync: 0,
  cancel: 0,
  changes: 0,
  allocator: 0,
  paged: 0,
  clock: 0,
  stats: 0,
  dictionary: 0,
  // Bytes only; the canonical encoding of labels is made of its varints.
  codec: 0,
  disk: 1,
  chunk: 2,
  index: 2,
  wal: 2,
  wire: 2,
  source: 3,
  merge: 3,
  label_order: 3,
  tombstone: 3,
  retention: 3,
  relabel: 3,
  rollup: 3,
  limits: 3,
  head: 4,
  block: 4,
  compact: 5,
  read: 5,
  foreign: 5,
  commit: 6,
  backup: 6,
  deletes: 6,
  recover: 6,
  store: 6,
  background: 6,
  inspect: 6,
  engine: 7,
  transfer: 8,
};

/**
 * Modules that may know each other although they are on one layer: the plain values of layer 0 are
 * made of each other, and a file of one layer may be a step of a file beside it.
 */
const siblings = new Set([0, 6]);

const engine = 'native/engine/src/';
const files = listFiles(engine, (path) => path.endsWith('.rs')).filter(
  (path) => path !== `${engine}lib.rs` && !path.endsWith('tests.rs'),
);

function moduleOf(path: string): string {
  return path.slice(engine.length).replace(/\.rs$/, '').split('/')[0];
}

/** The source above its unit tests, which may reach further. */
function productSource(path: string): string {
  const source = withoutComments(readText(path));
  const tests = source.search(
    /#\[cfg\((?:all\()?test[^\]]*\]\s*(?:pub(?:\([^)]*\))? )?mod \w*tests?\b/,
  );
  return tests < 0 ? source : source.slice(0, tests);
}

/** First segments of the `crate::` paths of a file, those of grouped imports included. */
function modulesUsedBy(path: string): string[] {
  const source = productSource(path);
  const used = new Set<string>();
  for (const [, name] of source.matchAll(/\bcrate::(\w+)/g)) used.add(name);
  for (const { index } of source.matchAll(/\bcrate::\{/g)) {
    for (const name of firstSegments(source, index + 'crate::{'.length)) used.add(name);
  }
  return [...used];
}

/** First segments of the items of a brace group whose content starts at `start`. */
function firstSegments(source: string, start: number): string[] {
  let depth = 1;
  let item = '';
  const items: string[] = [];
  for (let i = start; depth > 0 && i < source.length; i++) {
    const char = source[i];
    if (char === '{') depth++;
    if (char === '}') depth--;
    if (depth === 0 || (depth === 1 && char === ',')) {
      items.push(item);
      item = '';
    } else {
      item += char;
    }
  }
  return items.flatMap((text) => text.trim().match(/^\w+/)?.[0] ?? []);
}

test('every module of the engine has a layer', () => {
  expect(files.map(moduleOf).filter((name) => layers[name] === undefined)).toEqual([]);
});

test('no module of the engine uses one above or beside it', () => {
  const wrong: string[] = [];
  for (const path of files) {
    const own = moduleOf(path);
    for (const used of modulesUsedBy(path)) {
      if (used === own || used === 'error') continue;
      const layer = layers[used];
      const allowed =
        layer !== undefined &&
        (layer < layers[own] || (layer === layers[own] && siblings.has(layer)));
      if (!allowed) wrong.push(`${path} uses crate::${used}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('only the binding names napi', () => {
  const naming = listFiles('native', (path) => /\.(rs|toml)$/.test(path))
    .filter((path) => !path.startsWith('native/binding/') && path !== 'native/Cargo.toml')
    .filter((path) => /\bnapi\w*\b/.test(withoutComments(readText(path)).replaceAll(/#.*/g, '')));
  expect(naming).toEqual([]);
});

test('only the disk module touches files', () => {
  const touching = files
    .filter((path) => !path.startsWith(`${engine}disk/`))
    .filter((path) => /\bstd::fs\b|\bmemmap2::|\bFile::(open|create)\b/.test(productSource(path)));
  expect(touching).toEqual([]);
});

test('threads, locks, channels and time of the engine come from sync.rs', () => {
  const elsewhere =
    /\bstd::(sync|thread)\b|\btime::(Instant\b|\{[^}]*\bInstant\b)|\b(parking_lot|arc_swap)::|\bcrossbeam_\w+::|\bthread_local!/;
  const taking = files
    .filter((path) => path !== `${engine}sync.rs` && !path.startsWith(`${engine}sync/`))
    // A switch of one thread's tests, which no other thread reads.
    .filter((path) => path !== `${engine}codec/checksum.rs`)
    .filter((path) => !path.includes('/tests/') && elsewhere.test(productSource(path)));
  expect(taking).toEqual([]);
});

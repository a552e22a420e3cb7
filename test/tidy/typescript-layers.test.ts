import { posix } from 'node:path';
import { expect, test } from 'vitest';
import { listFiles, readText, withoutComments } from './repository.js';

/**
 * The layer of each folder or file directly under `src/`. A file imports lower layers and its own
 * room; rooms on one layer do not know each other.
 */
const rooms: Readonly<Record<string, number>> = {
  'errors.ts': 0,
  model: 0,
  storage: 1,
  config: 1,
  client: 1,
  telemetry: 2,
  native: 2,
  promql: 3,
  auth: 3,
  query: 4,
  rules: 4,
  scrape: 4,
  http: 5,
  grpc: 5,
  server: 6,
  main: 7,
};

/** Files at the top of `src/` that share a room. */
const sharedRooms: Readonly<Record<string, string>> = {
  'server.ts': 'server',
  'index.ts': 'server',
  'engine-options.ts': 'server',
  'main.ts': 'main',
  'bin.ts': 'main',
  cli: 'main',
};

/** Rooms that know less than their layer allows. */
const narrow: Readonly<Record<string, readonly string[]>> = {
  client: ['model', 'errors.ts'],
  promql: ['model', 'storage', 'errors.ts'],
};

const files = listFiles('src', (path) => path.endsWith('.ts') && !path.startsWith('src/ui/'));

function roomOf(path: string): string {
  const [, top] = path.split('/');
  return sharedRooms[top] ?? top;
}

/** Paths of the modules of this repository that `path` imports, types included. */
function importsOf(path: string): string[] {
  const source = withoutComments(readText(path));
  const specifiers = source.matchAll(/(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g);
  return [...specifiers].map(([, specifier]) =>
    posix.join(posix.dirname(path), specifier.replace(/\.js$/, '.ts')),
  );
}

test('every folder of src has a layer', () => {
  const unknown = files.filter((path) => rooms[roomOf(path)] === undefined);
  expect(unknown).toEqual([]);
});

test('nothing imports upward, sideways or outside of src', () => {
  const wrong: string[] = [];
  for (const path of files) {
    const room = roomOf(path);
    for (const imported of importsOf(path)) {
      const target = roomOf(imported);
      if (target === room || target === 'errors.ts') continue;
      const allowed =
        imported.startsWith('src/') &&
        rooms[target] < rooms[room] &&
        (narrow[room]?.includes(target) ?? true);
      if (!allowed) wrong.push(`${path} imports ${imported}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('no module imports itself through others', () => {
  const state = new Map<string, 'open' | 'done'>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' > '));
      return;
    }
    state.set(path, 'open');
    for (const imported of runtimeImportsOf(path)) visit(imported, [...trail, path]);
    state.set(path, 'done');
  };
  for (const path of files) visit(path, []);
  expect(cycles).toEqual([]);
});

/** Imports that exist when the program runs: two files may name each other's types. */
function runtimeImportsOf(path: string): string[] {
  const source = withoutComments(readText(path));
  const statements = source.matchAll(
    /^\s*(?:import|export)\s+(?!type\b)[^;]*?from\s+['"](\.{1,2}\/[^'"]+)['"]/gm,
  );
  return [...statements]
    .filter(
      ([statement]) => !/^\s*(?:import|export)\s*\{(?:\s*type\s+[^,}]+,?)+\s*\}/.test(statement),
    )
    .map(([, specifier]) => posix.join(posix.dirname(path), specifier.replace(/\.js$/, '.ts')))
    .filter((imported) => files.includes(imported));
}

test('only the typed façade loads the add-on', () => {
  const loaders = files.filter((path) => importsOf(path).includes('src/native/load.ts'));
  expect(loaders.filter((path) => !path.startsWith('src/native/'))).toEqual([]);
});

test('the engine, the add-on and the disk are out of reach of the query engine', () => {
  const reaching = files
    .filter((path) => path.startsWith('src/promql/') || path.startsWith('src/model/'))
    .filter((path) => /from\s+['"]node:(fs|net|http|child_process)/.test(readText(path)));
  expect(reaching).toEqual([]);
});

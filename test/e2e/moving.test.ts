import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type RunningServer,
  repositoryRoot,
  startServer,
  temporaryDirectory,
} from '../support/server.js';

let dir: { path: string; remove(): void };
beforeEach(() => {
  dir = temporaryDirectory('moving');
});
afterEach(() => dir.remove());

interface Done {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function tsdb(...parameters: string[]): Done {
  return tsdbWith({}, ...parameters);
}

/** With settings of the configuration, by the names of their variables. */
function tsdbWith(settings: Readonly<Record<string, string>>, ...parameters: string[]): Done {
  const bin = join(repositoryRoot, 'dist', 'bin.js');
  const done = spawnSync(process.execPath, [bin, 'tsdb', ...parameters], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, ...settings },
  });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

const now = Math.floor(Date.now() / 1000) * 1000;

/** Lines of ten series, with every kind of special value. */
function lines(): string {
  const series = Array.from({ length: 10 }, (_, n) => {
    const values = [n, 0.5, null, 'Infinity', '-Infinity', null, 1e-300];
    const timestamps = values.map((_, i) => now - (values.length - i) * 60_000);
    const metric = { __name__: 'm', n: `${n}` };
    return JSON.stringify({ metric, values, timestamps, nan_bits: { '5': '7ff0000000000002' } });
  });
  return `${series.join('\n')}\n`;
}

async function post(server: RunningServer, path: string, body = ''): Promise<Response> {
  return await fetch(`${server.url}${path}`, { method: 'POST', body });
}

test('data goes out and in by snapshot, backup, restore, dump and import, bit for bit', async () => {
  const [data, target] = [join(dir.path, 'data'), join(dir.path, 'backup')];
  const server = await startServer({ dataDir: data });
  expect((await post(server, '/api/v1/import', lines())).status).toBe(204);
  const exported = await (await fetch(`${server.url}/api/v1/export?match[]=m`)).text();
  const answer = await (await post(server, '/api/v1/admin/tsdb/snapshot')).json();
  const { name } = (answer as { data: { name: string } }).data;
  const snapshot = join(data, 'snapshots', name);

  // Beside the running server.
  expect(tsdb('ls', data)).toMatchObject({ code: 0, out: expect.stringContaining('70') });
  expect(tsdb('analyze', data)).toMatchObject({ code: 0, out: expect.stringContaining('m ') });
  const verified = tsdb('verify', data, '--json');
  expect([verified.code, JSON.parse(verified.out).log]).toEqual([0, 'in-use']);
  for (const verb of [
    ['dump', data],
    ['backup', data, target],
    ['export', data, '--json', '-'],
    ['import', data, '--json', join(dir.path, 'nothing')],
  ]) {
    const refused = tsdb(...verb);
    expect([verb[0], refused.code]).toEqual([verb[0], 1]);
    expect(refused.err).toContain(`(pid ${server.pid}) has the data directory open`);
    expect(refused.err).toContain('take a snapshot');
  }
  expect(tsdb('backup', snapshot, target)).toMatchObject({ code: 0 });
  expect(existsSync(join(snapshot, 'wal'))).toBe(false);
  expect(await server.stop()).toBe(0);

  const restored = join(dir.path, 'restored');
  expect(tsdb('restore', target, restored)).toMatchObject({ code: 0 });
  expect(tsdb('restore', target, restored)).toMatchObject({
    code: 1,
    err: expect.stringContaining('not empty'),
  });
  for (const copy of [data, restored]) {
    expect(tsdb('verify', copy)).toMatchObject({
      code: 0,
      out: expect.stringContaining('no damage found'),
    });
    expect(tsdb('dump', copy).out).toBe(exported);
  }
  const [file, again] = [join(dir.path, 'lines.json.gz'), join(dir.path, 'again')];
  expect(tsdb('export', restored, '--json', file, '--match', 'm{n="3"}').code).toBe(0);
  expect(tsdb('import', again, '--json', file)).toMatchObject({
    code: 0,
    out: expect.stringContaining('7 samples stored'),
  });
  const three = exported.split('\n').filter((text) => text.includes('"n":"3"'));
  expect(tsdb('dump', again).out).toBe(`${three.join('\n')}\n`);
  // Some twenty processes, one after the other.
}, 180_000);

test('blocks written for Prometheus are read again', async () => {
  const [data, file] = [join(dir.path, 'data'), join(dir.path, 'lines.json')];
  writeFileSync(file, lines());
  expect(tsdb('import', data, '--json', file).code).toBe(0);
  const blocks = join(dir.path, 'prometheus');
  expect(tsdb('export', data, '--prometheus', blocks)).toMatchObject({
    code: 0,
    out: expect.stringContaining('70 samples'),
  });
  const other = join(dir.path, 'other');
  const report = tsdb('import', other, '--prometheus', blocks, '--json-report');
  expect(JSON.parse(report.out)).toMatchObject({ read: 70, stored: 70, tooOld: 0, refused: 0 });
  expect(tsdb('dump', other).out).toBe(tsdb('dump', data).out);
});

test('damage is found, named and exit code 1', () => {
  const [data, file] = [join(dir.path, 'data'), join(dir.path, 'lines.json')];
  writeFileSync(file, lines());
  expect(tsdb('import', data, '--json', file).code).toBe(0);
  const [block] = readdirSync(join(data, 'blocks'));
  const chunks = join(data, 'blocks', block as string, 'chunks');
  const bytes = readFileSync(chunks);
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
  writeFileSync(chunks, bytes);
  const { code, out } = tsdb('verify', data);
  expect(code).toBe(1);
  expect(out).toContain('corruption: ');
  expect(out).toContain(chunks);
});

test('a block that cannot be described is named, and the others are listed', () => {
  const data = join(dir.path, 'data');
  expect(tsdb('import', data, '--json', linesOf('lines', { a: 40, b: 1 })).code).toBe(0);
  const listed = JSON.parse(tsdb('ls', data, '--json').out) as { ulid: string }[];
  expect(listed.length).toBeGreaterThan(1);
  const meta = join(data, 'blocks', listed[0]?.ulid as string, 'meta.json');
  writeFileSync(meta, '{}');
  for (const verb of ['ls', 'analyze']) {
    const { code, out, err } = tsdb(verb, data, '--json');
    expect([verb, code]).toEqual([verb, 1]);
    expect(err).toContain(`corruption: `);
    expect(err).toContain(meta);
    const report = JSON.parse(out);
    expect(verb === 'ls' ? report : report.blocks).toHaveLength(listed.length - 1);
  }
}, 180_000);

/** Every file below a directory, with when it was changed, and every directory. */
function tree(root: string): unknown {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { mtimeMs, size, mode } = statSync(join(root, name));
      return [name, mtimeMs, size, mode];
    });
}

test('what only reads changes nothing, of a killed server and where nothing may be written', async () => {
  const data = join(dir.path, 'data');
  const server = await startServer({ dataDir: data });
  expect((await post(server, '/api/v1/import', lines())).status).toBe(204);
  const exported = await (await fetch(`${server.url}/api/v1/export?match[]=m`)).text();
  await server.kill();
  // Root may write all the same; the tree says whether somebody did.
  for (const name of ['', ...readdirSync(data)]) {
    chmodSync(join(data, name), statSync(join(data, name)).mode & ~0o222);
  }
  const before = tree(data);
  try {
    expect(tsdb('dump', data)).toMatchObject({ code: 0, out: exported });
    const out = join(dir.path, 'out');
    expect(tsdb('export', data, '--prometheus', out).out).toContain('70 samples');
    for (const verb of ['ls', 'verify', 'analyze']) {
      expect([verb, tsdb(verb, data).code]).toEqual([verb, 0]);
    }
    expect(tree(data)).toEqual(before);
    const target = join(dir.path, 'target');
    expect(tsdb('backup', data, target)).toMatchObject({ code: 0 });
    expect(tsdb('restore', target, join(dir.path, 'restored')).code).toBe(0);
    expect(tsdb('dump', join(dir.path, 'restored')).out).toBe(exported);
  } finally {
    for (const name of ['', ...readdirSync(data)]) {
      chmodSync(join(data, name), statSync(join(data, name)).mode | 0o200);
    }
  }
}, 180_000);

const dayMs = 24 * 3_600_000;

/** A file with a line for each series: two samples, so many days before now. */
function linesOf(name: string, daysOf: Readonly<Record<string, number>>): string {
  const file = join(dir.path, name);
  const text = Object.entries(daysOf).map(([metric, days]) => {
    const timestamps = [now - days * dayMs, now - days * dayMs + 1000];
    return JSON.stringify({ metric: { __name__: metric }, values: [1, 2], timestamps });
  });
  writeFileSync(file, `${text.join('\n')}\n`);
  return file;
}

test('an import removes nothing that is stored, whatever its configuration keeps', () => {
  const data = join(dir.path, 'data');
  const old = linesOf('old', { a: 400, b: 200, c: 100, d: 30 });
  const kept = tsdbWith({ METRICSTOR_RETENTION_DAYS: '3000' }, 'import', data, '--json', old);
  expect(kept).toMatchObject({ code: 0, err: '' });
  const before = tsdb('dump', data).out;
  expect(before.split('\n')).toHaveLength(5);
  const more = linesOf('more', { e: 1 });
  for (const settings of [
    {},
    { METRICSTOR_RETENTION_SIZE: '1' },
    { METRICSTOR_RETENTION_RULES: '[{match: a, days: 1}]', METRICSTOR_RETENTION_DAYS: '0.5' },
  ]) {
    const imported = tsdbWith(settings, 'import', data, '--json', more);
    expect([settings, imported.code]).toEqual([settings, 0]);
    expect(tsdb('dump', data).out).toContain(before);
  }
  const blocks = join(dir.path, 'prometheus');
  expect(tsdb('export', data, '--prometheus', blocks, '--match', 'e').code).toBe(0);
  expect(tsdb('import', data, '--prometheus', blocks).code).toBe(0);
  expect(tsdb('dump', data).out).toContain(before);
}, 180_000);

test('an import warns of what a server would drop, and counts it', () => {
  const data = join(dir.path, 'data');
  const file = linesOf('lines', { a: 400, ab: 200, b: 100, c: 10, d: 0 });
  const imported = (...more: string[]) => tsdb('import', data, '--json', file, ...more);
  const byDefault = imported();
  expect(byDefault).toMatchObject({ code: 0, out: expect.stringContaining('10 samples stored') });
  expect(byDefault.err).toContain('warning: 6 samples');
  expect(byDefault.err).toContain('retention.days (15)');
  expect(imported('--retention-days', '300').err).toContain('warning: 2 samples');
  const enough = imported('--retention-days', '500', '--json-report');
  expect(enough.err).toBe('');
  expect(JSON.parse(enough.out)).toMatchObject({ samples: 10, beforeRetention: 0 });
  // a and ab are under the first rule, b under the second one, c and d under neither.
  const rules =
    '[{match: "{__name__=~\'a.*\'}", days: 300}, {match: "{__name__=~\'.*b\'}", days: 50}]';
  const ruled = tsdbWith(
    { METRICSTOR_RETENTION_RULES: rules, METRICSTOR_RETENTION_DAYS: '5' },
    ...['import', data, '--json', file, '--json-report'],
  );
  expect(JSON.parse(ruled.out)).toMatchObject({ beforeRetention: 6 });
  expect(ruled.err).toContain('and retention.rules keep');
}, 180_000);

test('an import warns of an archive that goes once something newer is stored', () => {
  const file = linesOf('archived', { a: 400, b: 410 });
  const imported = (...more: string[]) =>
    tsdb('import', join(dir.path, 'archive'), '--json', file, ...more);
  const { code, err } = imported();
  expect(code).toBe(0);
  expect(err).toContain('warning: 4 samples');
  expect(err).toContain('once it has stored newer samples');
  expect(imported('--retention-days', '500').err).toBe('');
  // Of these, b is before what retention keeps of the archive itself.
  const short = imported('--retention-days', '5');
  expect(short.err).toContain('warning: 2 samples');
  expect(short.err).toContain('at its next start');
}, 180_000);

test('an import that refuses something stores the others and fails', () => {
  const [data, file] = [join(dir.path, 'data'), join(dir.path, 'lines.json')];
  writeFileSync(file, `${lines()}no line\n{}\n`);
  const { code, out, err } = tsdb('import', data, '--json', file);
  expect(code).toBe(1);
  expect(out).toContain('70 samples stored');
  expect(out).toContain('2 refused (bad_data):');
  expect(err).toContain('2 refused');
  expect(tsdb('dump', data).out.split('\n')).toHaveLength(11);
});

test('a data directory of metricstor is not taken for one of Prometheus', () => {
  const [data, other, file] = ['data', 'other', 'lines.json'].map((name) => join(dir.path, name));
  writeFileSync(file as string, lines());
  expect(tsdb('import', data as string, '--json', file as string).code).toBe(0);
  const { code, err } = tsdb('import', other as string, '--prometheus', data as string);
  expect(code).toBe(1);
  expect(err).toContain(`${data} is a data directory of metricstor`);
  expect(existsSync(other as string)).toBe(false);
});

test('the backup of another store stands unless it is to be replaced', () => {
  const [data, other, target] = [join(dir.path, 'a'), join(dir.path, 'b'), join(dir.path, 'c')];
  expect(tsdb('import', data, '--json', linesOf('lines', { a: 1 })).code).toBe(0);
  expect(tsdb('import', other, '--json', linesOf('others', { b: 1 })).code).toBe(0);
  expect(tsdb('backup', data, target).code).toBe(0);
  const manifest = readFileSync(join(target, 'manifest.json'), 'utf8');
  const refused = tsdb('backup', other, target);
  expect(refused.code).toBe(1);
  for (const part of [target, other, '--replace']) {
    expect(refused.err).toContain(part);
  }
  expect(readFileSync(join(target, 'manifest.json'), 'utf8')).toBe(manifest);
  expect(tsdb('backup', data, target).out).toContain('0 blocks copied');
  expect(tsdb('backup', other, target, '--replace').out).toContain('1 blocks removed');
}, 180_000);

test('a restore that fails leaves no data directory, and may be repeated', () => {
  const [data, target, restored] = [join(dir.path, 'a'), join(dir.path, 'b'), join(dir.path, 'c')];
  expect(tsdb('import', data, '--json', linesOf('lines', { a: 1 })).code).toBe(0);
  expect(tsdb('backup', data, target).code).toBe(0);
  const [block] = readdirSync(join(target, 'blocks'));
  const chunks = join(target, 'blocks', block as string, 'chunks');
  const bytes = readFileSync(chunks);
  writeFileSync(chunks, bytes.subarray(1));
  expect(tsdb('restore', target, restored)).toMatchObject({
    code: 1,
    err: expect.stringContaining(chunks),
  });
  expect(readdirSync(restored)).toEqual([]);
  writeFileSync(chunks, bytes);
  expect(tsdb('restore', target, restored).code).toBe(0);
  expect(tsdb('dump', restored).out).toBe(tsdb('dump', data).out);
}, 180_000);

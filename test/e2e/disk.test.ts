import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { RemoteWriteClient, type WireSeries } from '../../src/client/remote-write.js';
import { bitsOfSeries, pushAll, series } from '../support/push.js';
import { ask, queryRaw } from '../support/query.js';
import { missingFrom } from '../support/recording.js';
import {
  type RunningServer,
  ServerExited,
  startServer,
  temporaryDirectory,
} from '../support/server.js';

const now = Date.now();
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function directory(purpose: string): string {
  const made = temporaryDirectory(purpose);
  cleanups.push(() => made.remove());
  return made.path;
}

async function start(dataDir: string, env: Record<string, string> = {}): Promise<RunningServer> {
  const server = await startServer({ dataDir, env });
  cleanups.push(() => server.kill());
  return server;
}

/** A small file system of its own, or undefined where mounting is not allowed. */
function mountTmpfs(purpose: string, options: string): string | undefined {
  const path = directory(purpose);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'pipe' });
  } catch {
    return undefined;
  }
  cleanups.push(() => void execFileSync('umount', ['-l', path]));
  return path;
}

const mountAllowed = ((): boolean => {
  const probe = mountTmpfs('probe', 'size=64k') !== undefined;
  for (const cleanup of cleanups.splice(0).reverse()) void cleanup();
  return probe;
})();

/** A request whose bytes do not compress, so that a small disk fills soon. */
function bulk(request: number): WireSeries[] {
  return Array.from({ length: 20 }, (_, i) =>
    series(
      { __name__: 'disk_bulk', index: String(i) },
      Array.from({ length: 100 }, (_, k) => [
        now - 3_600_000 + request * 1000 + k * 10,
        Math.random() * 1e9,
      ]),
    ),
  );
}

test.skipIf(!mountAllowed)(
  'a full disk refuses writes with 503, loses nothing, and recovers when there is room',
  async () => {
    const dir = mountTmpfs('full', 'size=12m') ?? '';
    const ballast = join(dir, 'ballast');
    writeFileSync(ballast, Buffer.alloc(6 << 20));
    const dataDir = join(dir, 'data');
    const env = {
      METRICSTOR_STORAGE_WAL_SEGMENT_BYTES: '1MiB',
      METRICSTOR_STORAGE_WAL_MAX_BYTES: '1GiB',
    };
    const server = await start(dataDir, env);
    const client = new RemoteWriteClient({ url: server.url });
    cleanups.push(() => client.close());

    const acknowledged: WireSeries[] = [];
    let request = 0;
    const writeUntil = async (status: number): Promise<void> => {
      for (let tries = 0; tries < 2000; tries++) {
        const batch = bulk(request++);
        const answer = await client.write(batch);
        if (answer.status === 204) acknowledged.push(...batch);
        else {
          expect([answer.status, answer.body]).toEqual([503, expect.stringMatching(/\w{3}/)]);
          expect(answer.retryAfterSeconds).toBeGreaterThan(0);
        }
        if (answer.status === status) return;
        // The engine looks for room again after a while; a real sender waits as long.
        if (answer.status === 503) await new Promise((resolve) => setTimeout(resolve, 100));
      }
      throw new Error(`no answer ${status} in 2000 requests`);
    };
    const expectAllThere = async (url: string): Promise<void> => {
      const stored = await queryRaw(url, 'disk_bulk[3h]', now + 3_600_000);
      expect(missingFrom(stored, bitsOfSeries(acknowledged))).toEqual([]);
    };

    await writeUntil(503);
    expect(acknowledged.length).toBeGreaterThan(0);
    await expectAllThere(server.url);
    const flush = () => ask(`${server.url}/api/v1/admin/tsdb/flush`, { form: {} });
    const refused = await flush();
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5']);
    expect(readdirSync(join(dataDir, 'blocks'))).toEqual([]);
    const { text } = await ask(`${server.url}/metrics`);
    const ofDisk = () => server.logs.filter(({ code }) => code === 'disk_full').length;
    await expect.poll(ofDisk).toBe(1);
    const free = Number(/^metricstor_disk_free_bytes (.*)$/m.exec(text)?.[1]);
    expect(free).toBeLessThan(2 << 20);
    await expectAllThere(server.url);

    rmSync(ballast);
    await expect.poll(async () => (await flush()).status, { timeout: 40_000 }).toBe(204);
    expect(readdirSync(join(dataDir, 'blocks'))).not.toEqual([]);
    await expectAllThere(server.url);
    await writeUntil(204);
    await expectAllThere(server.url);

    await server.kill();
    const again = await start(dataDir, env);
    await expectAllThere(again.url);
  },
  120_000,
);

test('a read-only directory is refused at the start, with its name', async ({ skip }) => {
  let dataDir: string;
  if (process.getuid?.() === 0) {
    // Permissions do not bind root; a read-only file system does.
    const mounted = mountTmpfs('read-only', 'ro,size=64k');
    if (mounted === undefined) skip('mounting is not allowed here');
    dataDir = mounted ?? '';
  } else {
    dataDir = directory('read-only');
    chmodSync(dataDir, 0o555);
    cleanups.push(() => chmodSync(dataDir, 0o755));
  }
  const failure = await start(dataDir).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ServerExited);
  const { code, output } = failure as ServerExited;
  expect(code).toBeGreaterThan(0);
  expect(output).toContain(dataDir);
});

test('a second process on the same directory is refused, and the first goes on', async () => {
  const dataDir = directory('second');
  const server = await start(dataDir);
  const failure = await start(dataDir).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ServerExited);
  const { code, output } = failure as ServerExited;
  expect(code).toBeGreaterThan(0);
  expect(output).toContain(dataDir);

  await pushAll(server.url, [series({ __name__: 'disk_first' }, [[now, 1]])]);
  expect((await queryRaw(server.url, 'disk_first[1m]', now)).size).toBe(1);
});

test('the directory of a killed process can be opened at once', async () => {
  const dataDir = directory('killed');
  const first = await start(dataDir);
  await pushAll(first.url, [series({ __name__: 'disk_killed' }, [[now, 1]])]);
  await first.kill();
  const second = await start(dataDir);
  expect((await queryRaw(second.url, 'disk_killed[1m]', now)).size).toBe(1);
});

test('a data directory is made with its parents', async () => {
  const parent = directory('parents');
  mkdirSync(join(parent, 'a'));
  const server = await start(join(parent, 'a', 'b', 'c'));
  await pushAll(server.url, [series({ __name__: 'disk_made' }, [[now, 1]])]);
});

/** A server of two blocks, of one series each, that was stopped; the names of their directories. */
async function twoBlocks(dataDir: string, blocks: WireSeries[]): Promise<string[]> {
  const server = await start(dataDir);
  for (const one of blocks) {
    await pushAll(server.url, [one]);
    const flushed = await fetch(`${server.url}/api/v1/admin/tsdb/flush`, { method: 'POST' });
    expect(flushed.status).toBe(204);
  }
  expect(await server.stop()).toBe(0);
  return readdirSync(join(dataDir, 'blocks')).sort();
}

/** The line of the log about a block that was set aside. */
const damageLine = ({ logs }: RunningServer) => logs.find(({ damage }) => damage !== undefined);

async function expectQuarantined(server: RunningServer, dataDir: string, block: string) {
  const lines = server.logs.filter(({ damage }) => damage !== undefined);
  expect(lines).toEqual([
    expect.objectContaining({
      level: 'error',
      damage: expect.stringContaining(join(dataDir, 'quarantine', block)),
    }),
  ]);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toContain('\nmetricstor_blocks_quarantined 1\n');
  const status = await fetch(`${server.url}/api/v1/status/runtimeinfo`);
  expect(await status.json()).toMatchObject({
    data: { corruptionCount: 1, lastFailure: lines[0]?.damage },
  });
  expect(readdirSync(join(dataDir, 'quarantine'))).toEqual([block, `${block}.txt`]);
}

test('a damaged block is set aside, said so everywhere, and the rest is served', async () => {
  const dataDir = directory('damage');
  const first = series({ __name__: 'damaged' }, [[now, 1]]);
  const second = series({ __name__: 'whole' }, [[now, 2]]);
  const [oldest = ''] = await twoBlocks(dataDir, [first, second]);
  const damagedFile = join(dataDir, 'blocks', oldest, 'meta.json');
  writeFileSync(damagedFile, readFileSync(damagedFile, 'utf8').replace('"level": 1', '"level": 2'));

  const server = await start(dataDir);
  const stored = await queryRaw(server.url, '{__name__=~"damaged|whole"}[1h]', now);
  expect(stored).toEqual(bitsOfSeries([second]));
  await expectQuarantined(server, dataDir, oldest);
});

test('damage that a query finds fails that query, and the next is answered', async () => {
  const dataDir = directory('damage-inside');
  const first = series({ __name__: 'damaged' }, [[now, 1]]);
  const second = series({ __name__: 'whole' }, [[now, 2]]);
  const [oldest = ''] = await twoBlocks(dataDir, [first, second]);
  const chunks = join(dataDir, 'blocks', oldest, 'chunks');
  const bytes = readFileSync(chunks);
  // In the only record: past magic and version.
  bytes.writeUInt8(bytes.readUInt8(14) ^ 1, 14);
  writeFileSync(chunks, bytes);

  // Nothing is merged meanwhile: only the query can find it.
  const env = { METRICSTOR_COMPACTION_CPU_SHARE: '0' };
  const server = await start(dataDir, env);
  expect(damageLine(server)).toBeUndefined();
  const query = 'sum({__name__=~"damaged|whole"})';
  const evaluate = () =>
    ask(`${server.url}/api/v1/query`, { form: { query, time: String(now / 1000) } });
  const failed = await evaluate();
  expect(failed.status).toBe(500);
  expect(failed.text).toContain(chunks);
  await expect.poll(async () => (await evaluate()).status, { timeout: 20_000 }).toBe(200);
  expect(JSON.parse((await evaluate()).text).data.result[0].value[1]).toBe('2');
  await expect.poll(() => damageLine(server), { timeout: 20_000 }).toBeDefined();
  expect(damageLine(server)?.damage).toContain(`1 samples from ${now} to ${now} ms are missing`);
  await expectQuarantined(server, dataDir, oldest);

  expect(await server.stop()).toBe(0);
  const again = await start(dataDir, env);
  const stored = await queryRaw(again.url, '{__name__=~"damaged|whole"}[1h]', now);
  expect(stored).toEqual(bitsOfSeries([second]));
});

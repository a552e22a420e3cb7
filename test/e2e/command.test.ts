import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { series } from '../support/push.js';
import { ask, queryRaw } from '../support/query.js';
import { countSamples } from '../support/recording.js';
import { repositoryRoot, startServer, temporaryDirectory } from '../support/server.js';

const work = temporaryDirectory('command');
afterAll(() => work.remove());

interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function metricstor(args: readonly string[], env: Record<string, string> = {}): Finished {
  return spawnSync(process.execPath, [join(repositoryRoot, 'dist', 'bin.js'), ...args], {
    cwd: work.path,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
}

test('version prints the version', () => {
  expect(metricstor(['version'])).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/\d+\.\d+\.\d+/),
  });
});

test('--help prints the commands', () => {
  const { status, stdout } = metricstor(['--help']);
  expect(status).toBe(0);
  expect(stdout).toMatch(/serve[\s\S]*check-config[\s\S]*version/);
});

test('a command that does not exist is wrong usage', () => {
  expect(metricstor(['frobnicate'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('frobnicate'),
  });
});

test('check-config accepts a good file', () => {
  const file = join(work.path, 'good.yml');
  writeFileSync(file, 'retention:\n  days: 30\n');
  expect(metricstor(['check-config', '--config', file]).status).toBe(0);
});

test('check-config names every error with its line and key, and the environment variable', () => {
  const file = join(work.path, 'bad.yml');
  writeFileSync(file, 'retention:\n  days: -1\nwal:\n  sync: sometimes\nnonsense: 1\n');
  const { status, stderr } = metricstor(['check-config', '--config', file], {
    METRICSTOR_HTTP_ADDR: 'nowhere',
  });
  expect(status).toBe(2);
  expect(stderr).toContain('bad.yml:2');
  expect(stderr).toContain('retention.days');
  expect(stderr).toContain('bad.yml:4');
  expect(stderr).toContain('wal.sync');
  expect(stderr).toContain('nonsense');
  expect(stderr).toContain('METRICSTOR_HTTP_ADDR');
});

test('a configuration with errors does not start a server', () => {
  expect(metricstor(['serve'], { METRICSTOR_RETENTION_DAYS: 'many' })).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('METRICSTOR_RETENTION_DAYS'),
  });
});

test('a port that is taken is said, and the process ends', async () => {
  const server = await startServer({ dataDir: join(work.path, 'first') });
  try {
    const { status, stderr, stdout } = metricstor(['serve'], {
      METRICSTOR_HTTP_ADDR: new URL(server.url).host,
      METRICSTOR_GRPC_ADDR: '',
      METRICSTOR_DATA_DIR: join(work.path, 'second'),
    });
    expect(status).toBe(1);
    expect(stdout + stderr).toContain('EADDRINUSE');
  } finally {
    await server.kill();
  }
});

test('SIGTERM under load finishes what was accepted and ends within bounds', async () => {
  const dataDir = join(work.path, 'stopped');
  const server = await startServer({ dataDir });
  const client = new RemoteWriteClient({ url: server.url });
  const now = Date.now();
  let acknowledged = 0;
  const load = Array.from({ length: 4 }, async (_, writer) => {
    for (let i = 0; ; i++) {
      const labels = { __name__: 'stopped', writer: String(writer), i: String(i) };
      const answer = await client.write([series(labels, [[now, i]])]);
      if (answer.status !== 204) return;
      acknowledged++;
    }
  });
  await expect.poll(() => acknowledged, { timeout: 20_000 }).toBeGreaterThan(50);
  const start = performance.now();
  const stopped = server.stop();
  await Promise.allSettled(load);
  expect(await stopped).toBe(0);
  expect(performance.now() - start).toBeLessThan(35_000);
  client.close();

  const again = await startServer({ dataDir });
  try {
    const stored = await queryRaw(again.url, 'stopped[1m]', now);
    // A request whose answer was cut off may be there too.
    expect(countSamples(stored)).toBeGreaterThanOrEqual(acknowledged);
    expect((await ask(`${again.url}/-/ready`)).status).toBe(200);
  } finally {
    expect(await again.stop()).toBe(0);
  }
});

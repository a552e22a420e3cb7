import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  repositoryRoot,
  ServerExited,
  startServer,
  temporaryDirectory,
} from '../support/server.js';

let dir: { path: string; remove(): void };
beforeEach(() => {
  dir = temporaryDirectory('command');
});
afterEach(() => dir.remove());

function run(...parameters: string[]): { code: number | null; out: string; err: string } {
  const bin = join(repositoryRoot, 'dist', 'bin.js');
  const done = spawnSync(process.execPath, [bin, ...parameters], { encoding: 'utf8' });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

function configFile(yaml: string): string {
  const file = join(dir.path, 'metricstor.yml');
  writeFileSync(file, yaml);
  return file;
}

test('the version is printed', () => {
  expect(run('version')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^metricstor \d+\.\d+\.\d+ \(/),
  });
});

test('wrong usage is exit code 2 and shows the right one', () => {
  const { code, err } = run('begin');
  expect([code, err]).toEqual([2, expect.stringContaining('Usage: metricstor')]);
});

test('a good configuration is printed as it takes effect', () => {
  const { code, out } = run('check-config', '--config', configFile('query:\n  timeout: 90s\n'));
  expect([code, out]).toEqual([0, expect.stringContaining('timeout: 1m30s')]);
});

test('a bad configuration is exit code 2 with every error', () => {
  const file = configFile('query:\n  timeout: soon\nnonsense: 1\n');
  for (const command of ['check-config', 'serve']) {
    const { code, err } = run(command, '--config', file);
    expect(code).toBe(2);
    expect(err).toContain(`${file}:2: query.timeout`);
    expect(err).toContain(`${file}:3: nonsense`);
  }
});

test('TLS files that cannot be read are found by check-config and by serve', () => {
  const missing = join(dir.path, 'missing.pem');
  const file = configFile(`tls: {cert: ${missing}, key: ${missing}}\ndataDir: ${dir.path}/data\n`);
  expect(run('check-config', '-c', file).err).toContain(missing);
  const { code, err } = run('serve', '-c', file);
  expect([code, err]).toEqual([2, expect.stringContaining(missing)]);
});

test('a taken port is exit code 1 with the port', async () => {
  const server = await startServer({ dataDir: join(dir.path, 'one') });
  const { host } = new URL(server.url);
  const failure = await startServer({
    dataDir: join(dir.path, 'two'),
    env: { METRICSTOR_HTTP_ADDR: host },
  }).catch((error: unknown) => error);
  await server.stop();
  expect(failure).toBeInstanceOf(ServerExited);
  expect((failure as ServerExited).code).toBe(1);
  expect((failure as ServerExited).output).toContain(host);
});

test('SIGTERM lets a request in flight finish and is exit code 0', async () => {
  const server = await startServer({ dataDir: dir.path });
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  const body = 'query=42&time=0';
  socket.write(
    'POST /api/v1/query HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n' +
      `content-type: application/x-www-form-urlencoded\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  // The request is being read once the server asks for its body.
  await once(socket, 'data');
  const stopped = server.stop();
  while (!server.logs.some(({ msg }) => msg === 'stopping')) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.write(body);
  await once(socket, 'close');
  expect(answer).toContain('"result":[0,"42"]');
  expect(await stopped).toBe(0);
});

test('a request that does not finish is cut after shutdownTimeout', async () => {
  const server = await startServer({
    dataDir: dir.path,
    env: { METRICSTOR_SHUTDOWN_TIMEOUT: '100ms' },
  });
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined).resume();
  const closed = once(socket, 'close');
  socket.write('POST /api/v1/write HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n');
  socket.write('content-length: 10\r\n\r\n');
  await once(socket, 'data');
  expect(await server.stop()).toBe(0);
  await closed;
});

test('a second signal ends it at once', async () => {
  const server = await startServer({ dataDir: dir.path });
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined).resume();
  socket.write(
    'POST /api/v1/write HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n',
  );
  await once(socket, 'data');
  const stopped = server.stop();
  while (!server.logs.some(({ msg }) => msg === 'stopping')) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  process.kill(server.pid, 'SIGTERM');
  expect(await stopped).toBe(1);
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashApiKey } from '../../src/auth/secret.js';
import { loadServices } from '../../src/grpc/schema.js';
import { basicHeader, cheapPasswordHash } from '../support/identities.js';
import { temporaryDirectory } from '../support/server.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

const files = temporaryDirectory('roles');
const file = join(files.path, 'identities.yml');

/** An identity a role, whose key is the role's name. */
const identities = `identities:
${['read', 'write', 'admin']
  .map((role) => `  - {name: ${role}er, roles: [${role}], apiKeys: ['${hashApiKey(role)}']}\n`)
  .join('')}
  - {name: everything, roles: [read, write, admin], password: '${cheapPasswordHash('secret')}'}
`;

let server: TestServer;
beforeAll(async () => {
  writeFileSync(file, identities);
  server = await startTestServer({ AUTH_FILE: file, GRPC_ADDR: '127.0.0.1:0' });
});
afterAll(async () => {
  await server.stop();
  files.remove();
});

async function send(target: string, authorization?: string): Promise<Response> {
  const [method, path] = target.split(' ');
  const headers = authorization === undefined ? {} : { authorization };
  return await fetch(`${server.addresses.http}${path}`, { method, headers });
}

const roles = ['read', 'write', 'admin'] as const;

describe('a path needs its role', () => {
  test.for<[string, (typeof roles)[number]]>([
    ['GET /api/v1/query?query=1', 'read'],
    ['GET /api/v1/query_range', 'read'],
    ['GET /api/v1/query_exemplars', 'read'],
    ['GET /api/v1/format_query', 'read'],
    ['GET /api/v1/parse_query', 'read'],
    ['GET /api/v1/labels', 'read'],
    ['GET /api/v1/label/job/values', 'read'],
    ['GET /api/v1/series', 'read'],
    ['GET /api/v1/metadata', 'read'],
    ['GET /api/v1/export', 'read'],
    ['GET /api/v1/status/buildinfo', 'read'],
    ['GET /api/v1/status/config', 'read'],
    ['GET /api/v1/status/tsdb', 'read'],
    ['GET /metrics', 'read'],
    ['POST /api/v1/write', 'write'],
    ['POST /api/v1/import', 'write'],
    ['POST /api/v1/admin/tsdb/flush', 'admin'],
    ['POST /api/v1/admin/tsdb/compact', 'admin'],
    ['POST /api/v1/admin/tsdb/snapshot', 'admin'],
    ['POST /api/v1/admin/tsdb/delete_series', 'admin'],
    ['PUT /api/v1/admin/tsdb/clean_tombstones', 'admin'],
    // A method that a path does not have tells nothing to those who may not ask.
    ['DELETE /api/v1/admin/tsdb/flush', 'admin'],
  ])('%s needs %s', async ([target, needed]) => {
    const nobody = await send(target);
    expect(nobody.status).toBe(401);
    expect(nobody.headers.get('www-authenticate')).toContain('Basic realm="metricstor"');
    for (const role of roles) {
      const { status } = await send(target, `Bearer ${role}`);
      expect(status === 403, `${role} is answered ${status}`).toBe(role !== needed);
      expect(status).not.toBe(401);
    }
    const { status } = await send(target, basicHeader('everything', 'secret'));
    expect([401, 403]).not.toContain(status);
  });
});

test('a path that is not there is told to those who are known alone', async () => {
  expect((await send('GET /api/v1/nothing')).status).toBe(401);
  expect((await send('GET /api/v1/nothing', 'Bearer write')).status).toBe(404);
});

test('probes need nothing', async () => {
  expect((await send('GET /-/healthy')).status).toBe(200);
  expect((await send('HEAD /-/ready')).status).toBe(200);
});

test('errors look as those of the API do, and the code is in the table', async () => {
  const forbidden = await send('GET /api/v1/query?query=1', 'Bearer write');
  expect(await forbidden.json()).toMatchObject({
    status: 'error',
    errorType: 'forbidden',
    error: 'writeer does not have the role read',
  });
  expect(await (await send('GET /api/v1/query?query=1', 'Bearer x')).json()).toMatchObject({
    errorType: 'unauthorized',
    error: 'the credentials are not valid',
  });
});

test('what an admin asked is logged with the name, and no secret is', async () => {
  await send('POST /api/v1/admin/tsdb/flush', 'Bearer admin');
  await send('POST /api/v1/admin/tsdb/flush', basicHeader('everything', 'secret'));
  const asked = server.logs.filter(({ msg }) => msg === 'asked by');
  const route = '/api/v1/admin/tsdb/flush';
  expect(asked.slice(-2)).toMatchObject([
    { identity: 'adminer', route, method: 'POST' },
    { identity: 'everything', route, method: 'POST' },
  ]);
  const log = JSON.stringify(server.logs);
  expect(log).not.toContain('Bearer');
  expect(log).not.toContain(Buffer.from('everything:secret').toString('base64'));
});

test('gRPC asks for the same identities', async () => {
  const { admin, query, health } = loadServices();
  const call = async (
    method: (typeof admin)[string],
    request: object,
    authorization?: string,
  ): Promise<number> => {
    const client = new Client(server.addresses.grpc ?? '', credentials.createInsecure());
    const metadata = new Metadata();
    if (authorization !== undefined) metadata.set('authorization', authorization);
    const { path, requestSerialize, responseDeserialize } = method;
    const deadline = { deadline: Date.now() + 30_000 };
    const code = await new Promise<number>((resolve) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        deadline,
        (error) => resolve(error?.code ?? 0),
      );
    });
    client.close();
    return code;
  };
  const [ok, permissionDenied, unauthenticated] = [0, 7, 16];
  expect(await call(query.Instant, { query: '1' }, 'Bearer read')).toBe(ok);
  expect(await call(query.Instant, { query: '1' }, 'Bearer write')).toBe(permissionDenied);
  expect(await call(query.Instant, { query: '1' }, 'Bearer wrong')).toBe(unauthenticated);
  expect(await call(query.Instant, { query: '1' })).toBe(unauthenticated);
  expect(await call(admin.Statistics, {})).toBe(unauthenticated);
  expect(await call(admin.Statistics, {}, basicHeader('everything', 'secret'))).toBe(ok);
  expect(await call(health.Check, {})).toBe(ok);
});

describe('a changed file', () => {
  test('counts from the next request on', async () => {
    expect((await send('GET /metrics', 'Bearer read')).status).toBe(200);
    writeFileSync(file, identities.replace('roles: [read]', 'roles: [write]'));
    server.server.reloadAccess();
    expect((await send('GET /metrics', 'Bearer read')).status).toBe(403);
    writeFileSync(file, identities.replace(hashApiKey('read'), hashApiKey('other')));
    server.server.reloadAccess();
    expect((await send('GET /metrics', 'Bearer read')).status).toBe(401);
    expect((await send('GET /metrics', 'Bearer other')).status).toBe(200);
    writeFileSync(file, identities);
    server.server.reloadAccess();
    expect(server.logs.at(-1)).toMatchObject({ msg: 'identities reloaded', identities: 4 });
  });

  test('that is not valid leaves the identities as they were', async () => {
    writeFileSync(file, '');
    server.server.reloadAccess();
    expect(server.logs.at(-1)).toMatchObject({ msg: 'identities cannot be reloaded', level: 50 });
    expect((await send('GET /metrics', 'Bearer read')).status).toBe(200);
    writeFileSync(file, identities);
  });

  test('cannot turn identities off', async () => {
    server.changeAuth({ file: '' });
    server.server.reloadAccess();
    expect(server.logs.at(-1)).toMatchObject({ msg: 'identities cannot be reloaded' });
    expect((await send('GET /metrics')).status).toBe(401);
    server.changeAuth({ file });
  });
});

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ClientTls, RemoteWriteClient } from '../../src/client/remote-write.js';
import { type Certificate, makeAuthority } from '../support/certs.js';
import { basicHeader } from '../support/identities.js';
import { series } from '../support/push.js';
import { ask } from '../support/query.js';
import {
  type RunningServer,
  repositoryRoot,
  startServer,
  temporaryDirectory,
} from '../support/server.js';
import { findTool } from '../support/tools.js';

const work = temporaryDirectory('auth');
const file = (name: string): string => join(work.path, name);
afterAll(() => work.remove());

/** Runs `metricstor auth …` and returns what it prints. */
function auth(verb: string, input = ''): string {
  const bin = join(repositoryRoot, 'dist', 'bin.js');
  const done = spawnSync(process.execPath, [bin, 'auth', verb], { encoding: 'utf8', input });
  expect(done.stderr).toBe('');
  return done.stdout;
}

/** A new key and the hash that goes into the file. */
function newKey(): { key: string; hash: string } {
  const [, key = '', hash = ''] = /^key: +(\S+)\nhash: (\S+)\n$/.exec(auth('key')) ?? [];
  return { key, hash };
}

describe.skipIf(findTool('openssl') === undefined)('identities over mutual TLS', () => {
  const { key: firstKey, hash: firstHash } = newKey();
  const { key: secondKey, hash: secondHash } = newKey();
  const password = auth('password', 'correct horse\n').trim();
  let authority: ReturnType<typeof makeAuthority>;
  let agent: Certificate;
  let dashboard: Certificate;
  let server: RunningServer;

  const as = (certificate: Certificate): ClientTls => ({
    ca: authority.ca,
    cert: certificate.cert,
    key: certificate.key,
  });
  const identities = (agentRoles: string, keyHash: string): string => `identities:
  - name: agents
    roles: [${agentRoles}]
    certificates: [agent]
  - name: grafana
    roles: [read]
    password: ${password}
  - name: operator
    roles: [read, write, admin]
    apiKeys: ['${keyHash}']
`;
  const query = async (tls: ClientTls, authorization?: string): Promise<number> =>
    (
      await ask(`${server.url}/api/v1/query`, {
        form: { query: 'up' },
        tls,
        ...(authorization === undefined ? {} : { headers: { authorization } }),
      })
    ).status;
  const write = async (client: RemoteWriteClient): Promise<number> =>
    (await client.write([series({ __name__: 'up' }, [[Date.now(), 1]])])).status;

  beforeAll(async () => {
    authority = makeAuthority(work.path);
    agent = authority.client('agent');
    dashboard = authority.client('dashboard');
    const { certFile, keyFile } = authority.server('server');
    writeFileSync(file('identities.yml'), identities('write', firstHash));
    server = await startServer({
      dataDir: file('data'),
      env: {
        METRICSTOR_TLS_CERT: certFile,
        METRICSTOR_TLS_KEY: keyFile,
        METRICSTOR_TLS_CLIENT_CA: authority.caFile,
        METRICSTOR_AUTH_FILE: file('identities.yml'),
      },
    });
  });
  afterAll(() => server.kill());

  test('a certificate gives its roles and no others', async () => {
    const client = new RemoteWriteClient({ url: server.url, tls: as(agent) });
    expect(await write(client)).toBe(204);
    client.close();
    expect(await query(as(agent))).toBe(403);
  });

  test('a certificate that no identity names is nobody', async () => {
    expect(await query(as(dashboard))).toBe(401);
    expect((await ask(`${server.url}/-/ready`, { tls: as(dashboard) })).status).toBe(200);
  });

  test('passwords and keys that the command made are known', async () => {
    const tls = as(dashboard);
    expect(await query(tls, basicHeader('grafana', 'correct horse'))).toBe(200);
    expect(await query(tls, basicHeader('grafana', 'wrong horse'))).toBe(401);
    expect(await query(tls, `Bearer ${firstKey}`)).toBe(200);
    expect(await query(tls, `Bearer ${secondKey}`)).toBe(401);
  });

  test('only the admin deletes, whoever writes', async () => {
    const url = `${server.url}/api/v1/admin/tsdb/delete_series`;
    const send = async (tls: ClientTls, headers: Record<string, string> = {}): Promise<number> =>
      (await ask(url, { form: { 'match[]': 'up' }, tls, headers })).status;
    expect(await send(as(agent))).toBe(403);
    expect(await send(as(dashboard))).toBe(401);
    const authorization = `Bearer ${firstKey}`;
    expect(await send(as(dashboard), { authorization })).toBe(204);
  });

  test('a changed file counts on open connections, without a signal', async () => {
    const client = new RemoteWriteClient({ url: server.url, tls: as(agent) });
    expect(await write(client)).toBe(204);
    writeFileSync(file('identities.yml'), identities('read', secondHash));
    await expect.poll(() => write(client), { timeout: 20_000 }).toBe(403);
    client.close();
    expect(await query(as(agent))).toBe(200);
    expect(await query(as(dashboard), `Bearer ${firstKey}`)).toBe(401);
    expect(await query(as(dashboard), `Bearer ${secondKey}`)).toBe(200);
  });

  test('no secret is in the log', () => {
    const log = JSON.stringify(server.logs);
    for (const secret of [firstKey, secondKey, 'correct horse', firstHash, password]) {
      expect(log).not.toContain(secret);
    }
  });
});

test('a file of identities that is not valid stops the start, with its line', async () => {
  const broken = file('broken.yml');
  writeFileSync(broken, 'identities:\n  - name: a\n    roles: [root]\n');
  const start = startServer({ dataDir: file('none'), env: { METRICSTOR_AUTH_FILE: broken } });
  await expect(start).rejects.toMatchObject({
    code: 2,
    output: expect.stringContaining(`${broken}:2: roles: want some of read, write, admin`),
  });
});

test('identities without TLS beyond loopback are warned of', () => {
  const bin = join(repositoryRoot, 'dist', 'bin.js');
  writeFileSync(
    file('open.yml'),
    `identities: [{name: a, roles: [read], apiKeys: ['${newKey().hash}']}]`,
  );
  const check = (addr: string): string =>
    spawnSync(process.execPath, [bin, 'check-config'], {
      encoding: 'utf8',
      env: {
        ...process.env,
        METRICSTOR_AUTH_FILE: file('open.yml'),
        METRICSTOR_HTTP_ADDR: addr,
        METRICSTOR_GRPC_ADDR: '',
      },
    }).stderr;
  expect(check('0.0.0.0:1')).toContain('go in clear text to 0.0.0.0:1');
  expect(check('127.0.0.1:1')).toBe('');
});

import { copyFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { Client, credentials } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { loadServices } from '../../src/grpc/schema.js';
import { type Authority, type Certificate, makeAuthority } from '../support/certs.js';
import { temporaryDirectory } from '../support/server.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

const made = temporaryDirectory('authority');
let authority: Authority;
let stranger: Authority;
let allowed: Certificate;
let other: Certificate;
let unknown: Certificate;
let first: Certificate;
let second: Certificate;

beforeAll(() => {
  authority = makeAuthority(made.path, 'ours');
  stranger = makeAuthority(made.path, 'theirs');
  allowed = authority.client('allowed');
  other = authority.client('other');
  unknown = stranger.client('allowed');
  first = authority.server('first');
  second = authority.server('second');
  return () => made.remove();
});

let files: { path: string; remove(): void };
let server: TestServer;
const agents: Agent[] = [];
beforeEach(() => {
  files = temporaryDirectory('tls');
});
afterEach(async () => {
  for (const agent of agents.splice(0)) {
    agent.destroy();
  }
  await server.stop();
  files.remove();
});

const at = (name: string): string => join(files.path, name);

function install(certificate: Certificate): void {
  copyFileSync(certificate.certFile, at('server.crt'));
  copyFileSync(certificate.keyFile, at('server.key'));
}

async function startTls(settings: Record<string, string> = {}): Promise<void> {
  install(first);
  copyFileSync(authority.caFile, at('ca.crt'));
  server = await startTestServer({
    TLS_CERT: at('server.crt'),
    TLS_KEY: at('server.key'),
    TLS_CLIENT_CA: at('ca.crt'),
    TLS_ALLOWED_NAMES: 'allowed',
    GRPC_ADDR: '127.0.0.1:0',
    ...settings,
  });
}

/** A client with one connection at most, kept open. */
function agentOf(certificate?: Certificate): Agent {
  const identity =
    certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key };
  const agent = new Agent({ ca: authority.ca, keepAlive: true, maxSockets: 1, ...identity });
  agents.push(agent);
  return agent;
}

interface Seen {
  readonly status: number;
  readonly serverName: string;
  readonly reused: boolean;
  readonly connection: string | undefined;
}

/** Asks for a query, or what failed. */
async function ask(agent: Agent, path = '/api/v1/query?query=1'): Promise<Seen | string> {
  return await new Promise((resolve) => {
    const sent = request(`${server.addresses.http}${path}`, { agent }, (answer) => {
      const { socket } = answer as unknown as { socket: import('node:tls').TLSSocket };
      const { CN } = socket.getPeerCertificate().subject ?? {};
      answer.resume().on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          serverName: String(CN),
          reused: sent.reusedSocket,
          connection: answer.headers.connection,
        }),
      );
    });
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    sent.end();
  });
}

test('a client whose name is allowed is answered, one whose name is not gets 403', async () => {
  await startTls();
  expect(await ask(agentOf(allowed))).toMatchObject({ status: 200 });
  expect(await ask(agentOf(other))).toMatchObject({ status: 403 });
  expect(await ask(agentOf(other), '/no/such/path')).toMatchObject({ status: 403 });
  expect(await ask(agentOf(other), '/metrics')).toMatchObject({ status: 403 });
});

test('clients without a valid certificate are refused in the handshake', async () => {
  await startTls();
  expect(await ask(agentOf())).toMatch(/ALERT|ECONNRESET|EPIPE|SSL/);
  expect(await ask(agentOf(unknown))).toMatch(/ALERT|ECONNRESET|EPIPE|SSL/);
});

test('an optional certificate must be valid, and without one only probes are answered', async () => {
  await startTls({ TLS_CLIENT_AUTH: 'ifGiven' });
  expect(await ask(agentOf(allowed))).toMatchObject({ status: 200 });
  expect(await ask(agentOf())).toMatchObject({ status: 403 });
  expect(await ask(agentOf(), '/-/ready')).toMatchObject({ status: 200 });
  expect(await ask(agentOf(unknown))).toMatchObject({ status: 403 });
});

test('an optional certificate is optional where every name is allowed', async () => {
  await startTls({ TLS_CLIENT_AUTH: 'ifGiven', TLS_ALLOWED_NAMES: '' });
  expect(await ask(agentOf())).toMatchObject({ status: 200 });
  expect(await ask(agentOf(other))).toMatchObject({ status: 200 });
  expect(await ask(agentOf(unknown))).toMatchObject({ status: 403 });
});

test('a name taken off the list is refused on its open connection', async () => {
  await startTls();
  const agent = agentOf(allowed);
  expect(await ask(agent)).toMatchObject({ status: 200, reused: false });
  server.changeTls({ allowedNames: ['other'] });
  server.server.reloadAccess();
  expect(await ask(agent)).toMatchObject({ status: 403, reused: true });
});

test('a renewed certificate serves new connections, and open ones stay', async () => {
  await startTls();
  const open = agentOf(allowed);
  expect(await ask(open)).toMatchObject({ serverName: 'first' });
  install(second);
  server.server.reloadAccess();
  expect(await ask(open)).toMatchObject({ status: 200, serverName: 'first', reused: true });
  expect(await ask(agentOf(allowed))).toMatchObject({ status: 200, serverName: 'second' });
});

test('a certificate without its key leaves the old pair in use', async () => {
  await startTls();
  copyFileSync(second.certFile, at('server.crt'));
  server.server.reloadAccess();
  expect(server.logs.at(-1)).toMatchObject({ msg: 'tls cannot be reloaded' });
  expect(await ask(agentOf(allowed))).toMatchObject({ status: 200, serverName: 'first' });
  copyFileSync(second.keyFile, at('server.key'));
  server.server.reloadAccess();
  expect(await ask(agentOf(allowed))).toMatchObject({ status: 200, serverName: 'second' });
});

test('a name is taken off the list even while the certificate files are broken', async () => {
  await startTls();
  copyFileSync(second.certFile, at('server.crt'));
  server.changeTls({ allowedNames: ['other'] });
  server.server.reloadAccess();
  expect(await ask(agentOf(allowed))).toMatchObject({ status: 403 });
});

test('another CA asks open connections to come again, and then refuses them', async () => {
  await startTls();
  const agent = agentOf(allowed);
  await ask(agent);
  copyFileSync(stranger.caFile, at('ca.crt'));
  server.server.reloadAccess();
  expect(await ask(agent)).toMatchObject({ reused: true, connection: 'close' });
  expect(await ask(agent)).toMatch(/ALERT|ECONNRESET|EPIPE|SSL/);
  expect(await ask(agentOf(unknown))).toMatchObject({ status: 200 });
});

test('mutual TLS cannot be turned off by a reload', async () => {
  await startTls();
  server.changeTls({ clientCa: '' });
  server.server.reloadAccess();
  expect(server.logs.at(-1)).toMatchObject({ msg: 'tls cannot be reloaded' });
  expect(await ask(agentOf())).toMatch(/ALERT|ECONNRESET|EPIPE|SSL/);
});

test('a version below the lowest is refused', async () => {
  await startTls({ TLS_MIN_VERSION: '1.3' });
  const { port } = new URL(server.addresses.http);
  const { cert, key } = allowed;
  const handshake = async (maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<string> =>
    await new Promise((resolve) => {
      const options = { host: '127.0.0.1', port: Number(port), ca: authority.ca, cert, key };
      const socket = connect({ ...options, maxVersion }, () => {
        resolve(socket.getProtocol() ?? '');
        socket.destroy();
      });
      socket.on('error', (error) => resolve(error.message));
    });
  expect(await handshake('TLSv1.3')).toBe('TLSv1.3');
  expect(await handshake('TLSv1.2')).toMatch(/version/);
});

test('gRPC has the same certificates, names and renewal', async () => {
  await startTls();
  const { Check } = loadServices().health;
  const { BuildInformation } = loadServices().admin;
  const call = async (certificate: Certificate, method = BuildInformation): Promise<number> => {
    const { key, cert } = certificate;
    const client = new Client(
      server.addresses.grpc ?? '',
      credentials.createSsl(Buffer.from(authority.ca), Buffer.from(key), Buffer.from(cert)),
    );
    const code = await new Promise<number>((resolve) => {
      const { path, requestSerialize, responseDeserialize } = method;
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        {},
        { deadline: Date.now() + 5000 },
        (error) => resolve(error?.code ?? 0),
      );
    });
    client.close();
    return code;
  };
  const [ok, permissionDenied, unavailable] = [0, 7, 14];
  expect(await call(allowed)).toBe(ok);
  expect(await call(other)).toBe(permissionDenied);
  expect(await call(other, Check)).toBe(ok);
  expect(await call(unknown)).toBe(unavailable);
  server.changeTls({ allowedNames: ['other'] });
  server.server.reloadAccess();
  expect(await call(allowed)).toBe(permissionDenied);
  copyFileSync(stranger.caFile, at('ca.crt'));
  server.server.reloadAccess();
  expect(await call(other)).toBe(unavailable);
});

test('the listener for probes is plain, and answers nothing else', async () => {
  await startTls({ HTTP_HEALTH_ADDR: '127.0.0.1:0' });
  const status = async (path: string) => (await fetch(`${server.addresses.health}${path}`)).status;
  expect(await status('/-/healthy')).toBe(200);
  expect(await status('/-/ready')).toBe(200);
  expect(await status('/api/v1/query?query=1')).toBe(404);
  expect(await status('/metrics')).toBe(404);
});

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ClientTls, RemoteWriteClient } from '../../src/client/remote-write.js';
import { type Certificate, makeAuthority } from '../support/certs.js';
import { series } from '../support/push.js';
import { type ApiAnswer, ask } from '../support/query.js';
import { type RunningServer, startServer, temporaryDirectory } from '../support/server.js';
import { findTool } from '../support/tools.js';

const work = temporaryDirectory('tls');
const file = (name: string): string => join(work.path, name);

/** A server whose files are copies, so that a test can replace them. */
describe.skipIf(findTool('openssl') === undefined)('mutual TLS', () => {
  let authority: ReturnType<typeof makeAuthority>;
  let agent: Certificate;
  let reader: Certificate;
  let stranger: Certificate;
  let server: RunningServer;

  const as = (certificate?: Certificate): ClientTls => ({
    ca: authority.ca,
    ...(certificate && { cert: certificate.cert, key: certificate.key }),
  });
  const buildInfo = (tls: ClientTls): Promise<ApiAnswer> =>
    ask(`${server.url}/api/v1/status/buildinfo`, { tls });
  const config = (names: readonly string[]): string => `tls:
  cert: ${file('server.crt')}
  key: ${file('server.key')}
  clientCa: ${authority.caFile}
  allowedNames: [${names.join(', ')}]
http:
  healthAddr: 127.0.0.1:0
`;

  beforeAll(async () => {
    authority = makeAuthority(work.path);
    agent = authority.client('agent');
    reader = authority.client('reader');
    stranger = makeAuthority(work.path, 'other authority').client('agent');
    useCertificate(authority.server('first'));
    writeFileSync(file('metricstor.yml'), config(['agent', 'reader']));
    server = await startServer({
      dataDir: file('data'),
      env: { METRICSTOR_CONFIG: file('metricstor.yml') },
    });
  });
  afterAll(async () => {
    await server.kill();
    work.remove();
  });

  function useCertificate(certificate: Certificate): void {
    copyFileSync(certificate.keyFile, file('server.key'));
    copyFileSync(certificate.certFile, file('server.crt'));
  }

  /** The common name of the certificate that the server shows. */
  function shownName(): Promise<string> {
    const { port } = new URL(server.url);
    return new Promise((resolve, reject) => {
      const socket = connect({ port: Number(port), host: '127.0.0.1', ...as(agent) }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.end();
      });
      socket.on('error', reject);
    });
  }

  test('a client with a certificate of the authority and an allowed name is served', async () => {
    expect((await buildInfo(as(agent))).status).toBe(200);
  });

  test('a client without a certificate is refused in the handshake', async () => {
    await expect(buildInfo(as())).rejects.toThrow();
  });

  test('a certificate of another authority is refused in the handshake', async () => {
    await expect(buildInfo(as(stranger))).rejects.toThrow();
  });

  test('plain HTTP on the TLS port is refused', async () => {
    await expect(ask(server.url.replace('https:', 'http:'))).rejects.toThrow();
  });

  test('probes need no certificate on their own listener, which shows nothing else', async () => {
    expect((await ask(`${server.health}/-/ready`)).status).toBe(200);
    expect((await ask(`${server.health}/api/v1/labels`)).status).toBe(404);
  });

  test('a name taken off the list is refused on its open connection', async () => {
    const client = new RemoteWriteClient({ url: server.url, tls: as(reader) });
    const write = () => client.write([series({ __name__: 'tls' }, [[Date.now(), 1]])]);
    expect(await write()).toMatchObject({ status: 204 });
    writeFileSync(file('metricstor.yml'), config(['agent']));
    await expect.poll(async () => (await write()).status, { timeout: 20_000 }).toBe(403);
    expect((await buildInfo(as(agent))).status).toBe(200);
    client.close();
  });

  test('a replaced certificate is shown to new connections, and open ones go on', async () => {
    expect(await shownName()).toBe('first');
    const client = new RemoteWriteClient({ url: server.url, tls: as(agent) });
    const write = () => client.write([series({ __name__: 'tls' }, [[Date.now(), 1]])]);
    expect(await write()).toMatchObject({ status: 204 });
    useCertificate(authority.server('second'));
    await expect.poll(shownName, { timeout: 20_000 }).toBe('second');
    expect(await write()).toMatchObject({ status: 204 });
    client.close();
  });

  test('a certificate that cannot be read leaves the one in use', async () => {
    const good = readFileSync(file('server.crt'));
    const before = server.logs.length;
    writeFileSync(file('server.crt'), 'not a certificate');
    await expect
      .poll(() => server.logs.slice(before).some(({ level }) => level === 'error'), {
        timeout: 20_000,
      })
      .toBe(true);
    expect(await shownName()).toBe('second');
    writeFileSync(file('server.crt'), good);
  });
});

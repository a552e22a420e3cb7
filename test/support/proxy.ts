/**
 * @file A recording proxy between an agent and the server: forwards every request as it came, and
 * keeps each body with the status that the server answered.
 */
import { once } from 'node:events';
import {
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import type { Certificate } from './certs.js';

export interface RecordedWrite {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  readonly status: number;
  /** Headers of the answer. */
  readonly answer: IncomingMessage['headers'];
}

export interface ProxyOptions {
  /** The server's root URL. */
  readonly target: string;
  /** With it, both hops are mutual TLS: agents and the proxy must each show a certificate. */
  readonly tls?: {
    readonly ca: string;
    readonly server: Certificate;
    readonly client: Certificate;
  };
  /** Called after each answered request. */
  readonly onWrite?: (write: RecordedWrite) => void;
}

export interface RecordingProxy {
  readonly url: string;
  readonly writes: readonly RecordedWrite[];
  close(): Promise<void>;
}

/** Starts the proxy on a free port of the loopback interface. */
export async function startRecordingProxy(options: ProxyOptions): Promise<RecordingProxy> {
  const { tls } = options;
  const writes: RecordedWrite[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    forward(options, request, response).then(
      (write) => {
        writes.push(write);
        options.onWrite?.(write);
      },
      // The server is gone: what a load balancer answers then.
      (error: unknown) => response.writeHead(502).end(String(error)),
    );
  };
  const server =
    tls === undefined
      ? createHttpServer(handle)
      : createHttpsServer(
          {
            ca: tls.ca,
            cert: tls.server.cert,
            key: tls.server.key,
            requestCert: true,
            rejectUnauthorized: true,
          },
          handle,
        );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`,
    writes,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function forward(
  { target, tls }: ProxyOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<RecordedWrite> {
  const body = await readAll(request);
  const url = new URL(request.url ?? '/', target);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const upstream = send(url, {
    method: request.method ?? 'POST',
    headers: { ...request.headers, host: url.host },
    ...(tls === undefined ? {} : { ca: tls.ca, cert: tls.client.cert, key: tls.client.key }),
  });
  upstream.end(body);
  const [answer] = (await once(upstream, 'response')) as [IncomingMessage];
  const answerBody = await readAll(answer);
  const status = answer.statusCode ?? 0;
  response.writeHead(status, answer.headers).end(answerBody);
  const { headers } = request;
  return { path: url.pathname, headers, body, status, answer: answer.headers };
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/**
 * @file The client library's write side: pushes series to a metricstor (or any receiver of
 * remote_write) over HTTP, HTTPS or mutual TLS, on connections that stay open.
 */
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { encodeWriteRequest, type WireSeries } from './encode.js';
import { type DescribedSeries, encodeWriteRequest2 } from './encode-2.js';

export {
  encodeWriteMessage,
  encodeWriteRequest,
  type WireSeries,
} from './encode.js';
export {
  type DescribedSeries,
  encodeWriteRequest2,
  type MetricType,
  type WireExemplar,
  type WireMetadata,
} from './encode-2.js';

/** The headers of a remote_write 1.0 request. */
export const remoteWriteHeaders: Readonly<Record<string, string>> = {
  'content-type': 'application/x-protobuf',
  'content-encoding': 'snappy',
  'x-prometheus-remote-write-version': '0.1.0',
};

/** The headers of a remote_write 2.0 request. */
export const remoteWrite2Headers: Readonly<Record<string, string>> = {
  ...remoteWriteHeaders,
  'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request',
  'x-prometheus-remote-write-version': '2.0.0',
};

/** PEM texts. With `cert` and `key` the client shows a certificate (mutual TLS). */
export interface ClientTls {
  /** Authorities that may have signed the server's certificate; default: the system's. */
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

export interface RemoteWriteOptions {
  /** The server's root, `http://127.0.0.1:9101`; the path `/api/v1/write` is added. */
  readonly url: string;
  readonly tls?: ClientTls;
  /** Added to those of the protocol, for instance `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How long one request may take, in milliseconds. Default 30,000, as Prometheus. */
  readonly timeoutMs?: number;
}

/** What the server answered. 204: everything is stored as durably as the server promises. */
export interface WriteAnswer {
  readonly status: number;
  /** The reason in the server's words; empty on success. */
  readonly body: string;
  /** Of a 503: how many seconds the server asks to wait; undefined when it did not say. */
  readonly retryAfterSeconds: number | undefined;
}

/**
 * Sends write requests and hands back the answers; it does not retry, because only the caller knows
 * whether to keep or to drop. Close it to release its connections.
 */
export class RemoteWriteClient {
  private readonly endpoint: URL;
  private readonly agent: HttpAgent;
  private readonly send: typeof httpRequest;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly timeoutMs: number;

  constructor(options: RemoteWriteOptions) {
    this.endpoint = new URL('/api/v1/write', options.url);
    const secure = this.endpoint.protocol === 'https:';
    this.agent = secure
      ? new HttpsAgent({ keepAlive: true, ...options.tls })
      : new HttpAgent({ keepAlive: true });
    this.send = secure ? httpsRequest : httpRequest;
    this.headers = { ...remoteWriteHeaders, ...options.headers };
    this.timeoutMs = options.timeoutMs ?? 30_000;
  }

  /** Encodes and sends one request. Rejects when there was no answer. */
  write(series: readonly WireSeries[]): Promise<WriteAnswer> {
    return this.writeBody(encodeWriteRequest(series));
  }

  /**
   * Encodes and sends one request of remote_write 2.0, which carries exemplars and metadata.
   * Rejects when there was no answer.
   */
  writeDescribed(series: readonly DescribedSeries[]): Promise<WriteAnswer> {
    return this.writeBody(encodeWriteRequest2(series), remoteWrite2Headers);
  }

  /** Sends a body that is already encoded as `headers` say. Rejects when there was no answer. */
  writeBody(
    body: Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<WriteAnswer> {
    return new Promise((resolve, reject) => {
      const request = this.send(this.endpoint, {
        method: 'POST',
        agent: this.agent,
        headers: { ...this.headers, ...headers, 'content-length': String(body.length) },
        signal: AbortSignal.timeout(this.timeoutMs),
      });
      request.on('error', reject);
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const retryAfter = response.headers['retry-after'];
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString('utf8'),
            retryAfterSeconds: retryAfter === undefined ? undefined : Number(retryAfter),
          });
        });
      });
      request.end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}

/**
 * @file Answers to what is no HTTP request, in the API's envelope. Node's parser has refused it, so
 * no route is known and the connection ends with the answer.
 */
import type { Socket } from 'node:net';
import { MetricstorError } from '../errors.js';
import { errorEnvelope } from './result-json.js';

interface Refusal {
  readonly status: string;
  readonly text: string;
}

const notHttp: Refusal = { status: '400 Bad Request', text: 'the request is not valid HTTP' };

/** By the code of Node's error. */
const refusals: Readonly<Record<string, Refusal>> = {
  HPE_INVALID_URL: {
    status: '400 Bad Request',
    text: 'the URL is not valid: blanks and what is not ASCII are written as %20, %C3%A4 and so on',
  },
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    text: 'URL and headers are longer than 256 KiB: a form may be sent by POST',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    text: 'the request did not arrive in time',
  },
};

/** Answers and closes. */
export function refuseMalformed(error: Error & { readonly code?: string }, socket: Socket): void {
  // A client that went away, or one that was answered before.
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, text } = refusals[error.code ?? ''] ?? notHttp;
  const body = errorEnvelope(new MetricstorError('bad_data', text));
  const head = [
    `HTTP/1.1 ${status}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroySoon();
}

/**
 * @file Asks a server's HTTP API, over TLS where needed, and turns answers into comparable bits.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { ClientTls } from '../../src/client/remote-write.js';
import { bitsOf, type SeriesBits, samplesOf, seriesKey } from './recording.js';

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Sends a GET, or with `form` a POST of an url-encoded form, and returns whatever comes back. */
export function ask(
  url: string,
  options: {
    readonly tls?: ClientTls;
    readonly form?: Readonly<Record<string, string>>;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<ApiAnswer> {
  const form =
    options.form === undefined ? undefined : new URLSearchParams(options.form).toString();
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(url, {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        ...options.headers,
      },
      agent: false,
      signal: AbortSignal.timeout(60_000),
      ...options.tls,
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    request.end(form);
  });
}

interface MatrixAnswer {
  readonly status: string;
  readonly data: {
    readonly resultType: string;
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly values?: readonly (readonly [number, string])[];
      readonly histograms?: readonly (readonly [
        number,
        { readonly count: string; readonly sum: string },
      ])[];
    }[];
  };
}

/** Bits by which every NaN of an HTTP answer is represented: its payload is not in the text. */
export const someNaN = 0x7ff8000000000001n;

/**
 * The raw samples of a range selector such as `{job="x"}[1h]` at `timeMs`, by an instant query.
 * Stale markers are not in the answer, every NaN reads as `someNaN`, and a native histogram as
 * `histogramBits` of its count and sum.
 */
export async function queryRaw(
  serverUrl: string,
  selector: string,
  timeMs: number,
  tls?: ClientTls,
): Promise<SeriesBits> {
  const answer = await ask(`${serverUrl}/api/v1/query`, {
    form: { query: selector, time: String(timeMs / 1000) },
    ...(tls === undefined ? {} : { tls }),
  });
  if (answer.status !== 200) {
    throw new Error(`${selector} answered ${answer.status}: ${answer.text.slice(0, 500)}`);
  }
  const { data } = JSON.parse(answer.text) as MatrixAnswer;
  if (data.resultType !== 'matrix') throw new Error(`${selector} gave a ${data.resultType}`);
  const series: SeriesBits = new Map();
  for (const { metric, values = [], histograms = [] } of data.result) {
    const samples = samplesOf(series, seriesKey(Object.entries(metric)));
    for (const [seconds, { count, sum }] of histograms) {
      samples.set(Math.round(seconds * 1000), histogramBits(Number(count), Number(sum)));
    }
    for (const [seconds, text] of values) {
      samples.set(Math.round(seconds * 1000), parseValue(text));
    }
  }
  return series;
}

/** What stands for a native histogram among the bits of floats. */
export function histogramBits(count: number, sum: number): bigint {
  return bitsOf(sum) ^ (bitsOf(count) << 64n);
}

/** The bits of a value as Prometheus prints it. */
export function parseValue(text: string): bigint {
  if (text === 'NaN') return someNaN;
  if (text === '+Inf') return bitsOf(Number.POSITIVE_INFINITY);
  if (text === '-Inf') return bitsOf(Number.NEGATIVE_INFINITY);
  if (!/^-?\d/.test(text)) throw new Error(`not a number as Prometheus prints it: ${text}`);
  return bitsOf(Number(text));
}

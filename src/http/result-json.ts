/**
 * @file Prometheus' JSON envelope around results that are bytes already, and its compression.
 */
import { pipeline, Readable } from 'node:stream';
import { constants, createDeflate, createGzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { MetricstorError } from '../errors.js';
import { type Coding, compress, compressNow } from '../native/compress.js';

/** Smaller answers fit into a few packets, and compressing them costs more than sending them. */
const compressFromBytes = 8 * 1024;

/** Up to here compressing takes a quarter of a millisecond, and a hop to another thread more. */
const compressHereBytes = 64 * 1024;

/** Larger answers are not copied but sent in slices; compressed ones take a third of the memory. */
const streamFromBytes = { plain: 1024 ** 2, compressed: 8 * 1024 ** 2 };

/** Of streams. The fastest: JSON of samples shrinks to a quarter at it, to a fifth at the best. */
const compressionOptions = { level: constants.Z_BEST_SPEED };
const sliceBytes = 256 * 1024;
/** How long a client may take nothing of a large answer. */
const stalledMs = 10_000;

export interface Annotated {
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
}

const noAnnotations: Annotated = { warnings: [], infos: [] };

/**
 * `data` is JSON text: an array, or members of an object when `members` is set; `more` are further
 * members, each after a comma.
 */
export async function sendData(
  request: FastifyRequest,
  reply: FastifyReply,
  data: Uint8Array,
  options: {
    readonly members: boolean;
    readonly annotations?: Annotated;
    readonly more?: string;
  },
): Promise<FastifyReply> {
  const { warnings, infos } = options.annotations ?? noAnnotations;
  const [open, close] = options.members ? ['{', '}'] : ['', ''];
  const head = `{"status":"success","data":${open}`;
  const tail = `${options.more ?? ''}${close}${member('warnings', warnings)}${member('infos', infos)}}`;
  const pieces = [Buffer.from(head), data, Buffer.from(tail)];
  const coding = wantedEncoding(request.headers['accept-encoding']);
  const inMemory = coding === undefined ? 'plain' : 'compressed';
  if (data.byteLength > streamFromBytes[inMemory]) {
    return await streamJson(request, reply, pieces, coding);
  }
  // One copy of the result costs less than writing three pieces to a socket, or to a compressor.
  return await sendJson(reply, Buffer.concat(pieces), coding);
}

/** Sends pieces as fast as the client takes them: beside them only what is under way is held. */
async function streamJson(
  request: FastifyRequest,
  reply: FastifyReply,
  pieces: readonly Uint8Array[],
  coding: Coding | undefined,
): Promise<FastifyReply> {
  reply.header('content-type', 'application/json').header('vary', 'Accept-Encoding');
  // A client that takes nothing for this long holds memory that others wait for.
  const { socket } = request.raw;
  reply.raw.setTimeout(stalledMs, () => socket.destroy());
  const body = Readable.from(slices(pieces), { objectMode: false });
  if (coding === undefined) {
    return await reply.send(body);
  }
  const compressor = { gzip: createGzip, deflate: createDeflate }[coding](compressionOptions);
  const compressed = pipeline(body, compressor, () => undefined);
  return await reply.header('content-encoding', coding).send(compressed);
}

function* slices(pieces: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const piece of pieces) {
    for (let at = 0; at < piece.byteLength; at += sliceBytes) {
      yield piece.subarray(at, at + sliceBytes);
    }
  }
}

function member(name: string, texts: readonly string[]): string {
  return texts.length === 0 ? '' : `,"${name}":${JSON.stringify(texts)}`;
}

/** A successful answer whose data is a JavaScript value. */
export async function sendValue(
  request: FastifyRequest,
  reply: FastifyReply,
  data: unknown,
): Promise<FastifyReply> {
  const body = Buffer.from(JSON.stringify({ status: 'success', data }));
  return await sendJson(reply, body, wantedEncoding(request.headers['accept-encoding']));
}

async function sendJson(
  reply: FastifyReply,
  body: Buffer,
  coding: Coding | undefined,
): Promise<FastifyReply> {
  reply.header('content-type', 'application/json').header('vary', 'Accept-Encoding');
  if (coding === undefined || body.length < compressFromBytes) {
    return reply.send(body);
  }
  const here = body.length <= compressHereBytes;
  const compressed = here ? compressNow(coding, body) : await compress(coding, body);
  return reply.header('content-encoding', coding).send(compressed);
}

/** The first encoding of the header that is spoken here and not refused by `q=0`. */
export function wantedEncoding(header: string | string[] | undefined): Coding | undefined {
  for (const entry of String(header ?? '').split(',')) {
    const [name, ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase());
    const refused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    if (!refused && (name === 'gzip' || name === 'deflate')) {
      return name;
    }
  }
  return undefined;
}

/** The envelope of an error. */
export function errorEnvelope(error: MetricstorError): string {
  const { errorType } = error.kind;
  return JSON.stringify({ status: 'error', errorType, error: error.message });
}

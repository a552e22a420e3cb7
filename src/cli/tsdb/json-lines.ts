/**
 * @file JSON lines from and to files and the standard streams.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import type { NativeEngine } from '../../native/engine.js';
import type { ExportRequest } from '../../storage/transfer.js';

/** Writes an export to `file`, compressed if it is called `.gz`, or to standard output (`-`). */
export async function writeJsonLines(
  engine: NativeEngine,
  request: ExportRequest,
  file: string,
): Promise<void> {
  const lines = Readable.from(engine.exportJson(request), { objectMode: false });
  if (file === '-') {
    await toStandardOutput(lines);
  } else if (file.endsWith('.gz')) {
    await pipeline(lines, createGzip(), createWriteStream(file, { flags: 'wx' }));
  } else {
    await pipeline(lines, createWriteStream(file, { flags: 'wx' }));
  }
}

async function toStandardOutput(lines: Readable): Promise<void> {
  const output: Writable = process.stdout;
  try {
    await pipeline(lines, output, { end: false });
  } catch (error) {
    // Whoever reads has seen enough, as `head` has.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) {
      throw error;
    }
  }
}

/** The bytes of `file`, or of standard input (`-`); those of a file called `.gz` unpacked. */
export function readJsonLines(file: string): AsyncIterable<Uint8Array> {
  if (file === '-') {
    return process.stdin;
  }
  const source = createReadStream(file);
  if (!file.endsWith('.gz')) {
    return source;
  }
  const unpacked = createGunzip();
  source.once('error', (error) => unpacked.destroy(error));
  return source.pipe(unpacked);
}

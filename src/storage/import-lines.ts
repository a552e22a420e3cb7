/**
 * @file A stream of JSON lines into the store, in pieces of whole lines: with bounded memory, and
 * as fast as the store takes them.
 */
import { MetricstorError } from '../errors.js';
import type { Appender, Rejection, WriteOutcome } from './appender.js';
import type { Scope } from './querier.js';

/** Size of a piece: its fsync is cheap then, and a refusal costs little. */
const pieceBytes = 1 << 20;

/** Pieces on their way at once: while one waits for its fsync, others are decoded. */
const piecesWaiting = 4;

/** Sentences that are kept of one reason of refusal. */
const maxExamples = 5;

const newline = 0x0a;

export interface ImportOptions {
  readonly scope: Scope;
  /** The longest line: `ingest.maxRequestBytes`. */
  readonly maxLineBytes: number;
}

/** What became of a stream of lines. */
export type ImportOutcome = Pick<
  WriteOutcome,
  'samples' | 'histograms' | 'replaced' | 'rejections'
>;

/**
 * Imports every line of `source`, until its end. Rejects with the code of the first write that
 * failed as a whole, or `too_large` for a line that is too long; the message says from which line
 * on nothing is known to be stored. Importing the same lines again changes nothing.
 */
export async function importLines(
  source: AsyncIterable<Uint8Array>,
  appender: Appender,
  options: ImportOptions,
): Promise<ImportOutcome> {
  const importer = new Importer(appender, options.scope);
  try {
    for await (const { text, firstLine } of piecesOf(source, options.maxLineBytes)) {
      await importer.add(text, firstLine);
    }
    return await importer.finish();
  } catch (error) {
    await importer.settle();
    throw error;
  }
}

interface Piece {
  readonly text: Uint8Array;
  /** The number of its first line in the stream, from 1. */
  readonly firstLine: number;
}

/**
 * Cuts a stream at newlines into pieces of at most {@link pieceBytes}, or of one line if it is
 * longer.
 */
export async function* piecesOf(
  source: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<Piece> {
  const pending = new Pending(maxLineBytes);
  for await (const chunk of source) {
    yield* pending.add(chunk);
  }
  yield* pending.rest();
}

/** What was read and is in no piece yet: whole lines, then the beginning of one. */
class Pending {
  readonly #maxLineBytes: number;
  readonly #pieceBytes: number;
  #chunks: Uint8Array[] = [];
  #length = 0;
  /** Bytes and number of the whole lines. */
  #whole = 0;
  #lines = 0;
  #firstLine = 1;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
    // A piece is a request, which must not be longer than a line may be.
    this.#pieceBytes = Math.min(pieceBytes, maxLineBytes);
  }

  *add(chunk: Uint8Array): Generator<Piece> {
    // Where the chunk begins among what is pending.
    let base = this.#length;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) {
      const end = base + at + 1;
      this.#checkLine(end - this.#whole);
      if (end > this.#pieceBytes && this.#whole > 0) {
        base -= this.#whole;
        yield this.#take();
      }
      this.#whole = base + at + 1;
      this.#lines += 1;
    }
    this.#checkLine(this.#length - this.#whole);
  }

  *rest(): Generator<Piece> {
    // A last line needs no newline.
    this.#whole = this.#length;
    if (this.#length > 0) {
      yield this.#take();
    }
  }

  #take(): Piece {
    // After the first piece of a chunk there is one chunk, and nothing to copy.
    const [only] = this.#chunks;
    const all =
      only !== undefined && this.#chunks.length === 1
        ? only
        : Buffer.concat(this.#chunks, this.#length);
    const piece = { text: all.subarray(0, this.#whole), firstLine: this.#firstLine };
    this.#chunks = [all.subarray(this.#whole)];
    this.#length -= this.#whole;
    this.#firstLine += this.#lines;
    this.#whole = 0;
    this.#lines = 0;
    return piece;
  }

  #checkLine(length: number): void {
    if (length > this.#maxLineBytes) {
      const line = this.#firstLine + this.#lines;
      const message = `line ${line} is longer than ${this.#maxLineBytes} bytes`;
      throw new MetricstorError('too_large', message);
    }
  }
}

interface Refusals {
  count: number;
  readonly examples: string[];
}

/** Writes pieces, a few at a time, and adds up what became of them. */
class Importer {
  readonly #appender: Appender;
  readonly #scope: Scope;
  readonly #waiting: { readonly line: number; readonly outcome: Promise<WriteOutcome> }[] = [];
  #samples = 0;
  #histograms = 0;
  #replaced = 0;
  readonly #refusals = new Map<string, Refusals>();

  constructor(appender: Appender, scope: Scope) {
    this.#appender = appender;
    this.#scope = scope;
  }

  async add(text: Uint8Array, firstLine: number): Promise<void> {
    if (this.#waiting.length >= piecesWaiting) {
      await this.#settleOne();
    }
    const request = { format: 'json-lines', encoding: 'identity', firstLine } as const;
    const outcome = this.#appender.write(text, { ...request, scope: this.#scope });
    // It is awaited in its turn; until then its failure is not one that nobody handles.
    outcome.catch(() => undefined);
    this.#waiting.push({ line: firstLine, outcome });
  }

  async finish(): Promise<ImportOutcome> {
    while (this.#waiting.length > 0) {
      await this.#settleOne();
    }
    const rejections: Rejection[] = [...this.#refusals].map(([code, refusals]) => ({
      code,
      ...refusals,
    }));
    return {
      samples: this.#samples,
      histograms: this.#histograms,
      replaced: this.#replaced,
      rejections,
    };
  }

  /** Waits for what is on its way, whatever becomes of it. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#waiting.splice(0).map(({ outcome }) => outcome));
  }

  async #settleOne(): Promise<void> {
    const oldest = this.#waiting.shift();
    if (oldest === undefined) {
      return;
    }
    let outcome: WriteOutcome;
    try {
      outcome = await oldest.outcome;
    } catch (error) {
      if (error instanceof MetricstorError) {
        const message = `from line ${oldest.line} on: ${error.message}`;
        throw new MetricstorError(error.code, message, { cause: error });
      }
      throw error;
    }
    this.#samples += outcome.samples;
    this.#histograms += outcome.histograms;
    this.#replaced += outcome.replaced;
    for (const { code, count, examples } of outcome.rejections) {
      const refusals = this.#refusals.get(code) ?? { count: 0, examples: [] };
      refusals.count += count;
      refusals.examples.push(...examples.slice(0, maxExamples - refusals.examples.length));
      this.#refusals.set(code, refusals);
    }
  }
}

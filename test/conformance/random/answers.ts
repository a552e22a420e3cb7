/**
 * @file Answers of Prometheus to random queries over one random world, in a compressed file: JSON
 * lines, the first of which says what was asked of whom, then `[question, answer]` each.
 */
import { createHash } from 'node:crypto';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import type { Question } from '../../differential/fuzz/questions.js';
import type { ApiEnvelope } from '../../support/compare-results.js';
import type { HistogramSeries } from '../../support/histogram-wire.js';
import type { Recording } from '../recorded/answers.js';

export interface RandomRecording {
  readonly recording: Recording;
  /** What `makeWorld` made the samples of. */
  readonly seed: number;
  /** Tells when it makes others than were asked about. */
  readonly world: string;
  readonly answers: readonly (readonly [Question, ApiEnvelope])[];
}

export const randomAnswersFile = new URL('answers.jsonl.br', import.meta.url);

/** A fingerprint of samples. */
export function fingerprint(world: readonly (readonly HistogramSeries[])[]): string {
  // NaN and the infinities, which JSON has no numbers for, as their texts.
  const text = JSON.stringify(world, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  );
  return createHash('sha256').update(text).digest('hex');
}

export function packAnswers({ answers, ...head }: RandomRecording): Uint8Array {
  const lines = [head, ...answers].map((line) => JSON.stringify(line));
  const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
  return brotliCompressSync(lines.join('\n'), { params });
}

export function unpackAnswers(packed: Uint8Array): RandomRecording {
  const [head, ...answers] = brotliDecompressSync(packed).toString('utf8').split('\n');
  return {
    ...(JSON.parse(head) as Omit<RandomRecording, 'answers'>),
    answers: answers.map((line) => JSON.parse(line) as [Question, ApiEnvelope]),
  };
}

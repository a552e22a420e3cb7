/** @file Reads the answers that Prometheus gave to `expressions.txt`. */
import { readFileSync } from 'node:fs';
import type { ApiEnvelope } from '../../support/compare-results.js';

export interface RecordedAnswer {
  /** The id of the case. */
  readonly id: string;
  readonly httpStatus: number;
  readonly answer: ApiEnvelope;
}

/** Who answered, and how it was started. */
export interface Recording {
  readonly version: string;
  readonly revision: string;
  readonly goVersion: string;
  readonly arguments: readonly string[];
  readonly configuration: string;
}

const folder = new URL('./answers/', import.meta.url);

/** The file that holds a theme's answers. */
export function answerFile(theme: string): URL {
  return new URL(`${theme.replaceAll(' ', '-')}.json`, folder);
}

export const recordingFile = new URL('recording.json', folder);

/** The answers of one theme by case id. */
export function readAnswers(theme: string): Map<string, RecordedAnswer> {
  const list = JSON.parse(readFileSync(answerFile(theme), 'utf8')) as RecordedAnswer[];
  return new Map(list.map((one) => [one.id, one]));
}

/** How the committed answers were recorded. */
export function readRecording(): Recording {
  return JSON.parse(readFileSync(recordingFile, 'utf8')) as Recording;
}

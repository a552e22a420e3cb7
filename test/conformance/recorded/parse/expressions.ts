/**
 * @file Expressions, valid and not, and how Prometheus understood them.
 *
 * `expressions.txt` has one a line, by theme; `⏎`, `␍` and `␉` stand for the characters that they
 * show, `∅` for the empty text. `answers.jsonl` has a line about the recording, then one an
 * expression; it is written by `test/differential/record.ts`.
 */
import { readFileSync } from 'node:fs';
import type { Recording } from '../answers.js';

/** The answers of `format_query` and `parse_query`, or the error of both. */
export interface ParsedExpression {
  readonly query: string;
  readonly error?: string;
  readonly format?: string;
  readonly tree?: unknown;
}

export interface ParseRecording extends Recording {
  readonly expressions: readonly ParsedExpression[];
}

/** The queries in the text of `expressions.txt`. */
export function parseExpressionList(text: string): string[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('## '));
  return lines.map((line) =>
    line.replaceAll('⏎', '\n').replaceAll('␍', '\r').replaceAll('␉', '\t').replace('∅', ''),
  );
}

/** The queries of `expressions.txt`. */
export function readParseExpressions(): string[] {
  return parseExpressionList(readFileSync(new URL('expressions.txt', import.meta.url), 'utf8'));
}

export function readParseRecording(): ParseRecording {
  const text = readFileSync(new URL('answers.jsonl', import.meta.url), 'utf8');
  const [head = '', ...lines] = text.trimEnd().split('\n');
  return {
    ...(JSON.parse(head) as Recording),
    expressions: lines.map((line) => JSON.parse(line) as ParsedExpression),
  };
}

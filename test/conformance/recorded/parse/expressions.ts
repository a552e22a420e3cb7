/**
 * @file Expressions, valid and not, and how Prometheus understood them.
 *
 * `expressions.txt` has one a line, by theme; `⏎`, `␍` and `␉` stand for the characters that they
 * show, `∅` for the empty text. `answers.json` is written by `test/differential/record.ts`.
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
  readonly expressions: ParsedExpression[];
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
  const text = readFileSync(new URL('answers.json', import.meta.url), 'utf8');
  return JSON.parse(text) as ParseRecording;
}

/**
 * @file Positions of a query text as people and Prometheus count them, and errors that carry one.
 */
import { MetricstorError } from '../errors.js';

/**
 * `line:column`, both from 1, of a UTF-16 offset; columns count bytes of UTF-8, as in Prometheus'
 * `posrange.go`.
 */
export function lineColumn(query: string, offset: number): string {
  const before = query.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  let line = 1;
  for (let i = before.indexOf('\n'); i >= 0; i = before.indexOf('\n', i + 1)) {
    line++;
  }
  return `${line}:${Buffer.byteLength(before.slice(lineStart)) + 1}`;
}

/** The error of a query that cannot be understood, in Prometheus' words. */
export function parseError(query: string, offset: number, message: string): MetricstorError {
  const where = query === '' ? 'unknown position' : lineColumn(query, offset);
  return new MetricstorError('bad_data', `${where}: parse error: ${message}`);
}

/** Whether Go's `unicode.IsPrint` says so of a character. */
export function isPrintable(char: string): boolean {
  return /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(char);
}

/** Text as Go's `%q` prints it: double quotes, escapes for what does not print. */
export function goQuote(text: string): string {
  let out = '"';
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    const short = shortEscapes[char];
    if (short !== undefined) {
      out += short;
    } else if (code < 0x20 || code === 0x7f) {
      out += `\\x${code.toString(16).padStart(2, '0')}`;
    } else if (isPrintable(char)) {
      out += char;
    } else if (code < 0x10000) {
      out += `\\u${code.toString(16).padStart(4, '0')}`;
    } else {
      out += `\\U${code.toString(16).padStart(8, '0')}`;
    }
  }
  return `${out}"`;
}

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

/** A character as Go's `%q` prints a rune; the empty text stands for the end of input. */
export function goQuoteRune(char: string): string {
  if (char === '') {
    return "'\ufffd'";
  }
  if (char === "'") {
    return "'\\''";
  }
  const quoted = char === '"' ? '"' : goQuote(char).slice(1, -1);
  return `'${quoted}'`;
}

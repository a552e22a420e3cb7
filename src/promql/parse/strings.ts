/**
 * @file String literals of PromQL: where one ends, and what it means.
 *
 * Follows `lexEscape` in Prometheus' `promql/parser/lex.go` and `util/strutil/quote.go` (3.14):
 * Go's escapes, with either kind of quotes; a string in backquotes is raw.
 */
import { isPrintable } from '../position.js';

const simpleEscapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
};

/** Digits, base and largest value of the numeric escapes. */
const numericEscapes: Readonly<Record<string, readonly [number, number]>> = {
  x: [2, 16],
  u: [4, 16],
  U: [8, 16],
};

/** Why a literal is malformed, in Prometheus' words. */
export interface StringProblem {
  readonly problem: string;
}

/** Length of the literal that starts at `start`, quotes included, or what is wrong with it. */
export function scanString(query: string, start: number): number | StringProblem {
  const quote = query.charAt(start);
  for (let i = start + 1; ; i++) {
    const char = query.charAt(i);
    if (char === '') {
      return problem(quote === '`' ? 'unterminated raw string' : 'unterminated quoted string');
    }
    if (char === quote) {
      return i + 1 - start;
    }
    if (char === '\ufffd') {
      return problem('invalid UTF-8 rune');
    }
    if (quote === '`') {
      continue;
    }
    if (char === '\n') {
      return problem('unterminated quoted string');
    }
    if (char === '\\') {
      const length = scanEscape(query, i + 1, quote);
      if (typeof length !== 'number') {
        return length;
      }
      i += length;
    }
  }
}

function problem(text: string): StringProblem {
  return { problem: text };
}

/** Length of the escape whose first character after the backslash is at `at`. */
function scanEscape(query: string, at: number, quote: string): number | StringProblem {
  const char = query.charAt(at);
  if (char === '') {
    return problem('escape sequence not terminated');
  }
  if (char === quote || simpleEscapes[char] !== undefined) {
    return 1;
  }
  const octal = char >= '0' && char <= '7';
  const form = octal ? ([3, 8] as const) : numericEscapes[char];
  if (form === undefined) {
    return problem(`unknown escape sequence ${unicodeName(query, at)}`);
  }
  const [digits, base] = form;
  const first = octal ? at : at + 1;
  let value = 0;
  for (let i = first; i < first + digits; i++) {
    const digit = query.charAt(i);
    if (digit === '') {
      return problem('escape sequence not terminated');
    }
    const number = /[0-9a-fA-F]/.test(digit) ? Number.parseInt(digit, 16) : 16;
    if (number >= base) {
      return problem(`illegal character ${unicodeName(query, i)} in escape sequence`);
    }
    value = value * base + number;
  }
  const byteSized = octal || char === 'x';
  if (value > (byteSized ? 255 : 0x10ffff) || (value >= 0xd800 && value < 0xe000)) {
    return problem('escape sequence is an invalid Unicode code point');
  }
  return first + digits - at;
}

/** A character as Go's `%#U` prints it: `U+0071 'q'`. */
function unicodeName(query: string, at: number): string {
  const code = query.codePointAt(at) ?? 0;
  const hex = code.toString(16).toUpperCase().padStart(4, '0');
  const char = String.fromCodePoint(code);
  return isPrintable(char) ? `U+${hex} '${char}'` : `U+${hex}`;
}

/**
 * The text that a literal means. Byte escapes (`\xff`, `\377`) make UTF-8 bytes; bytes that are
 * not UTF-8 become U+FFFD, since labels are text.
 */
export function unquote(literal: string): string {
  const body = literal.slice(1, -1);
  if (literal.startsWith('`') || !body.includes('\\')) {
    return body;
  }
  const pieces: Buffer[] = [];
  const piece =
    /\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|[^\\]+/gsu;
  for (const [text, octal, hex, short, long, simple] of body.matchAll(piece)) {
    const byte = octal === undefined ? hex : undefined;
    if (octal !== undefined) {
      pieces.push(Buffer.of(Number.parseInt(octal, 8)));
    } else if (byte !== undefined) {
      pieces.push(Buffer.of(Number.parseInt(byte, 16)));
    } else if (short !== undefined || long !== undefined) {
      pieces.push(Buffer.from(String.fromCodePoint(Number.parseInt(short ?? long ?? '0', 16))));
    } else if (simple !== undefined) {
      pieces.push(Buffer.from(simpleEscapes[simple] ?? simple));
    } else {
      pieces.push(Buffer.from(text));
    }
  }
  return Buffer.concat(pieces).toString();
}

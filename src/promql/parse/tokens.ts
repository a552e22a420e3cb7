/**
 * @file The words of PromQL: token types, keywords, and how Prometheus names a token in an error.
 *
 * Follows the item types of Prometheus' `promql/parser/lex.go` (3.14).
 */
import { goQuote } from '../position.js';

export type TokenType =
  | 'identifier'
  | 'metric identifier'
  | 'string'
  | 'number'
  | 'duration'
  | 'punctuation'
  | 'operator'
  | 'aggregator'
  | 'keyword'
  | 'end'
  | 'error';

export interface Token {
  readonly type: TokenType;
  /** As written. */
  readonly text: string;
  /** Keywords, aggregators and word operators in lower case; the message of an error. */
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

function entries(words: string, type: TokenType): (readonly [string, TokenType])[] {
  return words.split(' ').map((word) => [word, type] as const);
}

/** The words that stand for something of the query's times; as functions they heed case. */
const queryWords = 'start end step range max_of min_of';

/** Words with a meaning of their own; they ignore case. */
export const keywords: ReadonlyMap<string, TokenType> = new Map<string, TokenType>([
  ...entries('and or unless atan2', 'operator'),
  ...entries('sum avg count min max group stddev stdvar topk bottomk', 'aggregator'),
  ...entries('count_values quantile limitk limit_ratio', 'aggregator'),
  ...entries('offset smoothed anchored by without on ignoring bool', 'keyword'),
  ...entries('group_left group_right fill fill_left fill_right', 'keyword'),
  ...entries(queryWords, 'keyword'),
  ...entries('inf nan', 'number'),
]);

/** The words that may stand in a duration. */
export const durationWords: ReadonlySet<string> = new Set(['step', 'range', 'max_of', 'min_of']);

const quotedWords: ReadonlySet<string> = new Set(queryWords.split(' '));

/** The part of an error text that names a token. */
export function describeToken(token: Token): string {
  const { type, text, word } = token;
  switch (type) {
    case 'end':
      return 'end of input';
    case 'identifier':
    case 'metric identifier':
      return `${type} ${goQuote(text)}`;
    case 'keyword':
      return quotedWords.has(word) ? goQuote(text) : `<${text}>`;
    case 'operator':
      return text === '=' ? goQuote(text) : `<op:${text}>`;
    case 'aggregator':
      return `<aggr:${text}>`;
    case 'punctuation':
      return text === '@' ? '<op:@>' : goQuote(text);
    default: {
      const shown = [...text].slice(0, 10).join('');
      return `${type} ${goQuote(shown)}${shown === text ? '' : '...'}`;
    }
  }
}

/** Whether an operand may begin at a token: words there are metric names, signs are signs. */
export function opensOperand(tokens: readonly Token[], index: number): boolean {
  // In `and and and` the words in odd places are names.
  let names = index;
  while (/^(?:and|or|unless)$/.test(tokens[names - 1]?.word ?? '')) {
    names--;
  }
  if (names < index) {
    return opensOperand(tokens, names) === ((index - names) % 2 === 0);
  }
  const before = tokens[index - 1];
  return (
    before === undefined ||
    before.type === 'operator' ||
    before.text === '(' ||
    before.text === ',' ||
    before.word === 'bool'
  );
}

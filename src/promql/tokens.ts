/**
 * @file The words of PromQL: token types, keywords, and how Prometheus names a token in an error.
 *
 * Follows the item types of Prometheus' `promql/parser/lex.go` (3.14).
 */
import { goQuote } from './position.js';

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
  /** Keywords, aggregators and word operators in lower case; otherwise `text`. */
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

/** Words with a meaning of their own; they ignore case. */
export const keywords: ReadonlyMap<string, TokenType> = new Map<string, TokenType>([
  ...(['and', 'or', 'unless', 'atan2'] as const).map((word) => [word, 'operator'] as const),
  ...(
    [
      'sum',
      'avg',
      'count',
      'min',
      'max',
      'group',
      'stddev',
      'stdvar',
      'topk',
      'bottomk',
      'count_values',
      'quantile',
      'limitk',
      'limit_ratio',
    ] as const
  ).map((word) => [word, 'aggregator'] as const),
  ...(
    [
      'offset',
      'smoothed',
      'anchored',
      'by',
      'without',
      'on',
      'ignoring',
      'group_left',
      'group_right',
      'fill',
      'fill_left',
      'fill_right',
      'bool',
      'start',
      'end',
      'step',
      'range',
      'max_of',
      'min_of',
    ] as const
  ).map((word) => [word, 'keyword'] as const),
  ['inf', 'number'],
  ['nan', 'number'],
]);

/** Keywords that are not looked up as metric names. */
export const durationWords: ReadonlySet<string> = new Set(['step', 'range', 'max_of', 'min_of']);

/** The part of an error text that names a token. */
export function describeToken(token: Token): string {
  const { type, text } = token;
  switch (type) {
    case 'end':
      return 'end of input';
    case 'identifier':
    case 'metric identifier':
      return `${type} ${goQuote(text)}`;
    case 'keyword':
      return `<${text}>`;
    case 'operator':
      return text === '=' ? goQuote(text) : `<op:${text}>`;
    case 'aggregator':
      return `<aggr:${text}>`;
    case 'punctuation':
      return text === '@' ? '<op:@>' : goQuote(text);
    default: {
      const shown = text.length > 10 ? `${goQuote(text.slice(0, 10))}...` : goQuote(text);
      return `${type} ${shown}`;
    }
  }
}

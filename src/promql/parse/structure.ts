/**
 * @file Asks lezer for the structure of a query (`@prometheus-io/lezer-promql` 0.315).
 *
 * lezer reads strictly first: from where it cannot go on, the rest is not looked at, since what it
 * does to go on takes seconds for long nonsense. Prometheus would still report what is complete
 * and makes no sense in front of that place, so the text up to there is read once more, leniently.
 */
import type { PartialParse, Tree } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { durationWords, opensOperand, type Token } from './tokens.js';

export interface Structure {
  readonly tree: Tree;
  /** Index of the token where lezer could not go on; undefined if it read everything. */
  readonly broken: number | undefined;
}

const strictParser = parser.configure({ strict: true });

/** The tree of what `spell` made of a query with these tokens. */
export function structureOf(text: string, tokens: readonly Token[]): Structure {
  const parse = strictParser.startParse(text);
  try {
    return { tree: run(parse), broken: undefined };
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
  }
  const { parsedPos } = parse;
  const broken = brokenToken(tokens, parsedPos);
  return { tree: run(parser.startParse(text.slice(0, tokens[broken]?.start))), broken };
}

function brokenToken(tokens: readonly Token[], parsedPos: number): number {
  const index = tokens.findIndex(({ end }) => end > parsedPos);
  if (index < 0) {
    return tokens.length - 1;
  }
  // In brackets `step5m` is two tokens to Prometheus and one to lezer; the first one may be right.
  const [before, token, next] = [tokens[index - 1], tokens[index], tokens[index + 1]];
  const fits = before?.text === '[' || before?.text === ':' || opensOperand(tokens, index);
  const isWord = token?.type === 'keyword' && durationWords.has(token.word);
  const adjoins = next?.start === token?.end || next?.type === 'error';
  return fits && isWord && adjoins && next?.text !== '(' ? index + 1 : index;
}

function run(parse: PartialParse & { bigReductionCount?: number }): Tree {
  for (;;) {
    // lezer breaks off chains of operators of some hundred parts lest its tree grow too deep, and
    // calls that an error. The depth is bounded by `spell` already, so the count stays at zero.
    parse.bigReductionCount = 0;
    const tree = parse.advance();
    if (tree !== null) {
      return tree;
    }
  }
}

import { describe, expect, test } from 'vitest';
import { MetricstorError } from '../../src/errors.js';
import { parseQuery } from '../../src/promql/parse.js';
import { pretty } from '../../src/promql/pretty.js';
import { print } from '../../src/promql/print.js';
import { treeJson } from '../../src/promql/tree-json.js';
import {
  type ParsedExpression,
  readParseExpressions,
  readParseRecording,
} from '../conformance/recorded/parse/expressions.js';

const { version, expressions } = readParseRecording();
const byQuery = new Map(expressions.map((one) => [one.query, one]));

/** Trees that differ on purpose, with the reason. */
const otherTrees: ReadonlyMap<string, string> = new Map([
  ['a offset +step()', 'a plus sign before a duration is kept in the tree of Prometheus only'],
]);

function understand(query: string): ParsedExpression {
  try {
    const expr = parseQuery(query);
    const tree: unknown = JSON.parse(JSON.stringify(treeJson(expr)));
    return { query, format: pretty(expr), tree };
  } catch (error) {
    if (error instanceof MetricstorError && error.code === 'bad_data') {
      return { query, error: `invalid parameter "query": ${error.message}` };
    }
    throw error;
  }
}

describe(`as Prometheus ${version} understands`, () => {
  test.each(readParseExpressions())('%j', (query) => {
    const want = byQuery.get(query);
    const got = understand(query);
    if (otherTrees.has(query)) {
      expect(got.tree).not.toEqual(want?.tree);
      expect({ ...got, tree: null }).toEqual({ ...want, tree: null });
    } else {
      expect(got).toEqual(want);
    }
  });
});

test('what was printed means the same when it is read again', () => {
  for (const { query, format } of expressions) {
    if (format !== undefined) {
      const expr = parseQuery(query);
      expect(print(parseQuery(print(expr)))).toBe(print(expr));
      expect(print(parseQuery(format))).toBe(print(expr));
    }
  }
});

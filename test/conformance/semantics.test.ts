/** @file Every semantic that `SEMANTICS.md` lists has tests, and these exist. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseScript } from './script/parse.js';

const root = new URL('../../', import.meta.url);

function read(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}

interface Item {
  readonly title: string;
  readonly tests: string[];
}

/** The items of the list, with the lines below them that name tests. */
function itemsOf(text: string): Item[] {
  const items: Item[] = [];
  let chapter = '';
  for (const line of text.split('\n')) {
    const heading = /^## (.*)$/.exec(line);
    const item = /^(\d+\. .*)$/.exec(line);
    const named = /^ {3}- (.*)$/.exec(line);
    if (heading !== null) {
      chapter = heading[1];
    } else if (item !== null) {
      items.push({ title: `${chapter} ${item[1]}`, tests: [] });
    } else if (named !== null) {
      items[items.length - 1].tests.push(named[1]);
    }
  }
  return items;
}

const questions = new Set(
  ['recorded', 'histograms']
    .flatMap((folder) => read(`test/conformance/${folder}/expressions.txt`).split('\n'))
    .map((line) => line.trim()),
);

const scripts = new Map<string, Set<string>>();

/** The queries of a script. */
function queriesOf(name: string): ReadonlySet<string> {
  const { commands } = parseScript(read(`test/conformance/scripts/${name}.promql`));
  const queries = commands.flatMap((command) => (command.kind === 'eval' ? [command.query] : []));
  const known = scripts.get(name) ?? new Set(queries);
  scripts.set(name, known);
  return known;
}

function exists(line: string): boolean {
  const script = /^script ([\w-]+): (.*)$/.exec(line);
  if (script !== null) {
    return queriesOf(script[1]).has(script[2]);
  }
  const asked = /^asked: (.*)$/.exec(line);
  if (asked !== null) {
    return questions.has(asked[1]);
  }
  const [, file, name] = /^(\S+): (.+)$/.exec(line) ?? [];
  return file !== undefined && /\b(?:test|it|fn)\b/.test(read(file)) && read(file).includes(name);
}

const items = itemsOf(read('test/conformance/SEMANTICS.md'));

test('the list is the whole list', () => {
  const numbers = items.map(({ title }) => /(\d+)\./.exec(title)?.[1]);
  const counted = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i + 1}`);
  expect(numbers).toEqual([25, 8, 5].flatMap(counted));
});

describe('a semantic has tests, and they exist', () => {
  test.each(items)('$title', ({ tests }) => {
    expect(tests.length).toBeGreaterThan(0);
    expect(tests.filter((line) => !exists(line))).toEqual([]);
  });
});

import { expect, test } from 'vitest';
import { listFiles, readText } from './repository.js';

const written = listFiles('.', (path) =>
  /\.(ts|mjs|rs|proto|nix|toml|md|yml|yaml|json)$/.test(path),
)
  // Recorded answers, generated locks and types, and this test's own word list.
  .filter(
    (path) =>
      !/(package-lock|Cargo\.lock|native\/binding\/index\.d|\/data\/|\/recorded\/|test\/tidy\/files)/.test(
        path,
      ),
  );
const source = written.filter((path) => /\.(ts|mjs|rs)$/.test(path));
const product = source.filter((path) => /^(src|native)\//.test(path));

/** Each `path:line` whose text matches. */
function linesWith(paths: readonly string[], pattern: RegExp): string[] {
  const found: string[] = [];
  for (const path of paths) {
    readText(path)
      .split('\n')
      .forEach((line, index) => {
        if (pattern.test(line)) found.push(`${path}:${index + 1}: ${line.trim()}`);
      });
  }
  return found;
}

test('no source file is longer than 600 lines', () => {
  const long = source
    .map((path) => ({ path, lines: readText(path).split('\n').length - 1 }))
    .filter(({ lines }) => lines > 600);
  expect(long).toEqual([]);
});

test('every source file of the product opens with what it does', () => {
  const silent = product
    .filter((path) => !path.endsWith('/tests.rs'))
    .filter((path) => {
      const text = readText(path).replace(/^#!.*\n/, '');
      return path.endsWith('.rs') ? !text.startsWith('//!') : !/^\/\*\*\s*(\* )?@file/.test(text);
    });
  expect(silent).toEqual([]);
});

test('no file is named after nothing in particular', () => {
  const vague = /(^|[/_-])(utils?|common|misc|manager|helpers?|v2)([._/-]|$)/i;
  expect(source.filter((path) => vague.test(path))).toEqual([]);
});

test('Rust files are in snake_case and TypeScript files in kebab-case', () => {
  const name = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
  const odd = source.filter((path) =>
    path.endsWith('.rs')
      ? !/^[a-z0-9_]+\.rs$/.test(name(path))
      : !/^[a-z0-9-]+(\.(test|bench|config|d))?\.(ts|mjs)$/.test(name(path)),
  );
  expect(odd).toEqual([]);
});

test('no promise of later work stands in the source', () => {
  expect(linesWith(source, /\b(TODO|FIXME|XXX|HACK)\b|unimplemented!|todo!\(/)).toEqual([]);
});

test('no test is switched off or alone', () => {
  const off = /\b(test|it|describe)\.(only|todo|skip)\b|#\[ignore/;
  expect(linesWith(source, off)).toEqual([]);
});

test('the words of other systems are not used for ours', () => {
  expect(linesWith(product, /\b(memtable|TSID|data ?points?)\b/i)).toEqual([]);
});

test('errors and types keep their shape', () => {
  const rust = product.filter((path) => path.endsWith('.rs'));
  const typescript = source.filter((path) => path.endsWith('.ts'));
  expect(linesWith(rust, /\banyhow\b/)).toEqual([]);
  expect(linesWith(typescript, /(:|<|as|\|) any\b(?! )|\bany\[\]|@ts-(ignore|nocheck)/)).toEqual(
    [],
  );
  expect(linesWith(typescript, /^\s*(export )?(const )?enum /)).toEqual([]);
});

test('no path of one machine is written down', () => {
  // One's own home, or the directory of a build farm.
  const paths = /(^|[\s'"`(=:])\/(home|root|Users|work|farm)\/\w/;
  expect(linesWith(written, paths)).toEqual([]);
});

test('documentation does not quote line numbers of the source', () => {
  const docs = written.filter((path) => path.endsWith('.md'));
  expect(linesWith(docs, /\.(rs|ts):\d+/)).toEqual([]);
});

test('no comment is wider than 100 columns', () => {
  // Code is the formatters' business, but they leave comments alone. An address cannot be broken.
  const wide = linesWith(source, /^(?=.{101})\s*(\/\/|\/\*|\*)/);
  expect(wide.filter((line) => !/https?:\/\//.test(line))).toEqual([]);
});

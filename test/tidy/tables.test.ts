import { expect, test } from 'vitest';
import { errorKinds } from '../../src/errors.js';
import { readText } from './repository.js';

/** Code, status, errorType and retry of the README's table of errors. */
function readmeErrors(): Record<string, { status: number; errorType: string; retryable: boolean }> {
  const rows = readText('README.md').matchAll(/^\| `(\w+)` \| (\d{3}) \| `(\w+)` \| (yes|no) \|/gm);
  return Object.fromEntries(
    [...rows].map(([, code, status, errorType, retry]) => [
      code,
      { status: Number(status), errorType, retryable: retry === 'yes' },
    ]),
  );
}

test('the README lists every error with its status, type and retry', () => {
  expect(readmeErrors()).toEqual(errorKinds);
});

test('every code of the engine is in the table of errors', () => {
  const source = readText('native/engine/src/error.rs');
  const texts = [...source.matchAll(/Self::(\w+) => "(\w+)"/g)];
  const declared = Number(source.match(/pub const ALL: \[ErrorCode; (\d+)\]/)?.[1]);
  expect(texts.length).toBe(declared);
  expect(
    texts.map(([, , text]) => text).filter((text) => !Object.hasOwn(errorKinds, text)),
  ).toEqual([]);
});

test('all packages have one version', () => {
  const version = (JSON.parse(readText('package.json')) as { version: string }).version;
  const found = {
    cargo: readText('native/Cargo.toml').match(/^\[workspace\.package\]\nversion = "(.*)"$/m)?.[1],
    nix: readText('nix/package.nix').match(/^\s*version = "(.*)";$/m)?.[1],
    changelog: readText('CHANGELOG.md').match(/^## (?:Unreleased \()?(\d+\.\d+\.\d+)/m)?.[1],
  };
  expect(found).toEqual({ cargo: version, nix: version, changelog: version });
});

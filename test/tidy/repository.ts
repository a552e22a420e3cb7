/**
 * @file The repository's files as the tidy tests read them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Directories that no person writes into. */
const skipped = new Set([
  '.git',
  '.cache',
  'node_modules',
  'target',
  'dist',
  'dist-bench',
  'data',
  'metricstor-data',
  'coverage',
]);

/** Paths relative to the root, with `/`, of files under `dir` whose name passes `keep`. */
export function listFiles(dir: string, keep: (path: string) => boolean): string[] {
  const found: string[] = [];
  const walk = (at: string): void => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const path = join(at, entry.name);
      if (entry.isDirectory()) {
        if (!skipped.has(entry.name)) walk(path);
      } else if (entry.isFile()) {
        const name = relative(root, path).split(sep).join('/');
        if (keep(name)) found.push(name);
      }
    }
  };
  walk(join(root, dir));
  return found.sort();
}

/** The text of a file by its path from the root. */
export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Source without comments and string contents stays on its lines; for finding imports. */
export function withoutComments(source: string): string {
  return source
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ''))
    .replaceAll(/(^|[^:"'])\/\/[^\n]*/g, '$1');
}

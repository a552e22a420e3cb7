/**
 * @file Tools of the distribution that some tests need.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of a program, or undefined when it is not on PATH. */
export function findTool(name: string): string | undefined {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(dir, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here; the next directory.
    }
  }
  return undefined;
}

/**
 * Whether a test that needs these programs can run. In CI, where `.ci/run` has installed them, one
 * that is missing is an error: a proof that did not run must not look like one that did.
 */
export function requireTool(...names: readonly string[]): boolean {
  const missing = names.filter((name) => findTool(name) === undefined);
  if (missing.length === 0) return true;
  const text = `not on PATH: ${missing.join(', ')}`;
  if (process.env.CI !== undefined) throw new Error(text);
  console.log(`skipped, ${text}`);
  return false;
}

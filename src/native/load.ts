/**
 * @file Finds and loads the Rust add-on: the one built in this tree, else the one of the npm
 * package for this platform, which is what an installed metricstor uses.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Loads the add-on and returns its exports, untyped; `engine.ts` gives them their types. Loading it
 * again, also on another thread, gives the same native statics.
 *
 * @throws Error that names the platform and what was tried, when there is no add-on for it.
 */
export function loadAddon(): unknown {
  const require = createRequire(import.meta.url);
  const platform = platformName();
  const local = join(packageRoot(), 'native', 'binding', `metricstor.${platform}.node`);
  if (existsSync(local)) return require(local);
  const published = `@metricstor/native-${platform}`;
  try {
    return require(published);
  } catch (cause) {
    throw new Error(
      `no metricstor add-on for ${platform}: neither ${local} nor the package ${published} can be loaded`,
      { cause },
    );
  }
}

/**
 * The nearest directory upward with a package.json: the same from `src/`, `dist/` and the bench.
 */
function packageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  let dir = start;
  while (!existsSync(join(dir, 'package.json'))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error(`no package.json above ${start}`);
    dir = parent;
  }
  return dir;
}

/** The platform as napi names it: `linux-x64-gnu`, `linux-arm64-musl`, `darwin-arm64`. */
function platformName(): string {
  const { platform, arch } = process;
  if (platform !== 'linux') return `${platform}-${arch}`;
  return `${platform}-${arch}-${usesGlibc() ? 'gnu' : 'musl'}`;
}

/** Whether this Node is linked against glibc: its report names the version only then. */
function usesGlibc(): boolean {
  const report = process.report.getReport();
  if (typeof report !== 'object' || !('header' in report)) return true;
  const { header } = report;
  return typeof header === 'object' && header !== null && 'glibcVersionRuntime' in header;
}

/**
 * @file Packs what is published: `metricstor`, and the add-on of this machine's platform as
 * `@metricstor/native-<platform>`, into the directory given (default `.cache/pack`).
 *
 * The published manifest is made here, because its optional dependencies (one package a platform,
 * all of one version) do not exist before they are published, and an install of this repository
 * must not look for them.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build, platformName } from './build.mjs';
import { cacheDir, hostTriple, root, run, script } from './steps.mjs';

await script(async ([outDir = join(root, '.cache', 'pack')]) => {
  await build();
  const out = resolve(outDir);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const shared = {
    version: manifest.version,
    license: manifest.license,
    engines: manifest.engines,
    ...(manifest.repository && { repository: manifest.repository }),
  };
  await pack(out, 'main', mainManifest(manifest), [...manifest.files, 'CHANGELOG.md']);
  const platform = platformName(hostTriple());
  const addon = `${manifest.napi.binaryName}.${platform}.node`;
  await pack(out, 'native', platformManifest(manifest, shared, platform, addon), ['LICENSE'], {
    [addon]: join(root, 'native', 'binding', addon),
  });
});

/** The manifest without what only this repository needs, and with the platform packages. */
function mainManifest({ scripts: _scripts, devDependencies: _dev, napi, ...manifest }) {
  const packages = napi.targets.map((target) => `${napi.packageName}-${platformName(target)}`);
  return {
    ...manifest,
    optionalDependencies: Object.fromEntries(packages.map((name) => [name, manifest.version])),
  };
}

function platformManifest({ napi }, shared, platform, addon) {
  const [os, cpu, abi] = platform.split('-');
  return {
    name: `${napi.packageName}-${platform}`,
    description: `The engine of metricstor for ${platform}.`,
    ...shared,
    main: addon,
    files: [addon, 'LICENSE'],
    os: [os],
    cpu: [cpu],
    ...(abi === 'gnu' && { libc: ['glibc'] }),
    ...(abi === 'musl' && { libc: ['musl'] }),
  };
}

/** Lays the package out in a directory of its own and lets npm pack that. */
async function pack(out, name, manifest, files, more = {}) {
  const stage = join(cacheDir, 'stage', name);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const file of files) cpSync(join(root, file), join(stage, file), { recursive: true });
  for (const [file, from] of Object.entries(more)) cpSync(from, join(stage, file));
  await run('npm', ['pack', '--silent', '--pack-destination', out], { cwd: stage });
}

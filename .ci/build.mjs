/**
 * @file Builds metricstor from a clean clone: npm packages, the Rust add-on, the JavaScript.
 *
 * Each step is skipped when its inputs have not changed since it last succeeded, so a second run
 * takes about a second. `--bench` also compiles the benchmark; `--no-install` takes node_modules as
 * it is (a package build without network).
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  filesUnder,
  fingerprint,
  hostTriple,
  root,
  run,
  StepError,
  script,
  unlessUpToDate,
} from './steps.mjs';

const oldestNode = 20;

/** Brings everything that `npm start` and the tests need up to date. */
export async function build({ bench = false, install = true } = {}) {
  checkNode();
  if (install) await installPackages();
  await buildAddon();
  await compile({ name: 'typescript', project: 'tsconfig.json', from: ['src'], to: 'dist' });
  if (bench) {
    const project = 'bench/tsconfig.json';
    await compile({ name: 'bench', project, from: ['bench', 'src', 'test'], to: 'dist-bench' });
  }
}

function checkNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < oldestNode) {
    throw new StepError(`Node.js ${oldestNode} or newer is needed, this is ${process.version}`);
  }
}

async function installPackages() {
  const reason = packagesOutdated();
  if (reason === undefined) return;
  console.log(`npm packages: ${reason}, installing`);
  // Not `npm ci`: it refuses a lock that lacks other platforms' binaries of optional packages, and
  // a registry need not offer those. `--no-save` installs what the lock names and leaves it alone.
  await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
}

/**
 * Why node_modules is not what package-lock.json asks for, or undefined when it is. npm leaves the
 * list of what it installed in node_modules/.package-lock.json; optional packages of other
 * platforms are not in it.
 */
function packagesOutdated() {
  const installedFile = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) return 'none installed';
  const read = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  const installed = read(installedFile);
  const wanted = read(join(root, 'package-lock.json'));
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = installed[path];
    if (found === undefined && entry.optional) continue;
    if (found?.version !== entry.version) return `${path} is not at ${entry.version}`;
  }
  return undefined;
}

async function buildAddon() {
  const target = hostTriple();
  const inputs = filesUnder(['native'], (name) => /\.(rs|toml|lock)$/.test(name)).filter(
    (file) => !/^native\/(fuzz|engine\/(tests|benches))\//.test(file),
  );
  const args = [
    'node_modules/@napi-rs/cli/dist/cli.js',
    'build',
    '--release',
    '--platform',
    '--no-js',
    '--target',
    target,
    '--manifest-path',
    'native/binding/Cargo.toml',
    '--output-dir',
    'native/binding',
  ];
  await unlessUpToDate({
    name: 'add-on',
    title: 'add-on (a release build of the engine; minutes the first time, seconds later)',
    key: fingerprint(inputs, args.join(' ')),
    outputs: [`native/binding/metricstor.${platformName(target)}.node`],
    work: () => run(process.execPath, args),
  });
}

/** Node's name of a Rust target, as napi uses it in file and package names. */
export function platformName(target) {
  const [arch, , system, abi] = target.split('-');
  const cpu = { x86_64: 'x64', aarch64: 'arm64' }[arch];
  if (cpu === undefined) throw new StepError(`no name for the platform ${target}`);
  return system === 'linux' ? `linux-${cpu}-${abi}` : `${system}-${cpu}`;
}

async function compile({ name, project, from, to }) {
  const inputs = [
    ...filesUnder(from, (file) => file.endsWith('.ts')),
    ...['package-lock.json', 'tsconfig.json', project],
  ];
  await unlessUpToDate({
    name,
    title: name,
    key: fingerprint(inputs),
    outputs: [to],
    work: async () => {
      // Starting empty, so that no module outlives its source.
      rmSync(join(root, to), { recursive: true, force: true });
      await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', project]);
    },
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await script((args) =>
    build({ bench: args.includes('--bench'), install: !args.includes('--no-install') }),
  );
}

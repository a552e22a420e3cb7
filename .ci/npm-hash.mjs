/**
 * @file Prints the hashes of node_modules that `nix/package.nix` must name, one a platform; exits
 * with 1 when it names others. Needs `nix-hash`, npm and the network.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, root, run, StepError, script } from './steps.mjs';

const platforms = { 'x86_64-linux': 'x64', 'aarch64-linux': 'arm64' };

await script(async () => {
  const wanted = readFileSync(join(root, 'nix', 'package.nix'), 'utf8');
  const stale = [];
  for (const [system, cpu] of Object.entries(platforms)) {
    const hash = await hashFor(cpu);
    console.log(`${system} = "${hash}";`);
    if (!wanted.includes(`${system} = "${hash}";`)) stale.push(system);
  }
  if (stale.length > 0) throw new StepError(`nix/package.nix is stale for ${stale.join(', ')}`);
});

async function hashFor(cpu) {
  const dir = mkdtempSync(join(tmpdir(), 'metricstor-npm-'));
  try {
    for (const file of ['package.json', 'package-lock.json'])
      cpSync(join(root, file), join(dir, file));
    const platform = ['--os=linux', `--cpu=${cpu}`, '--libc=glibc'];
    const quiet = ['--no-audit', '--no-fund', '--silent'];
    await run('npm', ['install', '--no-save', '--ignore-scripts', ...platform, ...quiet], {
      cwd: dir,
    });
    rmSync(join(dir, 'node_modules', '.package-lock.json'));
    const args = ['--type', 'sha256', join(dir, 'node_modules')];
    const hex = capture('nix-hash', args)?.trim();
    if (!hex) throw new StepError('nix-hash is not on PATH');
    return `sha256-${Buffer.from(hex, 'hex').toString('base64')}`;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * @file Writes into `nix/package.nix` which node_modules package-lock.json asks for: one hash a
 * platform, and the hash of the lock that they belong to, by which a test sees that they are stale.
 * Run it when package-lock.json changed. Needs `nix-hash`, npm and the network.
 */
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, root, run, StepError, script } from './steps.mjs';

const platforms = { 'x86_64-linux': 'x64', 'aarch64-linux': 'arm64' };

await script(async () => {
  const file = join(root, 'nix', 'package.nix');
  const lock = readFileSync(join(root, 'package-lock.json'));
  let text = readFileSync(file, 'utf8');
  const put = (name, hash) => {
    const line = new RegExp(`^(\\s*${name} = ")[^"]*(";)$`, 'm');
    if (!line.test(text)) throw new StepError(`nix/package.nix has no line for ${name}`);
    text = text.replace(line, `$1${hash}$2`);
    console.log(`${name} = "${hash}";`);
  };
  put('npmLockHash', createHash('sha256').update(lock).digest('hex'));
  for (const [system, cpu] of Object.entries(platforms)) put(system, await hashFor(cpu));
  writeFileSync(file, text);
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

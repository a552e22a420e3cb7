/**
 * @file Notices that files changed, by looking at them every second.
 *
 * Polling sees what `fs.watch` misses: files replaced by rename, symbolic links switched to another
 * directory (as Kubernetes renews secrets), network file systems.
 */
import { statSync } from 'node:fs';

/** A renewed certificate may wait this long; a stat of four files a second costs nothing. */
const pollMs = 1000;

export class FileWatch {
  #timer: NodeJS.Timeout | undefined;
  #seen: string;

  /** `paths` is asked at every look, because a reload may change them; empty paths are ignored. */
  constructor(
    private readonly paths: () => readonly string[],
    private readonly onChange: () => void,
  ) {
    this.#seen = this.#fingerprint();
  }

  start(): void {
    this.#timer ??= setInterval(() => this.look(), pollMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks now, and calls `onChange` when anything differs from the last look. */
  look(): void {
    const now = this.#fingerprint();
    if (now !== this.#seen) {
      this.#seen = now;
      this.onChange();
    }
  }

  #fingerprint(): string {
    return this.paths()
      .filter((path) => path !== '')
      .map(fingerprintOf)
      .join('|');
  }
}

function fingerprintOf(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${ino}:${size}:${mtimeMs}`;
  } catch (error) {
    // A file that cannot be read now is a state like any other; the reload will say what is wrong.
    return error instanceof Error ? error.message : 'unreadable';
  }
}

/**
 * @file Names that a certificate may have one of, as they stand in a configuration.
 */
import type { PeerName } from './identity.js';

/** Compared whole. A URI answers to an entry with a scheme, other names to one without. */
export class NameSet {
  readonly #names: ReadonlySet<string>;

  constructor(names: readonly string[]) {
    this.#names = new Set(names.map(foldName));
  }

  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  /** Whether one of the names is in the set. */
  hasOneOf(names: readonly PeerName[]): boolean {
    // The kinds are kept apart: neither can pose as the other.
    return names.some(
      ({ kind, text }) => (kind === 'uri') === isUri(text) && this.#names.has(foldName(text)),
    );
  }
}

function isUri(text: string): boolean {
  return text.includes('://');
}

/** DNS names ignore case. URIs do too, in scheme and authority, which nobody writes in capitals. */
export function foldName(text: string): string {
  return isUri(text) ? text : text.toLowerCase();
}

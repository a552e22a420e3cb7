/**
 * @file The identities of the configuration, and which of them a request shows.
 *
 * A request shows one by its `Authorization` header or, without one, by its client certificate. The
 * header wins, so that a proxy with a certificate can pass on who asks it.
 */
import type { Identity } from './identity.js';
import { foldName, NameSet } from './names.js';
import type { PasswordCheck } from './password-check.js';
import type { Role } from './role.js';
import { decoyHash, hashApiKey, type PasswordHash } from './secret.js';

/** One that may ask. */
export interface Principal {
  readonly name: string;
  readonly roles: ReadonlySet<Role>;
  /** Names of which its certificate has one. */
  readonly certificates: readonly string[];
  /** As `hashApiKey` gives them. */
  readonly apiKeys: readonly string[];
  /** Basic authentication, with `name` as the user. */
  readonly password: PasswordHash | undefined;
}

export class Principals {
  readonly #all: readonly { readonly principal: Principal; readonly names: NameSet }[];
  readonly #byName = new Map<string, Principal>();
  readonly #byKey = new Map<string, Principal>();
  readonly #decoy = decoyHash();

  /** Names, certificates and keys belong to one principal each: see {@link sharedBetween}. */
  constructor(principals: readonly Principal[]) {
    this.#all = principals.map((principal) => ({
      principal,
      names: new NameSet(principal.certificates),
    }));
    for (const principal of principals) {
      this.#byName.set(principal.name, principal);
      for (const key of principal.apiKeys) {
        this.#byKey.set(key, principal);
      }
    }
  }

  get count(): number {
    return this.#all.length;
  }

  /** Whose certificate it is. One with names of several belongs to the first of the file. */
  ofCertificate(identity: Identity): Principal | undefined {
    return identity.kind === 'verified'
      ? this.#all.find(({ names }) => names.hasOneOf(identity.names))?.principal
      : undefined;
  }

  /** Whose credentials an `Authorization` header holds. Rejects with `overloaded`. */
  async ofHeader(header: string, passwords: PasswordCheck): Promise<Principal | undefined> {
    const [, scheme, credentials] = /^(\S+) +(\S+)$/.exec(header.trim()) ?? [];
    switch (scheme?.toLowerCase()) {
      case 'bearer':
        // The hash of a guess says nothing about how near it is, so this needs no constant time.
        return this.#byKey.get(hashApiKey(credentials));
      case 'basic':
        return await this.#ofPassword(credentials, passwords);
      default:
        return undefined;
    }
  }

  /** RFC 7617: base64 of `user:password`, in UTF-8. */
  async #ofPassword(encoded: string, passwords: PasswordCheck): Promise<Principal | undefined> {
    const text = Buffer.from(encoded, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 0) {
      return undefined;
    }
    const principal = this.#byName.get(text.slice(0, colon));
    // A user that does not exist takes as long as one that does.
    const stored = principal?.password ?? this.#decoy;
    return (await passwords.matches(text.slice(colon + 1), stored)) ? principal : undefined;
  }
}

/** What two principals have in common and may not: a name, a certificate's name, a key. */
export function sharedBetween(a: Principal, b: Principal): string | undefined {
  if (a.name === b.name) {
    return `the name ${a.name}`;
  }
  const names = new Set(a.certificates.map(foldName));
  const certificate = b.certificates.find((text) => names.has(foldName(text)));
  if (certificate !== undefined) {
    return `the certificate ${certificate}`;
  }
  return b.apiKeys.some((key) => a.apiKeys.includes(key)) ? 'an API key' : undefined;
}

/**
 * @file Who is at the other end of a connection, by its certificate.
 *
 * Names keep their kind, so that a common name `spiffe://…` is not taken for the URI. Only the
 * subject's common name and the subject alternative names of kind DNS and URI count
 * (RFC 5280 §4.2.1.6).
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

export type PeerName =
  | { readonly kind: 'commonName'; readonly text: string }
  | { readonly kind: 'dns'; readonly text: string }
  | { readonly kind: 'uri'; readonly text: string };

export type Identity =
  /** Not TLS, or TLS without asking for certificates. */
  | { readonly kind: 'none' }
  /** TLS with optional certificates, and the client has none. */
  | { readonly kind: 'anonymous' }
  /** A certificate that no configured CA vouches for, or that is not valid now. */
  | { readonly kind: 'invalid'; readonly reason: string }
  | {
      readonly kind: 'verified';
      readonly names: readonly PeerName[];
      /** Epoch milliseconds. */
      readonly validTo: number;
    };

/** Of a connection whose client was not asked for a certificate. */
export const noIdentity: Identity = Object.freeze({ kind: 'none' });

/** The part of `getPeerCertificate()` that is read. */
export interface PeerCertificate {
  readonly subject?: { readonly CN?: string | string[] };
  readonly subjectaltname?: string | undefined;
  readonly valid_to?: string;
}

/** A connection's identity does not change, so it is read from the certificate once. */
export class Identities {
  readonly #known = new WeakMap<Socket, Identity>();

  /** `asked` says whether client certificates are asked for at all. */
  of(socket: Socket, asked: boolean): Identity {
    if (!asked) {
      return noIdentity;
    }
    let identity = this.#known.get(socket);
    if (identity === undefined) {
      identity = socket instanceof TLSSocket ? readIdentity(socket) : noIdentity;
      this.#known.set(socket, identity);
    }
    return identity;
  }
}

function readIdentity(socket: TLSSocket): Identity {
  const certificate: PeerCertificate | null = socket.getPeerCertificate();
  if (certificate !== null && certificate.subject !== undefined && !socket.authorized) {
    return { kind: 'invalid', reason: String(socket.authorizationError) };
  }
  return identityOf(certificate ?? undefined);
}

/** The identity of a client whose certificate, if it has one, was verified in the handshake. */
export function identityOf(certificate: PeerCertificate | undefined): Identity {
  if (certificate?.subject === undefined) {
    return { kind: 'anonymous' };
  }
  const validTo = Date.parse(certificate.valid_to ?? '');
  return { kind: 'verified', names: namesOf(certificate), validTo };
}

/** The names of a certificate. */
export function namesOf(certificate: PeerCertificate): readonly PeerName[] {
  const names: PeerName[] = [certificate.subject?.CN ?? []]
    .flat()
    .map((text) => ({ kind: 'commonName', text }));
  for (const entry of splitAltNames(certificate.subjectaltname ?? '')) {
    const colon = entry.indexOf(':');
    const type = entry.slice(0, colon);
    const text = unquote(entry.slice(colon + 1));
    if (type === 'DNS') {
      names.push({ kind: 'dns', text });
    } else if (type === 'URI') {
      names.push({ kind: 'uri', text });
    }
  }
  return names;
}

/**
 * Splits at `, ` outside quotes. Node writes a name that holds a comma or another delicate
 * character as a JSON string, so that a name cannot pose as two.
 */
function splitAltNames(text: string): string[] {
  return text.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g)?.map((entry) => entry.trim()) ?? [];
}

function unquote(text: string): string {
  if (!text.startsWith('"')) {
    return text;
  }
  const value: unknown = JSON.parse(text);
  return String(value);
}

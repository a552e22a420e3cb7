/**
 * @file TLS from files: what servers listen with, and its renewal when the files change.
 *
 * A renewal is tried as a whole (certificate and key must belong together) before any server gets
 * it, so a half-written pair leaves the old one in use. New connections use the new material, open
 * ones stay, but a connection whose client was verified by another CA bundle is asked to reconnect.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls';
import type { TlsSettings } from '../config/schema.js';
import { MetricstorError } from '../errors.js';

/** TLS material as read at one moment. */
export interface TlsMaterial {
  readonly context: SecureContextOptions;
  /** Of the CA bundle; differs when other clients are trusted. */
  readonly clientCaDigest: string;
  /** Of everything; equal material is not applied again. */
  readonly digest: string;
}

/** What a server must offer to get renewed material: `https.Server` and `tls.Server` do. */
export interface RenewableServer {
  setSecureContext(options: SecureContextOptions): void;
}

/** Whether the settings turn TLS on. */
export function tlsEnabled(settings: TlsSettings): boolean {
  return settings.cert !== '';
}

/** Reads and tries the files. Throws `bad_data` that names the key whose file is wrong. */
export function readTlsMaterial(settings: TlsSettings): TlsMaterial {
  const cert = readPem('tls.cert', settings.cert);
  const key = readPem('tls.key', settings.key);
  const ca = settings.clientCa === '' ? undefined : readPem('tls.clientCa', settings.clientCa);
  const context: SecureContextOptions = {
    cert,
    key,
    minVersion: `TLSv${settings.minVersion}`,
    ...(ca === undefined ? {} : { ca }),
  };
  try {
    createSecureContext(context);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MetricstorError('bad_data', `tls: certificate, key and CA do not fit: ${reason}`, {
      cause,
    });
  }
  const clientCaDigest = digest(ca ?? '');
  const all = digest(cert, key, clientCaDigest, settings.minVersion);
  return { context, clientCaDigest, digest: all };
}

function readPem(key: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MetricstorError('bad_data', `${key}: cannot be read: ${reason}`, { cause });
  }
  if (!text.includes('-----BEGIN ')) {
    throw new MetricstorError('bad_data', `${key}: ${path} holds no PEM text`);
  }
  return text;
}

function digest(...parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    hash.update(part).update('\0');
  }
  return hash.digest('hex');
}

/** The material in use and the servers that use it. */
export class TlsContext {
  readonly asksForCertificates: boolean;
  readonly #requires: boolean;
  #material: TlsMaterial;
  readonly #servers = new Set<RenewableServer>();

  /** Throws `bad_data` when the files are not usable. */
  constructor(settings: TlsSettings) {
    this.#material = readTlsMaterial(settings);
    this.asksForCertificates = settings.clientCa !== '';
    this.#requires = this.asksForCertificates && settings.clientAuth === 'require';
  }

  /** Options for a new server. */
  serverOptions(): TlsOptions {
    return {
      ...this.#material.context,
      requestCert: this.asksForCertificates,
      rejectUnauthorized: this.#requires,
    };
  }

  /** Renewed material goes to `server` too, until it is forgotten. */
  adopt(server: RenewableServer): void {
    this.#servers.add(server);
  }

  forget(server: RenewableServer): void {
    this.#servers.delete(server);
  }

  /** Names the CA bundle that verifies clients now. */
  get clientCaDigest(): string {
    return this.#material.clientCaDigest;
  }

  /**
   * Reads the files again, and applies them when they differ. Throws, and changes nothing, when
   * they are not usable.
   */
  renew(settings: TlsSettings): 'renewed' | 'unchanged' {
    // Without this a removed CA would let the system's public CAs vouch for clients.
    if (!tlsEnabled(settings) || (settings.clientCa !== '') !== this.asksForCertificates) {
      const text = 'tls: turning TLS or client certificates on or off needs a restart';
      throw new MetricstorError('bad_data', text);
    }
    const material = readTlsMaterial(settings);
    if (material.digest === this.#material.digest) {
      return 'unchanged';
    }
    this.#material = material;
    for (const server of this.#servers) {
      server.setSecureContext(material.context);
    }
    return 'renewed';
  }
}

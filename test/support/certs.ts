/**
 * @file A certificate authority with server and client certificates, made by openssl for one test.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of one certificate and its key, and the PEM texts. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  readonly caFile: string;
  readonly ca: string;
  /** For a server on 127.0.0.1 and localhost. */
  server(name: string): Certificate;
  /** For a client whose common name is `name`. */
  client(name: string): Certificate;
}

/** Makes an authority whose files lie in `dir`. */
export function makeAuthority(dir: string, name = 'test authority'): Authority {
  const prefix = name.replaceAll(/\W+/g, '-');
  const caFile = join(dir, `${prefix}.crt`);
  const caKey = join(dir, `${prefix}.key`);
  openssl(
    'req',
    '-x509',
    ...newKey(caKey),
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-out',
    caFile,
  );
  const issue = (commonName: string, extensions: string): Certificate => {
    const file = (suffix: string): string => join(dir, `${prefix}-${commonName}.${suffix}`);
    writeFileSync(file('ext'), extensions);
    const subject = `/CN=${commonName}`;
    openssl('req', ...newKey(file('key')), '-subj', subject, '-out', file('csr'));
    openssl(
      'x509',
      '-req',
      '-in',
      file('csr'),
      '-CA',
      caFile,
      '-CAkey',
      caKey,
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      file('ext'),
      '-out',
      file('crt'),
    );
    return {
      certFile: file('crt'),
      keyFile: file('key'),
      cert: readFileSync(file('crt'), 'utf8'),
      key: readFileSync(file('key'), 'utf8'),
    };
  };
  return {
    caFile,
    ca: readFileSync(caFile, 'utf8'),
    server: (commonName) =>
      issue(commonName, 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n'),
    client: (commonName) => issue(commonName, 'extendedKeyUsage=clientAuth\n'),
  };
}

function newKey(file: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file];
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

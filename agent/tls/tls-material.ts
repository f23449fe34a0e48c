import type { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

import { codeOf } from '../errors/system-error.ts';
import { parseCertificates, parseKey, readPem } from './read-pem.ts';
import { TlsConfigError } from './tls-config-error.ts';

/** The files that `--registry-tls-*` name; empty for none. */
export interface TlsFiles {
  /** Certificate of this node, those between it and the authority behind it. */
  readonly cert: string;
  /** Its private key. */
  readonly key: string;
  /** Authorities that certificates of others are checked against. */
  readonly ca: string;
}

/** A certificate with its key, both PEM. */
interface TlsIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** End of the validity of the certificate. */
  readonly notAfter: Date;
  /** DNS names that the certificate is for, in lower case. */
  readonly names: readonly string[];
  /** What clients may stumble over, for the log. */
  readonly warnings: readonly string[];
}

/** What was read from the files, all of it checked. */
export interface TlsMaterial {
  readonly identity?: TlsIdentity;
  /** PEM. */
  readonly ca?: Buffer;
}

/** The flags of the files, for messages. */
const OPTION = {
  cert: '--registry-tls-cert',
  key: '--registry-tls-key',
  ca: '--registry-tls-ca',
} as const;

/** A certificate that ends sooner is worth a warning when it is read, in milliseconds: two days. */
const SOON_MS = 2 * 24 * 3_600_000;

/**
 * Reads the files and checks that they can be used, at present and together.
 *
 * @throws TlsConfigError
 */
export async function readMaterial(files: TlsFiles): Promise<TlsMaterial> {
  const identity = files.cert === '' ? undefined : await readIdentity(files);
  const ca = files.ca === '' ? undefined : await readAuthorities(files.ca);
  return { ...(identity && { identity }), ...(ca && { ca }) };
}

/** Whether both were read from the same bytes. */
export function isSameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return (
    isSame(a.ca, b.ca) &&
    isSame(a.identity?.cert, b.identity?.cert) &&
    isSame(a.identity?.key, b.identity?.key)
  );
}

async function readIdentity(files: TlsFiles): Promise<TlsIdentity> {
  const cert = await readPem(OPTION.cert, files.cert);
  const key = await readPem(OPTION.key, files.key);
  const [leaf] = parseCertificates(OPTION.cert, files.cert, cert);
  if (leaf === undefined) throw new Error('unreachable: there is at least one');
  const where = `${OPTION.cert} ${files.cert}`;
  if (!leaf.checkPrivateKey(parseKey(OPTION.key, files.key, key))) {
    throw new TlsConfigError(
      `${OPTION.key} ${files.key} is not the key of the certificate in ${files.cert}; name the two files of one pair, with the certificate of this node first`,
    );
  }
  checkValidity(where, leaf);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const code = codeOf(error) ?? 'unknown';
    throw new TlsConfigError(`${where}: OpenSSL refuses the pair (${code}); issue a new one`);
  }
  return { cert, key, notAfter: leaf.validToDate, names: dnsNames(leaf), warnings: warn(leaf) };
}

async function readAuthorities(path: string): Promise<Buffer> {
  const pem = await readPem(OPTION.ca, path);
  const certificates = parseCertificates(OPTION.ca, path, pem);
  // A bundle may hold an old authority beside its successor.
  const valid = certificates.filter(({ validToDate }) => validToDate.getTime() > Date.now());
  const [first] = certificates;
  if (valid.length === 0 && first !== undefined) checkValidity(`${OPTION.ca} ${path}`, first);
  return pem;
}

function checkValidity(where: string, { validFromDate, validToDate }: X509Certificate): void {
  if (validToDate.getTime() <= Date.now()) {
    throw new TlsConfigError(
      `${where} expired at ${validToDate.toISOString()}; renew it, or look at the clock of this node`,
    );
  }
  if (validFromDate.getTime() > Date.now()) {
    throw new TlsConfigError(
      `${where} is not valid before ${validFromDate.toISOString()}; look at the clock of this node`,
    );
  }
}

function dnsNames({ subjectAltName = '' }: X509Certificate): string[] {
  return [...subjectAltName.matchAll(/(?:^|, )DNS:([^",]+)/g)].map(([, name = '']) =>
    name.toLowerCase(),
  );
}

function warn({ subjectAltName, validToDate }: X509Certificate): string[] {
  const warnings: string[] = [];
  if (subjectAltName === undefined) {
    warnings.push('the certificate has no subjectAltName: containerd takes it for no host at all');
  }
  if (validToDate.getTime() - Date.now() < SOON_MS) {
    warnings.push(`the certificate expires at ${validToDate.toISOString()}`);
  }
  return warnings;
}

function isSame(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.equals(b));
}

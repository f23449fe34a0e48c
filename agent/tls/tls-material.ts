import type { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

import { codeOf } from '../errors/system-error.ts';
import { parseCertificates, parseKey, readPem } from './read-pem.ts';
import { TlsConfigError } from './tls-config-error.ts';

/** The paths that `--registry-tls-*` give; an empty one stands for no file. */
export interface TlsFiles {
  /** The certificate of this node, followed by the intermediate certificates. */
  readonly cert: string;
  /** Its private key. */
  readonly key: string;
  /** The authorities that sign the certificates of peers and clients. */
  readonly ca: string;
}

/** A certificate with its key, both PEM. */
interface TlsIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** When the certificate expires. */
  readonly notAfter: Date;
  /** The DNS names of the certificate, in lower case. */
  readonly names: readonly string[];
  /** Problems that clients may have with it, for the log. */
  readonly warnings: readonly string[];
}

/** The checked content of the files. */
export interface TlsMaterial {
  readonly identity?: TlsIdentity;
  /** The authorities, in PEM. */
  readonly ca?: Buffer;
}

/** The flags of the files, for messages. */
const OPTION = {
  cert: '--registry-tls-cert',
  key: '--registry-tls-key',
  ca: '--registry-tls-ca',
} as const;

/** A certificate that expires within this time is logged as a warning, in milliseconds: two days. */
const SOON_MS = 2 * 24 * 3_600_000;

/**
 * Reads the files, and checks that they are valid now and fit each other.
 *
 * @throws TlsConfigError when they cannot be used
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
  // A bundle may contain an expired authority and its successor.
  const valid = certificates.filter(({ validToDate }) => validToDate.getTime() > Date.now());
  const [first] = certificates;
  if (valid.length === 0 && first !== undefined) checkValidity(`${OPTION.ca} ${path}`, first);
  return pem;
}

function checkValidity(where: string, { validFromDate, validToDate }: X509Certificate): void {
  if (validToDate.getTime() <= Date.now()) {
    throw new TlsConfigError(
      `${where} expired at ${validToDate.toISOString()}; renew it, or check the clock of this node`,
    );
  }
  if (validFromDate.getTime() > Date.now()) {
    throw new TlsConfigError(
      `${where} is not valid before ${validFromDate.toISOString()}; check the clock of this node`,
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
    warnings.push('the certificate has no subjectAltName: containerd accepts it for no host');
  }
  if (validToDate.getTime() - Date.now() < SOON_MS) {
    warnings.push(`the certificate expires at ${validToDate.toISOString()}`);
  }
  return warnings;
}

function isSame(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.equals(b));
}

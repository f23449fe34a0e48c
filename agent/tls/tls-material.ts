import type { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

import { codeOf } from '../errors/system-error.ts';
import { parseCertificates, parseKey, readPem } from './read-pem.ts';
import { TlsConfigError } from './tls-config-error.ts';

/** The paths that `--registry-tls-*` give; an empty or absent one stands for no file. */
export interface TlsFiles {
  /** The certificate of this node, followed by the intermediate certificates. */
  readonly cert: string;
  /** Its private key. */
  readonly key: string;
  /** The authorities that sign the certificates of peers and clients. */
  readonly ca: string;
  /** The certificate that this node shows to peers. Absent: the one that it serves with. */
  readonly clientCert?: string;
  /** Its private key. */
  readonly clientKey?: string;
  /** The authorities that sign the certificates of clients. Absent: those of peers. */
  readonly clientCa?: string;
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
  /** What this node serves with. */
  readonly identity?: TlsIdentity;
  /** What it shows to peers. Absent: what it serves with. */
  readonly client?: TlsIdentity;
  /** The authorities, in PEM. */
  readonly ca?: Buffer;
  /** The authorities of clients, in PEM. Absent: those of peers. */
  readonly clientCa?: Buffer;
}

/** The flags of the files, for messages. */
const OPTION = {
  cert: '--registry-tls-cert',
  key: '--registry-tls-key',
  ca: '--registry-tls-ca',
  clientCert: '--registry-tls-client-cert',
  clientKey: '--registry-tls-client-key',
  clientCa: '--registry-tls-client-ca',
} as const;

/** The two uses of a certificate: to serve with, and to show to peers. */
const SERVING = { option: OPTION, serves: true } as const;
const SHOWN = {
  option: { cert: OPTION.clientCert, key: OPTION.clientKey },
  serves: false,
} as const;

/** A certificate that expires within this time is logged as a warning, in milliseconds: two days. */
const SOON_MS = 2 * 24 * 3_600_000;

/**
 * Reads the files, and checks that they are valid now and fit each other.
 *
 * @throws TlsConfigError when they cannot be used
 */
export async function readMaterial(files: TlsFiles): Promise<TlsMaterial> {
  const { clientCert = '', clientKey = '', clientCa = '' } = files;
  const identity = files.cert === '' ? undefined : await readIdentity(files, SERVING);
  const shown = { cert: clientCert, key: clientKey };
  const client = clientCert === '' ? undefined : await readIdentity(shown, SHOWN);
  const ca = files.ca === '' ? undefined : await readAuthorities(OPTION.ca, files.ca);
  const ofClients = clientCa === '' ? undefined : await readAuthorities(OPTION.clientCa, clientCa);
  return {
    ...(identity && { identity }),
    ...(client && { client }),
    ...(ca && { ca }),
    ...(ofClients && { clientCa: ofClients }),
  };
}

/** Whether both were read from the same bytes. */
export function isSameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return (
    isSame(a.ca, b.ca) &&
    isSame(a.clientCa, b.clientCa) &&
    isSamePair(a.identity, b.identity) &&
    isSamePair(a.client, b.client)
  );
}

async function readIdentity(
  files: Pick<TlsFiles, 'cert' | 'key'>,
  { option, serves }: typeof SERVING | typeof SHOWN,
): Promise<TlsIdentity> {
  const cert = await readPem(option.cert, files.cert);
  const key = await readPem(option.key, files.key);
  const [leaf] = parseCertificates(option.cert, files.cert, cert);
  if (leaf === undefined) throw new Error('unreachable: there is at least one');
  const where = `${option.cert} ${files.cert}`;
  if (!leaf.checkPrivateKey(parseKey(option.key, files.key, key))) {
    throw new TlsConfigError(
      `${option.key} ${files.key} is not the key of the certificate in ${files.cert}; name the two files of one pair, with the certificate of this node first`,
    );
  }
  checkValidity(where, leaf);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const code = codeOf(error) ?? 'unknown';
    throw new TlsConfigError(`${where}: OpenSSL refuses the pair (${code}); issue a new one`);
  }
  const warnings = warn(leaf, serves);
  return { cert, key, notAfter: leaf.validToDate, names: dnsNames(leaf), warnings };
}

async function readAuthorities(option: string, path: string): Promise<Buffer> {
  const pem = await readPem(option, path);
  const certificates = parseCertificates(option, path, pem);
  // A bundle may contain an expired authority and its successor.
  const valid = certificates.filter(({ validToDate }) => validToDate.getTime() > Date.now());
  const [first] = certificates;
  if (valid.length === 0 && first !== undefined) checkValidity(`${option} ${path}`, first);
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

function warn({ subjectAltName, validToDate }: X509Certificate, serves: boolean): string[] {
  const warnings: string[] = [];
  if (serves && subjectAltName === undefined) {
    warnings.push('the certificate has no subjectAltName: containerd accepts it for no host');
  }
  if (validToDate.getTime() - Date.now() < SOON_MS) {
    warnings.push(`the certificate expires at ${validToDate.toISOString()}`);
  }
  return warnings;
}

function isSamePair(a: TlsIdentity | undefined, b: TlsIdentity | undefined): boolean {
  return isSame(a?.cert, b?.cert) && isSame(a?.key, b?.key);
}

function isSame(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.equals(b));
}

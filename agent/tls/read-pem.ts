import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { codeOf } from '../errors/system-error.ts';
import { TlsConfigError } from './tls-config-error.ts';

/** Largest file that is read, in bytes: a bundle of all public authorities has 230 KB. */
const MAX_FILE_BYTES = 1024 * 1024;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'is not there; mount the secret or correct the path',
  EACCES: 'may not be read; give the agent read permission',
  EISDIR: 'is a folder; name the file in it',
};

/**
 * Reads a file of PEM text.
 *
 * @param option name of the option that named the file, for messages
 * @throws TlsConfigError
 */
export async function readPem(option: string, path: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const code = codeOf(error) ?? 'unknown';
    throw new TlsConfigError(
      `${option} ${path} ${REASONS[code] ?? `cannot be read (${code}); look at the disk`}`,
      { cause: error },
    );
  }
  if (bytes.length > MAX_FILE_BYTES) {
    throw new TlsConfigError(`${option} ${path} is too large for PEM; name another file`);
  }
  return bytes;
}

/**
 * The certificates of a file, in their order; at least one.
 *
 * @throws TlsConfigError
 */
export function parseCertificates(option: string, path: string, pem: Buffer): X509Certificate[] {
  const blocks = pem.toString('latin1').match(CERTIFICATE) ?? [];
  if (blocks.length === 0) {
    throw new TlsConfigError(
      `${option} ${path} has no certificate; it must be PEM ("BEGIN CERTIFICATE")`,
    );
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new TlsConfigError(
        `${option} ${path}: certificate ${index + 1} of ${blocks.length} is damaged; write the file anew`,
        { cause: error },
      );
    }
  });
}

/**
 * The private key of a file. What OpenSSL says of a bad one is not passed on: nothing of a key may get into a log.
 *
 * @throws TlsConfigError
 */
export function parseKey(option: string, path: string, pem: Buffer): KeyObject {
  if (pem.includes('ENCRYPTED')) {
    throw new TlsConfigError(
      `${option} ${path} is encrypted, and nobody is there to type its passphrase; take it off (openssl pkey)`,
    );
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw new TlsConfigError(
      `${option} ${path} has no usable private key; it must be PEM ("BEGIN PRIVATE KEY")`,
    );
  }
}

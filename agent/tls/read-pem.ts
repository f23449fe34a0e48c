import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

import { fileProblem, readSmallFile } from '../files/small-file.ts';
import { TlsConfigError } from './tls-config-error.ts';

/** Largest file, in bytes: a bundle of all public authorities has 230 KB. */
const MAX_FILE_BYTES = 1024 * 1024;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const PROBLEMS = {
  ENOENT: 'does not exist; mount the secret or correct the path',
  ERR_FILE_TOO_LARGE: 'is too large for PEM; name another file',
} as const;

/**
 * Reads a file of PEM text.
 *
 * @param option name of the option with the path, for messages
 * @throws TlsConfigError when the file cannot be read, or is larger than 1 MiB
 */
export async function readPem(option: string, path: string): Promise<Buffer> {
  try {
    return await readSmallFile(path, MAX_FILE_BYTES);
  } catch (error) {
    throw new TlsConfigError(`${option} ${path} ${fileProblem(error, PROBLEMS)}`, { cause: error });
  }
}

/**
 * Parses the certificates of a file, in their order; there is at least one.
 *
 * @throws TlsConfigError when there is none, or one is damaged
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
        `${option} ${path}: certificate ${index + 1} of ${blocks.length} is damaged; replace the file`,
        { cause: error },
      );
    }
  });
}

/**
 * Parses the private key of a file. The message of OpenSSL is dropped: it might contain a part of the key, which must not
 * reach a log.
 *
 * @throws TlsConfigError when the key is encrypted or unusable
 */
export function parseKey(option: string, path: string, pem: Buffer): KeyObject {
  if (pem.includes('ENCRYPTED')) {
    throw new TlsConfigError(
      `${option} ${path} is encrypted, and the agent has no passphrase for it; decrypt it (openssl pkey)`,
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

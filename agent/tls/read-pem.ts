import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { codeOf } from '../errors/system-error.ts';
import { TlsConfigError } from './tls-config-error.ts';

/** Largest file, in bytes: a bundle of all public authorities has 230 KB. */
const MAX_FILE_BYTES = 1024 * 1024;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist; mount the secret or correct the path',
  EACCES: 'must be readable by the agent; give it read permission',
  EISDIR: 'is a folder; name the file in it',
};

/**
 * Reads a file of PEM text.
 *
 * @param option name of the option with the path, for messages
 * @throws TlsConfigError when the file cannot be read, or is larger than 1 MiB
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

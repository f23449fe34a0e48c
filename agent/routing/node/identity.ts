import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';

import { codeOf, hasCode } from '../../errors/system-error.ts';
import { readSmallFile } from '../../files/small-file.ts';

/** The file in the data directory, with Spegel's name and format (PKCS8 PEM, mode 0600). */
export const IDENTITY_FILE = 'private.key';
/** The file with the key that was replaced; further ones are `private.key.replaced.2` and so on. */
export const REPLACED_FILE = `${IDENTITY_FILE}.replaced`;
/** Largest file of a key, in bytes. */
const MAX_KEY_BYTES = 64 * 1024;
/** Maximum number of replaced keys that are kept, the oldest ones. */
export const MAX_REPLACED_FILES = 8;

/**
 * - `ERR_IDENTITY_CORRUPT`: the file is not empty, and does not hold a private key.
 * - `ERR_IDENTITY_KEY_TYPE`: the file holds a private key that is not ed25519.
 * - `ERR_IDENTITY_UNREADABLE`: the file exists and cannot be read.
 * - `ERR_IDENTITY_UNWRITABLE`: the file cannot be created.
 */
export type IdentityErrorCode =
  | 'ERR_IDENTITY_CORRUPT'
  | 'ERR_IDENTITY_KEY_TYPE'
  | 'ERR_IDENTITY_UNREADABLE'
  | 'ERR_IDENTITY_UNWRITABLE';

/** The node has no identity; the message names the file and what to do. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
  readonly code: IdentityErrorCode;
  readonly path: string;

  constructor(code: IdentityErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.path = path;
  }
}

/**
 * Loads the node's ed25519 key. Without a data directory it is a new one at each start. Otherwise it is read from
 * there, and created when the file is missing or empty (as a crash during a write by another program leaves it). A file
 * with any other content is not replaced: the identity that peers know would be lost for good. See also
 * {@link renewIdentity}.
 *
 * @throws {IdentityError}
 */
export async function loadIdentity(dataDir?: string): Promise<PrivateKey> {
  if (dataDir === undefined || dataDir === '') return toLibp2p(newKey());
  const path = join(dataDir, IDENTITY_FILE);
  const pem = await readKeyFile(path);
  if (pem !== undefined && pem.length > 0) return toLibp2p(parseKey(pem, path));
  const key = newKey();
  await writeKeyFile(dataDir, path, key);
  return toLibp2p(key);
}

/** The result of {@link renewIdentity}. */
export interface RenewedIdentity {
  readonly privateKey: PrivateKey;
  /** The file that has the previous key now; undefined when there is none. */
  readonly replacedIn?: string;
}

/**
 * Replaces the node's key by a new one, because another node has the same. The previous key is kept in
 * {@link REPLACED_FILE}: the other node may replace it as well, when both have started a moment ago.
 *
 * @throws {IdentityError}
 */
export async function renewIdentity(dataDir: string): Promise<RenewedIdentity> {
  const key = newKey();
  if (dataDir === '') return { privateKey: toLibp2p(key) };
  const path = join(dataDir, IDENTITY_FILE);
  const replacedIn = await keepKeyFile(dataDir, path);
  await writeKeyFile(dataDir, path, key);
  return { privateKey: toLibp2p(key), ...(replacedIn !== undefined && { replacedIn }) };
}

function newKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

async function readKeyFile(path: string): Promise<Buffer | undefined> {
  try {
    return await readSmallFile(path, MAX_KEY_BYTES);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new IdentityError(
      'ERR_IDENTITY_UNREADABLE',
      path,
      `cannot read the identity ${path} (${codeOf(error) ?? 'unknown error'}): make it readable for the agent, or choose another data directory`,
      { cause: error },
    );
  }
}

function parseKey(pem: Buffer, path: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch (cause) {
    throw new IdentityError(
      'ERR_IDENTITY_CORRUPT',
      path,
      `the identity ${path} is not a private key in PKCS8 PEM form: restore it from a backup, or remove it to get a new identity`,
      { cause },
    );
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new IdentityError(
      'ERR_IDENTITY_KEY_TYPE',
      path,
      `the identity ${path} is a key of type ${key.asymmetricKeyType ?? 'unknown'}, not ed25519: replace it by an ed25519 key, or remove it to get a new identity`,
    );
  }
  return key;
}

/** Copies the key to the first free name of a replaced one; undefined when there is no key or no such name. */
async function keepKeyFile(dataDir: string, path: string): Promise<string | undefined> {
  const pem = await readKeyFile(path);
  if (pem === undefined || pem.length === 0) return undefined;
  for (let count = 1; count <= MAX_REPLACED_FILES; count += 1) {
    const kept = join(dataDir, count === 1 ? REPLACED_FILE : `${REPLACED_FILE}.${String(count)}`);
    try {
      await createFile(kept, pem);
      return kept;
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw unwritable(kept, dataDir, error);
    }
  }
  return undefined;
}

/** @throws the system's error, `EEXIST` when there is such a file */
async function createFile(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Writes atomically: after a power failure there is the old file or the whole new one. */
async function writeKeyFile(dataDir: string, path: string, key: KeyObject): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await makeFolder(dataDir);
    await createFile(temporary, key.export({ type: 'pkcs8', format: 'pem' }));
    await rename(temporary, path);
    const directory = await open(dataDir, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw unwritable(path, dataDir, error);
  }
}

function unwritable(path: string, dataDir: string, cause: unknown): IdentityError {
  return new IdentityError(
    'ERR_IDENTITY_UNWRITABLE',
    path,
    `cannot create the identity ${path} (${codeOf(cause) ?? 'unknown error'}): make ${dataDir} a directory that the agent can write to, or choose another data directory`,
    { cause },
  );
}

/**
 * Makes a folder and those above it. The `recursive` option is no alternative: below /proc and on some mounts the system
 * reports an existing folder as missing, and then Node.js retries for ever, on a thread that no signal ends.
 */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o755 });
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return;
    const parent = dirname(path);
    if (!hasCode(error, 'ENOENT') || existsSync(parent)) throw error;
    await makeFolder(parent);
    await makeFolder(path);
  }
}

/** libp2p's raw form: the 32 bytes of the seed, then the 32 bytes of the public key. */
function toLibp2p(key: KeyObject): PrivateKey {
  const { d, x } = key.export({ format: 'jwk' });
  if (d === undefined || x === undefined) throw new TypeError('not an ed25519 private key');
  return privateKeyFromRaw(
    Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]),
  );
}

import { createHash, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';

import { fileProblem, readSmallText } from '../files/small-file.ts';
import { Secret } from '../hosts/registries/secret.ts';
import { BasicAuthError } from './basic-auth-error.ts';

/** The option that names the folder. */
const OPTION = '--basic-auth-dir';
/** The files in it: the keys of a Secret of the type kubernetes.io/basic-auth. */
const FILES = ['username', 'password'] as const;
/** Largest file, in bytes. */
const MAX_FILE_BYTES = 1024;

const PROBLEMS = {
  ENOENT: 'does not exist; the folder must have the files `username` and `password`',
  ENOTDIR: 'is not in a folder; name the folder with the files `username` and `password`',
  EISDIR: 'is a folder; it must be a file with the text alone',
  ERR_FILE_TOO_LARGE: `is too large; at most ${MAX_FILE_BYTES} bytes are allowed`,
} as const;

/** A user name and its password, for HTTP basic authentication (RFC 7617). Neither is in any output. */
export class Credentials {
  /** The value of the header `Authorization`. */
  readonly authorization: Secret;
  readonly #digest: Buffer;

  constructor(username: string, password: string) {
    const pair = `${username}:${password}`;
    this.authorization = new Secret(`Basic ${Buffer.from(pair).toString('base64')}`);
    this.#digest = digestOf(Buffer.from(pair));
  }

  /**
   * Whether a request has these credentials. How long that takes does not depend on how much of them is right.
   *
   * @param header the header `Authorization` of the request
   */
  admit(header: string | undefined): boolean {
    const [, encoded = ''] = /^basic +([\w+/=-]+) *$/i.exec(header ?? '') ?? [];
    return timingSafeEqual(digestOf(Buffer.from(encoded, 'base64')), this.#digest);
  }

  /** Whether both have the same user name and password. */
  equals(other: Credentials): boolean {
    return timingSafeEqual(this.#digest, other.#digest);
  }
}

/**
 * Reads the credentials of a folder: the files `username` and `password`. A line break at their end is none of the text.
 *
 * @throws BasicAuthError
 */
export async function readCredentials(folder: string): Promise<Credentials> {
  const [username = '', password = ''] = await Promise.all(
    FILES.map((name) => read(join(folder, name))),
  );
  if (username.includes(':')) {
    throw new BasicAuthError(
      `${OPTION} ${join(folder, 'username')} has a colon, which ends a user name (RFC 7617); choose another`,
    );
  }
  return new Credentials(username, password);
}

async function read(path: string): Promise<string> {
  let text: string;
  try {
    text = (await readSmallText(path, MAX_FILE_BYTES)).replace(/\r?\n$/, '');
  } catch (error) {
    throw new BasicAuthError(`${OPTION} ${path} ${fileProblem(error, PROBLEMS)}`, { cause: error });
  }
  if (text === '') {
    throw new BasicAuthError(`${OPTION} ${path} is empty; write the text into it`);
  }
  // RFC 7617, section 2: none in either.
  if (/[\u0000-\u001f\u007f]/.test(text)) {
    throw new BasicAuthError(
      `${OPTION} ${path} has a control character, or more than one line; write one line of text`,
    );
  }
  return text;
}

function digestOf(text: Buffer): Buffer {
  return createHash('sha256').update(text).digest();
}

import type { Logger } from 'pino';

import { fileProblem, readSmallText } from '../files/small-file.ts';
import { followFiles, type FollowFilesInit } from '../timing/follow-files.ts';
import { SwarmKeyError } from './swarm-key-error.ts';
import { parseSwarmKeys, SwarmKeyFormatError, type SwarmKey, type SwarmKeys } from './swarm-key.ts';

/** The option that names the file. */
const OPTION = '--swarm-key-file';
/** Largest file, in bytes. */
const MAX_FILE_BYTES = 16 * 1024;

const PROBLEMS = {
  ENOENT: 'does not exist; `peerglass swarm-key` prints a key to put there',
  ERR_FILE_TOO_LARGE: 'is too large for a key; name another file',
} as const;

/**
 * Follows the file of the swarm key, so that a key is changed without a restart. A changed file that cannot be used is
 * reported, and the keys of before stay in use.
 */
export class SwarmKeyKeeper implements SwarmKeys {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #init: FollowFilesInit;
  #text: string;
  /** What the last read has found, where that is not in use: two reads in a row must agree. */
  #candidate: string | undefined;
  #keys: readonly SwarmKey[];
  readonly #listeners = new Set<() => void>();

  private constructor(path: string, logger: Logger, init: FollowFilesInit, text: string) {
    this.#path = path;
    this.#logger = logger;
    this.#init = init;
    this.#text = text;
    this.#keys = parse(OPTION, path, text);
    this.#report();
  }

  /**
   * Reads the file for the first time.
   *
   * @throws SwarmKeyError
   */
  static async load(
    path: string,
    logger: Logger,
    init: FollowFilesInit = {},
  ): Promise<SwarmKeyKeeper> {
    return new SwarmKeyKeeper(path, logger, init, await read(OPTION, path));
  }

  /** The present keys, at least one: nodes are dialled with the first, and accepted with each. */
  get keys(): readonly SwarmKey[] {
    return this.#keys;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the file periodically, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await followFiles(
      {
        takeOver: () => this.#follow(),
        refused: ({ message }) => {
          this.#logger.error(`changed swarm key not used, the old one stays in use: ${message}`);
        },
      },
      this.#init,
      signal,
    );
  }

  /** Takes over what the file has, or says why not. */
  async #follow(): Promise<SwarmKeyError | 'unsettled' | undefined> {
    try {
      const text = await read(OPTION, this.#path);
      const candidate = this.#candidate;
      this.#candidate = text;
      // A passphrase takes 50 ms to derive.
      if (text === this.#text) return undefined;
      // A part of a passphrase is one as well.
      if (text !== candidate) return 'unsettled';
      this.#keys = parse(OPTION, this.#path, text);
      this.#text = text;
    } catch (error) {
      this.#candidate = undefined;
      if (error instanceof SwarmKeyError) return error;
      throw error;
    }
    this.#report();
    for (const listener of this.#listeners) listener();
    return undefined;
  }

  #report(): void {
    const keys = this.#keys.map(({ fingerprint }) => fingerprint);
    this.#logger.info({ keys }, 'swarm key loaded');
  }
}

/**
 * Reads the keys of a file.
 *
 * @param option name of the option with the path, for messages
 * @throws SwarmKeyError
 */
export async function readSwarmKeys(option: string, path: string): Promise<readonly SwarmKey[]> {
  return parse(option, path, await read(option, path));
}

/** @throws SwarmKeyError */
async function read(option: string, path: string): Promise<string> {
  try {
    return await readSmallText(path, MAX_FILE_BYTES);
  } catch (error) {
    throw new SwarmKeyError(`${option} ${path} ${fileProblem(error, PROBLEMS)}`, { cause: error });
  }
}

/** @throws SwarmKeyError */
function parse(option: string, path: string, text: string): readonly SwarmKey[] {
  try {
    return parseSwarmKeys(text);
  } catch (error) {
    if (!(error instanceof SwarmKeyFormatError)) throw error;
    const advice = '`peerglass swarm-key` prints one that can be used';
    throw new SwarmKeyError(`${option} ${path} ${error.message}; ${advice}`);
  }
}

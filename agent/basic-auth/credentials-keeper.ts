import type { Logger } from 'pino';

import { followFiles, type FollowFilesInit } from '../timing/follow-files.ts';
import { BasicAuthError } from './basic-auth-error.ts';
import { readCredentials, type Credentials } from './credentials.ts';

/**
 * How long the credentials of before are still accepted after a change, in milliseconds: hosts.toml is written again, and
 * containerd reads it, only after the agent knows the new ones.
 */
const PREVIOUS_MS = 5 * 60_000;
/** Of how many changes within that time the credentials are still accepted. */
const MAX_PREVIOUS = 4;

/** What {@link CredentialsKeeper} uses. */
export interface CredentialsKeeperComponents {
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** Credentials of before a change. */
interface PreviousCredentials {
  readonly credentials: Credentials;
  /** When they are no longer accepted. */
  readonly until: number;
}

/**
 * Follows the files of the credentials, so that they are changed without a restart. Changed files that cannot be used are
 * reported, and the credentials of before stay in use.
 */
export class CredentialsKeeper {
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #init: FollowFilesInit;
  readonly #listeners: (() => void)[] = [];
  #current: Credentials;
  /** The latest first. */
  #previous: readonly PreviousCredentials[] = [];
  /** What the last read has found, where that is not in use: two reads in a row must agree. */
  #candidate: Credentials | undefined;

  private constructor(
    folder: string,
    { logger, now }: CredentialsKeeperComponents,
    init: FollowFilesInit,
    current: Credentials,
  ) {
    this.#folder = folder;
    this.#logger = logger;
    this.#now = now ?? (() => performance.now());
    this.#init = init;
    this.#current = current;
  }

  /**
   * Reads the files for the first time.
   *
   * @param folder has the files `username` and `password`
   * @throws BasicAuthError
   */
  static async load(
    folder: string,
    components: CredentialsKeeperComponents,
    init: FollowFilesInit = {},
  ): Promise<CredentialsKeeper> {
    return new CredentialsKeeper(folder, components, init, await readCredentials(folder));
  }

  /** Those that hosts.toml is to have. */
  get current(): Credentials {
    return this.#current;
  }

  /**
   * Whether a request is admitted: with the current credentials, or for five minutes with those of before.
   *
   * @param header the header `Authorization` of the request
   */
  readonly admit = (header: string | undefined): boolean => {
    if (this.#current.admit(header)) return true;
    const now = this.#now();
    return this.#previous.some(
      ({ credentials, until }) => now < until && credentials.admit(header),
    );
  };

  /** Calls the listener after each change. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Reads the files periodically, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await followFiles(
      {
        takeOver: () => this.#takeOver(),
        refused: ({ message }) => {
          this.#logger.error(`changed credentials not used, the old ones stay in use: ${message}`);
        },
      },
      this.#init,
      signal,
    );
  }

  async #takeOver(): Promise<BasicAuthError | 'unsettled' | undefined> {
    let found: Credentials;
    try {
      found = await readCredentials(this.#folder);
    } catch (error) {
      this.#candidate = undefined;
      if (error instanceof BasicAuthError) return error;
      throw error;
    }
    const candidate = this.#candidate;
    this.#candidate = found;
    if (found.equals(this.#current)) return undefined;
    // A file that is half written, or the other one of before, looks like any text.
    if (candidate?.equals(found) !== true) return 'unsettled';
    const previous = { credentials: this.#current, until: this.#now() + PREVIOUS_MS };
    this.#previous = [previous, ...this.#previous].slice(0, MAX_PREVIOUS);
    this.#current = found;
    this.#logger.info('credentials of clients changed; those of before are accepted for 5 minutes');
    for (const listener of this.#listeners) listener();
    return undefined;
  }
}

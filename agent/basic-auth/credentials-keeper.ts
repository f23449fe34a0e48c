import type { Logger } from 'pino';

import { followFiles, type FollowFilesInit } from '../timing/follow-files.ts';
import { BasicAuthError } from './basic-auth-error.ts';
import { readCredentials, type Credentials } from './credentials.ts';

/**
 * How long the credentials of before are still accepted after a change, in milliseconds: hosts.toml is written again, and
 * containerd reads it, only after the agent knows the new ones.
 */
const PREVIOUS_MS = 5 * 60_000;

/** What {@link CredentialsKeeper} uses. */
export interface CredentialsKeeperComponents {
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
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
  #previous: { readonly credentials: Credentials; readonly until: number } | undefined;

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
    const previous = this.#previous;
    return previous !== undefined && this.#now() < previous.until
      ? previous.credentials.admit(header)
      : false;
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

  async #takeOver(): Promise<BasicAuthError | undefined> {
    let found: Credentials;
    try {
      found = await readCredentials(this.#folder);
    } catch (error) {
      if (error instanceof BasicAuthError) return error;
      throw error;
    }
    if (found.equals(this.#current)) return undefined;
    this.#previous = { credentials: this.#current, until: this.#now() + PREVIOUS_MS };
    this.#current = found;
    this.#logger.info('credentials of clients changed; those of before are accepted for 5 minutes');
    for (const listener of this.#listeners) listener();
    return undefined;
  }
}

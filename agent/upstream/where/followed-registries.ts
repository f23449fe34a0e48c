import type { Logger } from 'pino';

import type { Registries } from '../../hosts/registries/registries.ts';
import { followFiles, type FollowFilesInit } from '../../timing/follow-files.ts';

/** What a {@link FollowedRegistries} uses. */
export interface FollowedRegistriesComponents {
  /** Reads the text. Throws what tells why it cannot be read. */
  readonly read: () => string;
  /** Throws what tells why the text cannot be used, without repeating it. */
  readonly parse: (text: string) => Promise<Registries>;
  readonly logger: Logger;
}

/** A registries.yaml as it is now. */
export interface CurrentRegistries {
  readonly current: Registries;
  /** Calls the listener after each change. Absent where there are none. */
  onChange?(listener: () => void): void;
}

/**
 * Follows a registries.yaml, so that endpoints, credentials and certificates are changed without a restart. The file is used
 * once two reads have found the same: it may be half written, and half of it may be a whole file. One that cannot be used is
 * reported, and what was read before stays in use.
 */
export class FollowedRegistries implements CurrentRegistries {
  readonly #components: FollowedRegistriesComponents;
  readonly #init: FollowFilesInit;
  readonly #listeners: (() => void)[] = [];
  #current: Registries;
  #text: string | undefined;
  #candidate: string | undefined;

  /**
   * @param current what was read at the start
   * @param text of the file at that time. Default: not known, and what is read first counts as a change
   */
  constructor(
    components: FollowedRegistriesComponents,
    { current, text }: { readonly current: Registries; readonly text?: string | undefined },
    init: FollowFilesInit = {},
  ) {
    this.#components = components;
    this.#current = current;
    this.#text = text;
    this.#init = init;
  }

  get current(): Registries {
    return this.#current;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Reads the file periodically, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { logger } = this.#components;
    const refused = ({ message }: Error): void => {
      logger.error(`changed registries.yaml not used: ${message}`);
    };
    await followFiles({ takeOver: () => this.#takeOver(), refused }, this.#init, signal);
  }

  async #takeOver(): Promise<Error | 'unsettled' | undefined> {
    const { read, parse, logger } = this.#components;
    try {
      const text = read();
      if (text === this.#text) return undefined;
      if (text !== this.#candidate) {
        this.#candidate = text;
        return 'unsettled';
      }
      this.#current = await parse(text);
      this.#text = text;
      logger.info('registries.yaml changed: its endpoints, credentials and certificates are used');
      for (const listener of this.#listeners) listener();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error('unreadable');
    }
  }
}

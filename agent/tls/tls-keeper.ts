import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import { followFiles, type FollowFilesInit } from '../timing/follow-files.ts';
import { TlsConfigError } from './tls-config-error.ts';
import { isSameMaterial, readMaterial, type TlsFiles, type TlsMaterial } from './tls-material.ts';

/** Where changes are counted and logged. */
export interface TlsKeeperComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** The current certificates of this node. */
export interface TlsSource {
  readonly current: TlsMaterial;
  /** Calls the listener after each change. */
  onChange(listener: (material: TlsMaterial) => void): void;
}

/**
 * Follows the files of the certificates, which other programs renew while the agent runs. New files that cannot be used
 * are ignored: the old pair stays in use, and the log and a metric report it.
 */
export class TlsKeeper implements TlsSource {
  readonly #components: TlsKeeperComponents;
  readonly #files: TlsFiles;
  readonly #init: FollowFilesInit;
  readonly #listeners: ((material: TlsMaterial) => void)[] = [];
  #current: TlsMaterial;

  private constructor(
    components: TlsKeeperComponents,
    files: TlsFiles,
    init: FollowFilesInit,
    current: TlsMaterial,
  ) {
    this.#components = components;
    this.#files = files;
    this.#init = init;
    this.#current = current;
    this.#report();
  }

  /**
   * Reads the files for the first time.
   *
   * @throws TlsConfigError
   */
  static async load(
    components: TlsKeeperComponents,
    files: TlsFiles,
    init: FollowFilesInit = {},
  ): Promise<TlsKeeper> {
    return new TlsKeeper(components, files, init, await readMaterial(files));
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.push(listener);
  }

  /** Reads the files periodically, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await followFiles(
      { takeOver: () => this.#takeOver(), refused: this.#refuse.bind(this) },
      this.#init,
      signal,
    );
  }

  async #takeOver(): Promise<TlsConfigError | undefined> {
    let found: TlsMaterial;
    try {
      found = await readMaterial(this.#files);
    } catch (error) {
      if (error instanceof TlsConfigError) return error;
      throw error;
    }
    if (isSameMaterial(found, this.#current)) return undefined;
    this.#current = found;
    this.#components.metrics.tlsReloads.inc({ result: 'loaded' });
    this.#report();
    for (const listener of this.#listeners) listener(found);
    return undefined;
  }

  #refuse({ message }: Error): void {
    const { logger, metrics } = this.#components;
    metrics.tlsReloads.inc({ result: 'refused' });
    logger.error(`changed certificate not used, the old one stays in use: ${message}`);
  }

  #report(): void {
    const { logger, metrics } = this.#components;
    const { identity, client } = this.#current;
    const loaded = [identity, client].filter((it) => it !== undefined);
    if (loaded.length === 0) return;
    const ends = loaded.map(({ notAfter }) => notAfter.getTime());
    metrics.tlsCertificateExpiry.set(Math.min(...ends) / 1000);
    for (const { notAfter, names, warnings } of loaded) {
      logger.info({ notAfter: notAfter.toISOString(), names }, 'certificate loaded');
      for (const warning of warnings) logger.warn(warning);
    }
  }
}

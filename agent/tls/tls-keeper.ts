import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import { isAborted, pause } from '../timing/pause.ts';
import { TlsConfigError } from './tls-config-error.ts';
import { isSameMaterial, readMaterial, type TlsFiles, type TlsMaterial } from './tls-material.ts';

/**
 * How often the files are read again, in milliseconds. They are small, and only reading sees every change: Kubernetes
 * renews the volume of a secret by replacing a symbolic link to a folder.
 */
const POLL_MS = 10_000;

/** After this time, in milliseconds, files that cannot be used are read once more: they may have been half written. */
const SETTLE_MS = 1_000;

/** Where changes are counted and logged. */
export interface TlsKeeperComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Options of {@link TlsKeeper}. */
export interface TlsKeeperInit {
  /** Between two reads of the files, in milliseconds. Default 10,000. */
  readonly interval?: number;
  /** Until files that cannot be used are read once more, in milliseconds. Default 1,000. */
  readonly settle?: number;
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
  readonly #interval: number;
  readonly #settle: number;
  readonly #listeners: ((material: TlsMaterial) => void)[] = [];
  #current: TlsMaterial;
  #reported = '';

  private constructor(
    components: TlsKeeperComponents,
    files: TlsFiles,
    init: TlsKeeperInit,
    current: TlsMaterial,
  ) {
    this.#components = components;
    this.#files = files;
    this.#interval = init.interval ?? POLL_MS;
    this.#settle = init.settle ?? SETTLE_MS;
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
    init: TlsKeeperInit = {},
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
    for (;;) {
      await pause(this.#interval, signal);
      if (isAborted(signal)) return;
      await this.#check(signal);
    }
  }

  async #check(signal: AbortSignal): Promise<void> {
    let found = await this.#read();
    if (found instanceof TlsConfigError && found.message !== this.#reported) {
      await pause(this.#settle, signal);
      found = await this.#read();
    }
    if (found instanceof TlsConfigError) {
      this.#refuse(found);
      return;
    }
    this.#reported = '';
    if (isSameMaterial(found, this.#current)) return;
    this.#current = found;
    this.#components.metrics.tlsReloads.inc({ result: 'loaded' });
    this.#report();
    for (const listener of this.#listeners) listener(found);
  }

  async #read(): Promise<TlsMaterial | TlsConfigError> {
    try {
      return await readMaterial(this.#files);
    } catch (error) {
      if (error instanceof TlsConfigError) return error;
      throw error;
    }
  }

  #refuse(error: TlsConfigError): void {
    if (error.message === this.#reported) return;
    this.#reported = error.message;
    const { logger, metrics } = this.#components;
    metrics.tlsReloads.inc({ result: 'refused' });
    logger.error(`changed certificate not used, the old one stays in use: ${error.message}`);
  }

  #report(): void {
    const { identity } = this.#current;
    if (identity === undefined) return;
    const { logger, metrics } = this.#components;
    const { notAfter, names, warnings } = identity;
    metrics.tlsCertificateExpiry.set(notAfter.getTime() / 1000);
    logger.info({ notAfter: notAfter.toISOString(), names }, 'certificate loaded');
    for (const warning of warnings) logger.warn(warning);
  }
}

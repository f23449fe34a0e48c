import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import { isAborted, pause } from '../timing/pause.ts';
import { TlsConfigError } from './tls-config-error.ts';
import { isSameMaterial, readMaterial, type TlsFiles, type TlsMaterial } from './tls-material.ts';

/**
 * How often the files are read again, in milliseconds. They are small, and reading is the one way that sees every
 * change: a secret's volume is renewed by exchanging a symbolic link of a folder above.
 */
const POLL_MS = 10_000;

/** A pair that is bad is read again after this, in milliseconds, before it is believed: it may just be written. */
const SETTLE_MS = 1_000;

/** What a {@link TlsKeeper} works with. */
export interface TlsKeeperComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Options of {@link TlsKeeper}. */
export interface TlsKeeperInit {
  /** Between two looks at the files, in milliseconds. Default 10,000. */
  readonly interval?: number;
  /** Until a bad change is looked at once more, in milliseconds. Default 1,000. */
  readonly settle?: number;
}

/** Gives the certificates of this node, as its files have them at present. */
export interface TlsSource {
  readonly current: TlsMaterial;
  /** Calls the listener whenever there are others. */
  onChange(listener: (material: TlsMaterial) => void): void;
}

/**
 * Keeps certificates in step with their files, which others renew while the agent runs. What cannot be used does
 * not replace what can: the old pair serves on, and the log and a metric tell.
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
    this.#tell();
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

  /** Looks at the files now and then, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(this.#interval, signal);
      if (isAborted(signal)) return;
      await this.#look(signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    let found = await this.#read();
    if (found instanceof TlsConfigError && found.message !== this.#reported) {
      await pause(this.#settle, signal);
      found = await this.#read();
    }
    if (found instanceof TlsConfigError) {
      this.#keep(found);
      return;
    }
    this.#reported = '';
    if (isSameMaterial(found, this.#current)) return;
    this.#current = found;
    this.#components.metrics.tlsReloads.inc({ result: 'loaded' });
    this.#tell();
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

  #keep(error: TlsConfigError): void {
    if (error.message === this.#reported) return;
    this.#reported = error.message;
    const { logger, metrics } = this.#components;
    metrics.tlsReloads.inc({ result: 'refused' });
    logger.error(`changed certificate not taken, the one before serves on: ${error.message}`);
  }

  #tell(): void {
    const { identity } = this.#current;
    if (identity === undefined) return;
    const { logger, metrics } = this.#components;
    const { notAfter, names, warnings } = identity;
    metrics.tlsCertificateExpiry.set(notAfter.getTime() / 1000);
    logger.info({ notAfter: notAfter.toISOString(), names }, 'certificate loaded');
    for (const warning of warnings) logger.warn(warning);
  }
}

import { watch, type FSWatcher } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import { Backoff } from '../timing/backoff.ts';
import { isAborted, pause } from '../timing/pause.ts';
import { Wakeup } from '../timing/wakeup.ts';
import type { HostsConfigurator } from './hosts-configurator.ts';
import type { ConfigureOptions } from './hosts-plan.ts';
import type { RegistryHosts } from './hosts-toml.ts';

export interface HostsKeeperComponents {
  readonly configurator: Pick<HostsConfigurator, 'configure' | 'cleanup'>;
  readonly metrics: Pick<Metrics, 'hostsFilesWritten' | 'hostsFailures'>;
  readonly logger: Logger;
}

export interface HostsKeeperInit extends ConfigureOptions {
  /** containerd's `config_path`. */
  readonly path: string;
  readonly wanted: readonly RegistryHosts[];
  /** Between looks, whatever the watch says; 30,000 milliseconds by default. */
  readonly pollMs?: number;
  /** For somebody who writes to be done, after the first sign of it; 1,000 milliseconds by default. */
  readonly settleMs?: number;
  /** The first and the longest wait after files had to be written, in milliseconds; 5,000 and 60,000 by default. */
  readonly backoff?: { readonly first: number; readonly max: number };
}

/** How long giving back may take at the end of the process, in milliseconds. */
const REMOVE_TIMEOUT_MS = 5_000;

/**
 * Keeps containerd's configuration as it is to be while the agent runs: k3s removes and rewrites folders at each of
 * its starts.
 *
 * After each look that had to write there is a pause, which doubles as long as others keep undoing it: two who do not
 * agree would otherwise write without end.
 */
export class HostsKeeper {
  readonly #configurator: HostsKeeperComponents['configurator'];
  readonly #metrics: HostsKeeperComponents['metrics'];
  readonly #logger: Logger;
  readonly #init: HostsKeeperInit;
  readonly #changed = new Wakeup();
  #lastFailure: string | undefined;

  constructor({ configurator, metrics, logger }: HostsKeeperComponents, init: HostsKeeperInit) {
    this.#configurator = configurator;
    this.#metrics = metrics;
    this.#logger = logger;
    this.#init = init;
  }

  /** Writes the files, and again whenever they are not as they are to be, until `signal` is aborted. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { pollMs = 30_000, settleMs = 1_000, backoff: bounds } = this.#init;
    const backoff = new Backoff(bounds ?? { first: 5_000, max: 60_000 });
    while (!isAborted(signal)) {
      // Watched before it is looked at, so that nothing is missed in between.
      const watcher = this.#watch();
      try {
        if ((await this.#look(signal)) > 0) {
          await backoff.wait(signal);
          continue;
        }
        backoff.reset();
        if (await this.#change(pollMs, signal)) await pause(settleMs, signal);
      } finally {
        watcher?.close();
      }
    }
  }

  /** Gives back what was there before. Never rejects: it is tried when all else ends. */
  async remove(): Promise<void> {
    try {
      await this.#configurator.cleanup(AbortSignal.timeout(REMOVE_TIMEOUT_MS));
    } catch (error) {
      this.#logger.error({ err: error }, 'containerd was not given its configuration back');
    }
  }

  async #look(signal: AbortSignal): Promise<number> {
    const { wanted, prependExisting } = this.#init;
    try {
      const { written, restored } = await this.#configurator.configure(
        wanted,
        { prependExisting },
        signal,
      );
      if (this.#lastFailure !== undefined) this.#logger.info('containerd can be configured again');
      this.#lastFailure = undefined;
      this.#metrics.hostsFilesWritten.inc(written.length);
      return written.length + restored.length;
    } catch (error) {
      if (signal.aborted) return 0;
      this.#metrics.hostsFailures.inc();
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#lastFailure) {
        this.#logger.error({ reason }, 'containerd cannot be configured; it is tried again');
      }
      this.#lastFailure = reason;
      return 0;
    }
  }

  /** Whether something changed before the time was over. */
  async #change(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const timer = delay(timeoutMs, false, { signal: either }).catch(() => false);
    const change = this.#changed.wait(either).then(() => !either.aborted);
    const changed = await Promise.race([timer, change]);
    over.abort();
    return changed;
  }

  /** Where the folder cannot be watched it is looked at now and then all the same. */
  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.#init.path, { persistent: false }, () => {
        this.#changed.call();
      });
      return watcher.on('error', () => undefined);
    } catch {
      return undefined;
    }
  }
}

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
  /** The files as they should be now; called for each check. Must not throw. */
  readonly wanted: () => readonly RegistryHosts[];
  /** Interval of checks without a file system event, in milliseconds; default 30,000. */
  readonly pollMs?: number;
  /** Wait after the first file system event, for the other writer to finish, in milliseconds; default 1,000. */
  readonly settleMs?: number;
  /** The first and the longest wait after files were written, in milliseconds; default 5,000 and 60,000. */
  readonly backoff?: { readonly first: number; readonly max: number };
}

/** Time limit of the restore when the process ends, in milliseconds. */
const REMOVE_TIMEOUT_MS = 5_000;

/**
 * Keeps containerd's configuration in place while the agent runs. k3s removes and rewrites the folders whenever it starts.
 *
 * After each check that had to write, the keeper pauses, and the pause doubles while another program keeps undoing the
 * change. Otherwise the two would overwrite each other forever.
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

  /** Writes the files, and again whenever they differ, until `signal` is aborted. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { pollMs = 30_000, settleMs = 1_000, backoff: bounds } = this.#init;
    const backoff = new Backoff(bounds ?? { first: 5_000, max: 60_000 });
    while (!isAborted(signal)) {
      // Watch before the check, so that no change in between is missed.
      const watcher = this.#watch();
      try {
        if ((await this.#check(signal)) > 0) {
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

  /** Checks soon: what is wanted has changed. */
  refresh(): void {
    this.#changed.call();
  }

  /** Restores the previous configuration. Never rejects: it runs while the process ends. */
  async remove(): Promise<void> {
    try {
      await this.#configurator.cleanup(AbortSignal.timeout(REMOVE_TIMEOUT_MS));
    } catch (error) {
      this.#logger.error(
        { err: error },
        'the previous configuration of containerd was not restored',
      );
    }
  }

  /** Number of files that were changed. */
  async #check(signal: AbortSignal): Promise<number> {
    const { wanted, prependExisting } = this.#init;
    try {
      const { written, restored } = await this.#configurator.configure(
        wanted(),
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
        this.#logger.error({ reason }, 'containerd cannot be configured; trying again');
      }
      this.#lastFailure = reason;
      return 0;
    }
  }

  /** Waits for a file system event; whether one came within the time. */
  async #change(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const timer = delay(timeoutMs, false, { signal: either }).catch(() => false);
    const change = this.#changed.wait(either).then(() => !either.aborted);
    const changed = await Promise.race([timer, change]);
    done.abort();
    return changed;
  }

  /** Watches the folder; undefined if that fails, and then only the regular checks remain. */
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

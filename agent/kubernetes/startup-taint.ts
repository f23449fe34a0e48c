import type { Logger } from 'pino';

import { Backoff } from '../timing/backoff.ts';
import { isAborted, pause } from '../timing/pause.ts';
import { KubernetesError, type NodeApi } from './node-api.ts';
import { ask } from './request.ts';
import { removalOf } from './taints.ts';

/** Between two checks whether the mirror is ready, in milliseconds. */
const READINESS_PERIOD_MS = 1_000;

/** Waits after a failure, in milliseconds. It never gives up: a node with the taint gets no pods. */
const RETRY = { first: 1_000, max: 60_000 } as const;

/** The API for the node's taints, and the log. */
export interface StartupTaintComponents {
  readonly api: Pick<NodeApi, 'taints' | 'patch'>;
  readonly logger: Logger;
}

/** Which taint to remove, and when. */
export interface StartupTaintInit {
  /** Key of the taint, such as `peerglass/mirror-not-ready`. */
  readonly key: string;
  /** Where the agent serves `/readyz`. */
  readonly agent: { readonly host: string; readonly port: number };
}

/** Removes a taint of this node when its mirror is ready, so that pods with large images start only then. */
export class StartupTaint {
  readonly #components: StartupTaintComponents;
  readonly #init: StartupTaintInit;
  #logged = '';

  constructor(components: StartupTaintComponents, init: StartupTaintInit) {
    this.#components = components;
    this.#init = init;
  }

  /** Waits for the mirror, then removes the taint. When `signal` is aborted it returns early, and the taint may stay. */
  async remove(signal: AbortSignal): Promise<void> {
    while (!isAborted(signal) && !(await this.#mirrorIsReady(signal))) {
      await pause(READINESS_PERIOD_MS, signal);
    }
    const backoff = new Backoff(RETRY);
    while (!isAborted(signal)) {
      try {
        await this.#removeNow(signal);
        return;
      } catch (error) {
        if (isAborted(signal)) return;
        if (!(error instanceof KubernetesError)) throw error;
        this.#logOnce(error.isConflict ? 'info' : 'warn', error.message);
      }
      await backoff.wait(signal);
    }
  }

  async #mirrorIsReady(signal: AbortSignal): Promise<boolean> {
    const { agent } = this.#init;
    try {
      const { status } = await ask({ ...agent, path: '/readyz' }, signal);
      if (status === 200) return true;
      this.#logOnce('info', `waiting for the mirror: /readyz is ${status}`);
    } catch (error) {
      if (isAborted(signal)) return false;
      const reason = error instanceof Error ? error.message : String(error);
      this.#logOnce('info', `waiting for the agent: ${reason}`);
    }
    return false;
  }

  async #removeNow(signal: AbortSignal): Promise<void> {
    const { api, logger } = this.#components;
    const { key } = this.#init;
    const operations = removalOf(key, await api.taints(signal));
    if (operations.length === 0) {
      logger.info({ key }, 'the node has no startup taint');
      return;
    }
    await api.patch(operations, signal);
    logger.info({ key }, 'startup taint removed: the mirror is ready');
  }

  /** Logs a message that may repeat, when it changes. */
  #logOnce(level: 'info' | 'warn', message: string): void {
    if (message === this.#logged) return;
    this.#logged = message;
    this.#components.logger[level](message);
  }
}

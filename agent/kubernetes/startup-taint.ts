import type { Logger } from 'pino';

import { Backoff } from '../timing/backoff.ts';
import { isAborted, pause } from '../timing/pause.ts';
import { KubernetesError, type NodeApi } from './node-api.ts';
import { ask } from './request.ts';
import { removalOf } from './taints.ts';

/** Between two questions whether the mirror is ready, in milliseconds. */
const READINESS_PERIOD_MS = 1_000;
/** Waits after a failure, in milliseconds. There is no last try: a node that keeps its taint takes no pods. */
const RETRY = { first: 1_000, most: 60_000 } as const;

export interface StartupTaintComponents {
  readonly api: Pick<NodeApi, 'taints' | 'patch'>;
  readonly logger: Logger;
}

export interface StartupTaintInit {
  /** Key of the taint, `peerglass/mirror-not-ready`. */
  readonly key: string;
  /** Where the agent serves `/readyz`. */
  readonly agent: { readonly host: string; readonly port: number };
}

/** Takes a taint off the own node once its mirror is ready, so that pods with large images come only then. */
export class StartupTaint {
  readonly #components: StartupTaintComponents;
  readonly #init: StartupTaintInit;
  #said = '';

  constructor(components: StartupTaintComponents, init: StartupTaintInit) {
    this.#components = components;
    this.#init = init;
  }

  /** Waits for the mirror, removes the taint, and resolves. Returns early, the taint left, when `signal` is aborted. */
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
        this.#sayOnce(error.isConflict ? 'info' : 'warn', error.message);
      }
      await backoff.wait(signal);
    }
  }

  async #mirrorIsReady(signal: AbortSignal): Promise<boolean> {
    const { agent } = this.#init;
    try {
      const { status } = await ask({ ...agent, path: '/readyz' }, signal);
      if (status === 200) return true;
      this.#sayOnce('info', `waiting for the mirror: /readyz is ${status}`);
    } catch (error) {
      if (isAborted(signal)) return false;
      const reason = error instanceof Error ? error.message : String(error);
      this.#sayOnce('info', `waiting for the agent: ${reason}`);
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

  /** What is tried again and again is told when it changes. */
  #sayOnce(level: 'info' | 'warn', message: string): void {
    if (message === this.#said) return;
    this.#said = message;
    this.#components.logger[level](message);
  }
}

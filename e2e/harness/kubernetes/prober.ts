import { setTimeout as sleep } from 'node:timers/promises';

import type { Host } from '../namespaces.ts';
import type { PodContainer } from '../pod.ts';
import type { ContainerPort, ProbeSpec } from './objects.ts';

/** The container that a {@link Prober} probes. */
export interface ProberComponents {
  /** The node, from which the kubelet sends its probes. */
  readonly host: Host;
  readonly container: PodContainer;
}

/** Options of a {@link Prober}. */
export interface ProberInit {
  readonly spec: ProbeSpec;
  readonly address: string;
  readonly ports: readonly ContainerPort[];
  /** Called with the first result that enough probes in a row confirm, and whenever that result changes. */
  readonly onResult: (healthy: boolean) => void;
}

/** Probes the health of a container at intervals, as the kubelet does. */
export class Prober {
  readonly #components: ProberComponents;
  readonly #init: ProberInit;

  constructor(components: ProberComponents, init: ProberInit) {
    this.#components = components;
    this.#init = init;
  }

  /** Resolves when the signal is aborted, also by `onResult`. */
  async run(signal: AbortSignal): Promise<void> {
    const { spec, onResult } = this.#init;
    const { initialDelaySeconds = 0, periodSeconds = 10 } = spec;
    const { successThreshold = 1, failureThreshold = 3 } = spec;
    let known: boolean | undefined;
    let last: boolean | undefined;
    let inARow = 0;
    await pause(initialDelaySeconds, signal);
    while (!signal.aborted) {
      const healthy = await this.#ask();
      if (isOver(signal)) return;
      inARow = healthy === last ? inARow + 1 : 1;
      last = healthy;
      if (inARow >= (healthy ? successThreshold : failureThreshold) && healthy !== known) {
        known = healthy;
        onResult(healthy);
      }
      await pause(periodSeconds, signal);
    }
  }

  async #ask(): Promise<boolean> {
    const { host, container } = this.#components;
    const { spec, address } = this.#init;
    const { httpGet, exec, timeoutSeconds = 1 } = spec;
    try {
      if (exec !== undefined) {
        await container.execWithin(timeoutSeconds, exec.command);
        return true;
      }
      if (httpGet === undefined) throw new Error('a probe of no kind');
      const url = `http://${address}:${this.#portNumber(httpGet.port)}${httpGet.path ?? '/'}`;
      const response = await host.fetch(url, {
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutSeconds * 1000),
      });
      await response.body?.cancel();
      return response.status >= 200 && response.status < 400;
    } catch {
      return false;
    }
  }

  #portNumber(port: number | string): number {
    if (typeof port === 'number') return port;
    const found = this.#init.ports.find(({ name }) => name === port);
    if (found === undefined) throw new Error(`there is no port ${port}`);
    return found.containerPort;
  }
}

// What an await has changed is not seen otherwise.
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
}

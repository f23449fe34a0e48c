import { setTimeout as sleep } from 'node:timers/promises';

import {
  ContainerState,
  type ContainerStatus,
} from '../../../proto/generated/cri/runtime/v1/api.ts';
import type { ContainerSpec, Pod, PodContainer } from '../pod.ts';
import type { Container, ProbeSpec } from './objects.ts';
import { Prober } from './prober.ts';

/** Time between two checks whether it still runs, in milliseconds. */
const LOOK_MS = 300;
/** Delay before the second restart, in milliseconds. It doubles for each further one. */
const BACK_OFF_MS = 10_000;
const MAX_BACK_OFF_MS = 300_000;

/** Options of {@link KeptContainer}. */
export interface KeptContainerInit {
  readonly pod: Pod;
  readonly container: Container;
  /** What its probes ask. */
  readonly address: string;
  /** The CRI's form of it, for one attempt. */
  readonly request: (attempt: number) => ContainerSpec;
  readonly restarts: boolean;
  readonly graceSeconds: number;
  /** Called whenever {@link KeptContainer.ready} may have changed. */
  readonly onChange: () => void;
}

/** A container of a pod: started, probed, and started again when it has ended and must not have. */
export class KeptContainer {
  readonly name: string;
  readonly #init: KeptContainerInit;
  readonly #stop = new AbortController();
  readonly #begun = Promise.withResolvers<undefined>();
  #starting: Promise<PodContainer> | undefined;
  #current: PodContainer | undefined;
  #ready = false;
  #attempts = 0;
  readonly #logs: string[] = [];

  constructor(init: KeptContainerInit) {
    this.name = init.container.name;
    this.#init = init;
  }

  /** Whether it has started and its readiness probe, if there is one, succeeds. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Resolves when it has been started for the first time. */
  get begun(): Promise<undefined> {
    return this.#begun.promise;
  }

  /** How often it was started again. */
  get restartCount(): number {
    return Math.max(0, this.#attempts - 1);
  }

  /** The one that runs, or ran last. */
  get current(): PodContainer {
    if (this.#current === undefined) throw new Error(`${this.name} was not started yet`);
    return this.#current;
  }

  /** Resolves with the end of it, once it is not to be started again. */
  async run(): Promise<ContainerStatus | undefined> {
    const { pod, request, restarts } = this.#init;
    const { signal } = this.#stop;
    let status: ContainerStatus | undefined;
    while (!signal.aborted) {
      this.#starting = pod.start(request(this.#attempts));
      const container = await this.#starting;
      this.#attempts += 1;
      this.#current = container;
      this.#begun.resolve(undefined);
      status = await this.#watch(container, signal);
      this.#setReady(false);
      this.#logs.push(await container.logs());
      if (!restarts) return status;
      const backOff = this.#attempts === 1 ? 0 : BACK_OFF_MS * 2 ** (this.#attempts - 2);
      await pause(Math.min(backOff, MAX_BACK_OFF_MS), signal);
    }
    return status;
  }

  /** Ends it for good, with the pod's grace. */
  async end(): Promise<void> {
    this.#stop.abort();
    const container = await this.#starting?.catch(() => undefined);
    await container?.stop(this.#init.graceSeconds);
  }

  /** The logs of all attempts. */
  async logs(): Promise<string> {
    const running = this.#logs.length < this.#attempts ? await this.current.logs() : '';
    return [...this.#logs, running].join('');
  }

  async #watch(container: PodContainer, stop: AbortSignal): Promise<ContainerStatus> {
    const over = new AbortController();
    const probing = this.#probe(container, AbortSignal.any([over.signal, stop]));
    try {
      for (;;) {
        // containerd may be away for a moment.
        const status = await container.status().catch(() => undefined);
        if (status?.state === ContainerState.CONTAINER_EXITED) return status;
        await sleep(LOOK_MS);
      }
    } finally {
      over.abort();
      await probing;
    }
  }

  /** Start-up first, and then readiness and liveness side by side. */
  async #probe(container: PodContainer, signal: AbortSignal): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = this.#init.container;
    const restart = (healthy: boolean): void => {
      if (!healthy) container.stop(this.#init.graceSeconds).catch(() => undefined);
    };
    if (startupProbe !== undefined && !(await this.#started(container, startupProbe, signal))) {
      if (!signal.aborted) restart(false);
      return;
    }
    if (readinessProbe === undefined) this.#setReady(!signal.aborted);
    await Promise.all([
      readinessProbe === undefined ||
        this.#prober(container, readinessProbe, (ready) => {
          this.#setReady(ready);
        }).run(signal),
      livenessProbe === undefined || this.#prober(container, livenessProbe, restart).run(signal),
    ]);
  }

  async #started(container: PodContainer, spec: ProbeSpec, signal: AbortSignal): Promise<boolean> {
    const known = new AbortController();
    let started = false;
    await this.#prober(container, spec, (healthy) => {
      started = healthy;
      known.abort();
    }).run(AbortSignal.any([signal, known.signal]));
    return started;
  }

  #prober(container: PodContainer, spec: ProbeSpec, onResult: (healthy: boolean) => void): Prober {
    const {
      pod,
      address,
      container: { ports = [] },
    } = this.#init;
    return new Prober({ host: pod.node.host, container }, { spec, address, ports, onResult });
  }

  #setReady(ready: boolean): void {
    if (this.#ready === ready) return;
    this.#ready = ready;
    this.#init.onChange();
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}

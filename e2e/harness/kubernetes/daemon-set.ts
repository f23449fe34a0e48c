import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

import { waitFor } from '../wait.ts';
import type { KubePod } from './kube-pod.ts';
import type { Machine } from './machine.ts';
import { checkPod, type ObjectMeta, type PodTemplate } from './objects.ts';
import { mayRun } from './scheduling.ts';
import { checkShape, type Shape } from './shape.ts';

/** A DaemonSet, as it was rendered. */
export interface DaemonSetManifest {
  readonly metadata: ObjectMeta;
  readonly spec: {
    readonly template: PodTemplate;
    readonly updateStrategy?: {
      readonly type?: string;
      readonly rollingUpdate?: { readonly maxUnavailable?: number };
    };
  };
}

/** What gives pods to nodes, and takes them away. */
export interface PodPlace {
  readonly machines: readonly Machine[];
  create(machine: Machine, name: string, metadata: ObjectMeta, template: PodTemplate): KubePod;
  remove(pod: KubePod): Promise<void>;
}

const SHAPE: Shape = {
  selector: { matchLabels: true },
  template: true,
  updateStrategy: { type: true, rollingUpdate: { maxUnavailable: true } },
  // There is no rollback here.
  revisionHistoryLimit: true,
};

/** For a pod to become ready. */
const READY_LIMIT_MS = 60_000;

/** A pod on each node that may have it, replaced one after the other when the template changes. */
export class DaemonSet {
  readonly #place: PodPlace;
  readonly #pods = new Map<Machine, { readonly pod: KubePod; readonly template: PodTemplate }>();
  #manifest: DaemonSetManifest;
  #rollout: Promise<void> = Promise.resolve();

  /** @throws Error for a field that the harness does not implement */
  constructor(place: PodPlace, manifest: DaemonSetManifest) {
    this.#place = place;
    this.#manifest = checked(manifest);
    for (const machine of this.#machines()) this.#create(machine);
  }

  get pods(): readonly KubePod[] {
    return [...this.#pods.values()].map(({ pod }) => pod);
  }

  /** The pod on the node of this name. */
  podOn(name: string): KubePod {
    const found = this.pods.find(({ machine }) => machine.name === name);
    if (found === undefined)
      throw new Error(`${this.#manifest.metadata.name} has no pod on ${name}`);
    return found;
  }

  /** Begins to replace the pods, if the template is another one. */
  update(manifest: DaemonSetManifest): void {
    this.#manifest = checked(manifest);
    this.#rollout = this.#rollout.then(() => this.#replaceOld());
    // Who waits for it hears of it.
    this.#rollout.catch(() => undefined);
  }

  /** `kubectl rollout status`: resolves when every node has a pod of this template that is ready. */
  async rolledOut(): Promise<void> {
    await this.#rollout;
    await Promise.all(this.pods.map(becomeReady));
  }

  async delete(): Promise<void> {
    await this.#rollout.catch(() => undefined);
    await Promise.all(this.pods.map((pod) => this.#place.remove(pod)));
    this.#pods.clear();
  }

  async #replaceOld(): Promise<void> {
    const { updateStrategy, template } = this.#manifest.spec;
    const atOnce = updateStrategy?.rollingUpdate?.maxUnavailable ?? 1;
    const old = this.#machines().filter(
      (machine) => !isDeepStrictEqual(this.#pods.get(machine)?.template, template),
    );
    for (let at = 0; at < old.length; at += atOnce) {
      await Promise.all(
        old.slice(at, at + atOnce).map(async (machine) => {
          const before = this.#pods.get(machine);
          if (before !== undefined) await this.#place.remove(before.pod);
          await becomeReady(this.#create(machine));
        }),
      );
    }
  }

  #machines(): Machine[] {
    const { spec } = this.#manifest.spec.template;
    return this.#place.machines.filter((machine) => mayRun(spec, machine));
  }

  #create(machine: Machine): KubePod {
    const { metadata, spec } = this.#manifest;
    const name = `${metadata.name}-${randomUUID().slice(0, 5)}`;
    const pod = this.#place.create(machine, name, metadata, spec.template);
    this.#pods.set(machine, { pod, template: spec.template });
    return pod;
  }
}

/** Rejects with the log of the pod when it does not. */
async function becomeReady(pod: KubePod): Promise<void> {
  const what = `${pod.init.name} on ${pod.machine.name} is ready`;
  const failed = pod.finished.then(() => {
    throw new Error(`${pod.init.name} has ended`);
  });
  try {
    await Promise.race([failed, waitFor(what, () => pod.ready, { timeoutMs: READY_LIMIT_MS })]);
  } catch (error) {
    throw new Error(`${what}: no\n${await pod.logs()}`, { cause: error });
  }
}

function checked(manifest: DaemonSetManifest): DaemonSetManifest {
  const path = `DaemonSet ${manifest.metadata.name}`;
  checkShape(manifest.spec, SHAPE, path);
  checkPod(manifest.spec.template.spec, path);
  const { type = 'RollingUpdate' } = manifest.spec.updateStrategy ?? {};
  if (type !== 'RollingUpdate') throw new Error(`${path}: updateStrategy ${type}`);
  return manifest;
}

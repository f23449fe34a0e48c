import { template } from '../../../scripts/chart/helm.ts';
import type { ControlPlane, KubeObject } from './control-plane.ts';
import type { KubePod } from './kube-pod.ts';
import type { PodTemplate } from './objects.ts';
import { checkShape, type Shape } from './shape.ts';

/** The events of hooks that the harness implements. */
type HookEvent = 'test' | 'post-delete';

/** How a pod of a hook ended. */
export interface HookRun {
  readonly name: string;
  readonly succeeded: boolean;
  readonly logs: string;
}

/** Version of Kubernetes that the chart is rendered for. */
const KUBERNETES = '1.34';

const JOB: Shape = { backoffLimit: true, activeDeadlineSeconds: true, template: true };

/** What is read of the specification of a Job. */
interface JobSpec {
  readonly backoffLimit?: number;
  readonly activeDeadlineSeconds?: number;
  readonly template: PodTemplate;
}

/** A release of the chart on the cluster: what `helm install`, `upgrade`, `test` and `uninstall` do. */
export class HelmRelease {
  readonly #plane: ControlPlane;
  readonly #leftovers = new Map<string, () => Promise<void>>();
  #objects: readonly KubeObject[] = [];
  #hooks: readonly KubeObject[] = [];

  private constructor(plane: ControlPlane) {
    this.#plane = plane;
  }

  static async install(plane: ControlPlane, values: unknown): Promise<HelmRelease> {
    const release = new HelmRelease(plane);
    await release.upgrade(values);
    return release;
  }

  /** The release's objects of this kind. */
  objects(kind: string): KubeObject[] {
    return this.#objects.filter((object) => object.kind === kind);
  }

  /** Does not wait for pods, as helm does not. */
  async upgrade(values: unknown): Promise<void> {
    const rendered = (await template(values, KUBERNETES)) as unknown as KubeObject[];
    const before = this.#objects;
    this.#objects = rendered.filter((object) => hookOf(object) === undefined);
    this.#hooks = rendered.filter((object) => hookOf(object) !== undefined);
    for (const object of this.#objects) this.#plane.apply(object);
    const names = new Set(this.#objects.map(nameOf));
    for (const object of before) if (!names.has(nameOf(object))) await this.#plane.delete(object);
  }

  /** `helm test --logs`, its pods on this node. */
  test(node: string): Promise<HookRun[]> {
    return this.#runHooks('test', node);
  }

  /** As helm does it: it does not wait for the release's pods to be gone before it runs the hooks. */
  async uninstall(): Promise<HookRun[]> {
    const gone = Promise.all(this.#objects.toReversed().map((it) => this.#plane.delete(it)));
    gone.catch(() => undefined);
    this.#objects = [];
    const runs = await this.#runHooks('post-delete');
    await gone;
    return runs;
  }

  /** In the order of their weights, each waited for; they are removed when all have succeeded. */
  async #runHooks(event: HookEvent, node?: string): Promise<HookRun[]> {
    const hooks = this.#hooks
      .filter((object) => hookOf(object) === event)
      .sort((a, b) => weightOf(a) - weightOf(b));
    const runs: HookRun[] = [];
    for (const hook of hooks) {
      await this.#leftovers.get(nameOf(hook))?.();
      const run = await this.#runHook(hook, node);
      if (run === undefined) continue;
      runs.push(run);
      if (!run.succeeded) return runs;
    }
    for (const hook of hooks.toReversed()) await this.#leftovers.get(nameOf(hook))?.();
    return runs;
  }

  async #runHook(hook: KubeObject, node: string | undefined): Promise<HookRun | undefined> {
    const { kind, metadata } = hook;
    if (kind === 'Pod') return this.#runPod(hook, hook as PodTemplate, node);
    if (kind !== 'Job') {
      this.#plane.apply(hook);
      this.#leave(hook, () => this.#plane.delete(hook));
      return undefined;
    }
    checkShape(hook.spec, JOB, `Job ${metadata.name}`);
    const job = hook.spec as JobSpec;
    const deadline = Promise.withResolvers<undefined>();
    const seconds = job.activeDeadlineSeconds;
    const timer =
      seconds === undefined
        ? undefined
        : setTimeout(() => {
            deadline.resolve(undefined);
          }, seconds * 1000);
    try {
      for (let failures = 0; ; failures += 1) {
        const run = await Promise.race([this.#runPod(hook, job.template, node), deadline.promise]);
        if (run?.succeeded === true || (run && failures === (job.backoffLimit ?? 6))) return run;
        await this.#leftovers.get(nameOf(hook))?.();
        if (run === undefined) {
          return { name: metadata.name, succeeded: false, logs: `not done in ${seconds} s` };
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #runPod(hook: KubeObject, pod: PodTemplate, node: string | undefined): Promise<HookRun> {
    const running: KubePod = this.#plane.runPod(hook.metadata, pod, node);
    this.#leave(hook, () => this.#plane.removePod(running));
    await running.finished;
    const { name } = hook.metadata;
    return { name, succeeded: running.phase === 'Succeeded', logs: await running.logs() };
  }

  #leave(hook: KubeObject, remove: () => Promise<void>): void {
    this.#leftovers.set(nameOf(hook), async () => {
      this.#leftovers.delete(nameOf(hook));
      await remove();
    });
  }
}

/** @throws Error for another kind of hook, or another time of its removal */
function hookOf({ kind, metadata }: KubeObject): HookEvent | undefined {
  const event = metadata.annotations?.['helm.sh/hook'];
  if (event === undefined) return undefined;
  const policy = metadata.annotations?.['helm.sh/hook-delete-policy'];
  if (policy !== 'before-hook-creation,hook-succeeded') {
    throw new Error(`${kind} ${metadata.name}: ${policy} is not done here`);
  }
  if (event === 'test' || event === 'post-delete') return event;
  throw new Error(`${kind} ${metadata.name}: a hook for ${event}`);
}

function weightOf({ metadata }: KubeObject): number {
  return Number(metadata.annotations?.['helm.sh/hook-weight'] ?? 0);
}

function nameOf({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.name}`;
}

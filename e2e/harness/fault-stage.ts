import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import type { BuiltImage } from '../images/image.ts';
import { Cluster, type ClusterNode } from './cluster.ts';
import type { ContainerdNode, Puller } from './containerd-node.ts';
import { SUITES } from './containerd-versions.ts';
import { makeImage, type ImageFixture } from './fixtures.ts';
import { writeHostsToml } from './hosts-toml.ts';
import { allPaths, waitUntilVisible } from './mirror.ts';
import type { Host } from './namespaces.ts';
import type { RogueBehaviour, RogueRequest } from './rogue-behaviour.ts';
import { RogueNode } from './rogue-node.ts';
import type { Upstream } from './upstream.ts';
import { waitFor } from './wait.ts';

const MIB = 1 << 20;
/** Larger than the verified buffer takes, so that the node forwards its bytes as they arrive (cut-through). */
const LAYER = { bytes: 5 * MIB, files: 1, compression: 'none' } as const;
/** More than one, because a puller may choose the other peer for one of them. */
const LAYERS = [LAYER, LAYER];
const POLL_MS = 50;
/** Of the containerd that fetches layers in parallel chunks; all of an image at once. */
const CHUNKS = { fetchBufferBytes: 2 * MIB, fetchStreams: 8 } as const;

/** A zone without nodes. */
const FAR = 'far';

/**
 * The nodes of the fault scenarios: a good holder, a rogue, an upstream that must get no request, and one puller for
 * each containerd: all versions, and the newest again with parallel chunk fetch. Each puller is in its own zone and the
 * holder in none, so that the zone of the rogue decides which of the two is chosen first.
 */
export class FaultStage implements AsyncDisposable {
  readonly upstream: Upstream;
  readonly #cluster: Cluster;
  readonly #rogueHost: Host;
  #rogue: RogueNode | undefined;
  #images = 0;

  private constructor(cluster: Cluster, upstream: Upstream, rogueHost: Host) {
    this.#cluster = cluster;
    this.upstream = upstream;
    this.#rogueHost = rogueHost;
  }

  static async start(): Promise<FaultStage> {
    // Otherwise one node takes an image from its holder, and the others from that node: here each has to ask the faulty peer.
    const apart = '--fan-out=false';
    const cluster = await Cluster.start([
      { suite: 'bookworm', name: 'holder' },
      ...SUITES.map((suite) => ({ suite, flags: [apart, '--zone', suite] })),
      { suite: 'forky', name: 'chunks', flags: [apart, '--zone', 'chunks'], ...CHUNKS },
    ]);
    const upstream = await cluster.addUpstream();
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
    }
    return new FaultStage(cluster, upstream, await cluster.network.addHost('rogue'));
  }

  /** The good holder. */
  get holder(): ClusterNode {
    return this.#cluster.node('holder');
  }

  /** Nodes that pull. */
  get pullers(): readonly ClusterNode[] {
    return this.#cluster.nodes.filter(({ name }) => name !== 'holder');
  }

  /** The rogue, honest and without content. After {@link dropRogue} it is a new one, unknown to the other nodes. */
  async rogue(): Promise<RogueNode> {
    if (this.#rogue === undefined) {
      await this.#rogueHost.plug(true);
      const peers = this.#cluster.nodes.map(({ host }) => host.address);
      this.#rogue = await RogueNode.start({ host: this.#rogueHost, peers });
    }
    await this.#rogue.clear();
    return this.#rogue;
  }

  /**
   * Makes an image that the honest rogue and the good holder have. All pullers get answers of the rogue before the
   * holder has the image, so that they know its zone and that it responds.
   *
   * @param first which of the two the pullers choose first
   */
  async imageOfBoth(first: 'rogue' | 'holder'): Promise<{ rogue: RogueNode; image: BuiltImage }> {
    const rogue = await this.rogue();
    const fixture = await this.makeImage();
    const zones = this.pullers.map(({ host, name }) => [
      host.address,
      first === 'rogue' ? name : FAR,
    ]);
    await rogue.order({
      behaviour: { kind: 'honest' },
      zones: Object.fromEntries(zones) as Record<string, string>,
    });
    await rogue.hold(fixture);
    await this.waitUntilVisible(fixture.image);
    await this.importAtHolder(fixture);
    return { rogue, image: fixture.image };
  }

  /** Ends the rogue, which has a bad name now: it has fallen silent, or was late. */
  async dropRogue(): Promise<void> {
    await this.#rogue?.[Symbol.asyncDispose]();
    this.#rogue = undefined;
  }

  /** An image under a name of the upstream, where it is not. */
  makeImage(): Promise<ImageFixture> {
    const name = `${this.upstream.registry}/faults/image-${this.#images++}:1.0`;
    return makeImage({ name, layers: LAYERS });
  }

  async waitUntilVisible(image: BuiltImage): Promise<void> {
    await Promise.all(this.pullers.map(({ agent }) => waitUntilVisible(agent, image)));
  }

  /**
   * Has the nodes pull at the same time, by turns as a person and as the kubelet, and looks at what they got.
   *
   * @param during what happens meanwhile; its signal aborts when all have pulled
   */
  async pull(
    image: BuiltImage,
    nodes: readonly ClusterNode[] = this.pullers,
    during?: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const done = new AbortController();
    const pulls = Promise.allSettled(
      nodes.map(async ({ containerd, name }, index) => {
        const puller: Puller = (this.#images + index) % 2 === 0 ? 'cri' : 'ctr';
        await containerd.pull(puller, image.name).catch((error: unknown) => {
          throw new Error(`${name} cannot pull with ${puller}`, { cause: error });
        });
        await assertHoldsContent(containerd, image);
      }),
    ).finally(() => {
      done.abort();
    });
    const meanwhile = await Promise.allSettled([during?.(done.signal)]);
    const results = [...(await pulls), ...meanwhile];
    const failures = results.flatMap((it): unknown[] =>
      it.status === 'rejected' ? [it.reason] : [],
    );
    if (failures.length > 0) {
      throw new AggregateError(failures, failures.map((it) => describe(it)).join('\n'));
    }
  }

  /** Layers of the image. */
  layersOf({ manifests }: BuiltImage): readonly { digest: string; size: number }[] {
    return manifests.flatMap(({ layers }) => layers.map(({ descriptor }) => descriptor));
  }

  /** Imports the image into the good holder, and waits until all of it is advertised. */
  async importAtHolder({ image, archive }: ImageFixture): Promise<void> {
    const { agent, containerd } = this.holder;
    const before = await agent.metric('peerglass_advertised_keys');
    await containerd.importArchive(archive);
    await waitFor('the holder advertises the image', async () => {
      const keys = await agent.metric('peerglass_advertised_keys');
      return keys >= before + allPaths(image).length;
    });
  }

  /**
   * Waits until all of the nodes have requested one of these from the rogue, and it has misbehaved.
   *
   * @param signal ends the wait
   * @returns the nodes without such a request
   */
  async untilAsked(
    rogue: RogueNode,
    digests: readonly string[],
    kind: RogueBehaviour['kind'],
    nodes: readonly ClusterNode[],
    signal: AbortSignal,
  ): Promise<readonly ClusterNode[]> {
    for (;;) {
      const { aborted } = signal;
      const asked = whoAsked(await rogue.requests(), digests, kind);
      const left = nodes.filter(({ host }) => !asked.has(host.address));
      if (left.length === 0 || aborted) return left;
      await sleep(POLL_MS);
    }
  }

  /** Bodies that began at one peer and went on at another. */
  async resumes(): Promise<number> {
    const counts = this.pullers.map(({ agent }) =>
      agent.metric('peerglass_resumes_total', { result: 'resumed' }),
    );
    return (await Promise.all(counts)).reduce((sum, it) => sum + it, 0);
  }

  async assertUpstreamUntouched(earlier: number): Promise<void> {
    const requests = (await this.upstream.requests()).slice(earlier);
    assert.deepEqual(requests, [], 'the upstream is not asked');
  }

  /** See `scenario`. Every fault has an image of its own: nothing is in its way. */
  async clear(): Promise<void> {
    // Nothing to do.
  }

  /** See `scenario`. */
  saveLogs(folder: string): Promise<string> {
    return this.#cluster.saveLogs(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dropRogue();
    await this.#cluster[Symbol.asyncDispose]();
  }
}

/** Addresses of those that met the fault at one of these. */
function whoAsked(
  requests: readonly RogueRequest[],
  digests: readonly string[],
  kind: RogueBehaviour['kind'],
): Set<string> {
  const met = requests.filter(
    ({ method, path, behaviour }) =>
      method === 'GET' && behaviour === kind && digests.some((it) => path.includes(it)),
  );
  return new Set(met.map(({ from }) => from));
}

/** The image's name and bytes are right; that it can be unpacked and mounted is for other scenarios. */
async function assertHoldsContent(node: ContainerdNode, image: BuiltImage): Promise<void> {
  assert.equal((await node.images()).get(image.name), image.target.digest, String(node));
  for (const { digest } of image.blobs) {
    assert.equal(await node.digestOfContent(digest), digest, `${String(node)}: ${digest}`);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `: ${describe(error.cause)}`;
  return `${error.message}${cause}`;
}

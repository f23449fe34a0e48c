import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { Cluster, type ClusterNode, type NodeSpec } from '../../harness/cluster.ts';
import { SUITES } from '../../harness/containerd-versions.ts';
import { FaultyFront } from '../../harness/faulty-front.ts';
import { makeImage, type ImageFixture } from '../../harness/fixtures.ts';
import { writeHostsToml } from '../../harness/hosts-toml.ts';
import { assertHoldsImage } from '../../harness/image-check.ts';
import { waitFor } from '../../harness/wait.ts';

/** Bytes a second of the registry, where a test needs time to do something while a layer arrives. */
export const RATE = 6_000_000;
/** Bytes of a layer that takes some seconds at {@link RATE}. */
export const LAYER_BYTES = 18_000_000;

/** What tests need of `/debug/downloads`; without an arbiter where `--fan-out` is off. Digests may be cut. */
interface DownloadsPage {
  readonly downloads: readonly {
    readonly digest: string;
    readonly state: string;
    readonly followers?: number;
    readonly children?: number;
  }[];
  readonly arbiter?: {
    readonly latest: readonly { readonly digest: string; readonly fetchers: readonly unknown[] }[];
  };
}

/** What became of the pull of one node. */
export interface Pulled {
  readonly node: ClusterNode;
  /** Why it failed; absent when it did not. */
  readonly error?: Error;
}

/** Nodes that all want the same fresh image at once, and the registry that has it, behind a front that fails on demand. */
export class Herd implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly front: FaultyFront;
  readonly #resources: AsyncDisposableStack;

  private constructor(cluster: Cluster, front: FaultyFront, resources: AsyncDisposableStack) {
    this.cluster = cluster;
    this.front = front;
    this.#resources = resources;
  }

  /** @param specs default: one node of each version of containerd */
  static async start(
    specs: readonly NodeSpec[] = SUITES.map((suite) => ({ suite })),
  ): Promise<Herd> {
    await using resources = new AsyncDisposableStack();
    const cluster = resources.use(await Cluster.start(specs));
    const upstream = await cluster.addUpstream();
    const host = await cluster.network.addHost('front');
    const front = resources.use(await FaultyFront.start(host, upstream));
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, front.registry, front.origin);
    }
    return new Herd(cluster, front, resources.move());
  }

  get nodes(): readonly ClusterNode[] {
    return this.cluster.nodes;
  }

  /** Puts a fresh image into the registry; by default of one layer that takes some seconds at {@link RATE}. */
  async image(name: string, layers: readonly number[] = [LAYER_BYTES]): Promise<ImageFixture> {
    const fixture = await makeImage({
      name: `${this.front.registry}/fan-out/${name}:1.0`,
      layers: layers.map((bytes) => ({ bytes, compression: 'none' as const })),
    });
    await this.front.push(fixture.layout, fixture.image);
    return fixture;
  }

  /**
   * Begins the pull of all of these nodes in the same moment. Never rejects.
   *
   * @param signal cancels them
   */
  pull(name: string, nodes = this.nodes, signal?: AbortSignal): Promise<Pulled>[] {
    return nodes.map(async (node) => {
      try {
        await node.containerd.pullWithCri(name, undefined, signal);
        return { node };
      } catch (error) {
        return { node, error: error as Error };
      }
    });
  }

  /** Pulls the image on all of these nodes at once, and asserts that all of them have it. */
  async pullOnAll({ image }: ImageFixture, nodes = this.nodes): Promise<void> {
    assertAllPulled(await Promise.all(this.pull(image.name, nodes)));
    for (const { containerd } of nodes) await assertHoldsImage(containerd, image);
  }

  /** The node that asks the registry for the layer, as soon as it does. */
  async asked({ image }: ImageFixture): Promise<ClusterNode> {
    return await waitFor('a node asks for the layer', async () => {
      const [first] = await this.requestsFor(layerOf(image));
      return this.nodes.find(({ host }) => host.address === first?.from);
    });
  }

  /** The node that receives the layer from the registry, as soon as the registry has sent some of it. */
  async fetcher({ image }: ImageFixture): Promise<ClusterNode> {
    const digest = layerOf(image);
    return await waitFor('a node fetches the layer', async () => {
      const [first] = await this.requestsFor(digest);
      const node = this.nodes.find(({ host }) => host.address === first?.from);
      return node !== undefined && (await node.containerd.bytesIngested()) > 0 ? node : undefined;
    });
  }

  /** The node that decides who fetches the layer, as soon as it has decided. */
  async arbiter({ image }: ImageFixture): Promise<ClusterNode> {
    const digest = layerOf(image);
    return await this.#nodeThat('decides on the layer', ({ arbiter }) =>
      arbiter?.latest.some((it) => isSame(it.digest, digest) && it.fetchers.length > 0),
    );
  }

  /** A node that receives the layer from another one, as soon as there is one: a parent itself, or a leaf. */
  async follower({ image }: ImageFixture, kind: 'parent' | 'leaf'): Promise<ClusterNode> {
    const digest = layerOf(image);
    return await this.#nodeThat(`follows as a ${kind}`, ({ downloads }) =>
      downloads.some((it) => {
        if (!isSame(it.digest, digest) || it.state !== 'following') return false;
        const followers = it.followers ?? it.children ?? 0;
        return kind === 'parent' ? followers > 0 : followers === 0;
      }),
    );
  }

  /** Waits until each of the nodes has some of the layer. */
  async receiving(nodes: readonly ClusterNode[], bytes = 1): Promise<void> {
    await waitFor(`all have ${bytes} bytes of the layer`, async () => {
      const each = await Promise.all(nodes.map(({ containerd }) => containerd.bytesIngested()));
      return each.every((it) => it >= bytes);
    });
  }

  /**
   * Waits until the nodes have given up what they received: the kubelet tries again after ten seconds, and by then the
   * agent has removed wrong bytes.
   */
  async forgotten(nodes: readonly ClusterNode[]): Promise<void> {
    await waitFor('nothing is left of the failed pulls', async () => {
      const each = await Promise.all(nodes.map(({ containerd }) => containerd.bytesIngested()));
      return each.every((it) => it === 0);
    });
  }

  /** The requests for a digest that the registry answered with content. */
  async requestsFor(digest: string): Promise<{ from: string; status: number; range: string }[]> {
    const requests = await this.front.requests();
    return requests.filter(
      ({ method, path, status }) => method === 'GET' && path.includes(digest) && status < 300,
    );
  }

  async #nodeThat(
    what: string,
    isOne: (page: DownloadsPage) => boolean | undefined,
  ): Promise<ClusterNode> {
    return await waitFor(`a node ${what}`, async () => {
      for (const node of this.nodes) {
        const response = await node.agent.fetchMetrics('/debug/downloads');
        if (isOne((await response.json()) as DownloadsPage) === true) return node;
      }
      return undefined;
    });
  }

  async clear(): Promise<void> {
    await this.front.behave({});
    await this.cluster.clear();
  }

  saveLogs(folder: string): Promise<string> {
    return this.cluster.saveLogs(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** How often {@link inOneRound} tries. */
const ROUNDS = 3;

/**
 * Runs the round until it has nothing to complain of, with another number each time. A node whose question is not answered
 * within 150 ms goes upstream by itself, and on a busy machine that happens. A failed pull is to throw at once.
 *
 * @param round returns what was downloaded too often
 */
export async function inOneRound(
  t: TestContext,
  round: (number: number) => Promise<readonly string[]>,
): Promise<void> {
  for (let number = 1; ; number += 1) {
    const complaints = await round(number);
    if (complaints.length === 0) return;
    t.diagnostic(`round ${number}: ${complaints.join(', ')}`);
    if (number === ROUNDS) assert.deepEqual(complaints, []);
  }
}

/** Asserts that no pull failed, and says why one did. */
export function assertAllPulled(pulled: readonly Pulled[]): void {
  const failed = pulled.filter(({ error }) => error !== undefined);
  const reasons = failed.map(({ node, error }) => `${node.name}: ${error?.message ?? ''}`);
  assert.deepEqual(reasons, []);
}

/** The digest of the first layer. */
export function layerOf(image: ImageFixture['image']): string {
  const digest = image.manifests[0]?.layers[0]?.descriptor.digest;
  assert.ok(digest !== undefined);
  return digest;
}

/** Whether a digest on that page, which may be cut, is this one. */
function isSame(shown: string, digest: string): boolean {
  return digest.startsWith(shown.replace('…', ''));
}

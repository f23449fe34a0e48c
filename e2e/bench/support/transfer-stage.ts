import { Cluster, type ClusterNode } from '../../harness/cluster.ts';
import { PORTS } from '../../harness/agent-process.ts';
import { makeImage, REGISTRY } from '../../harness/fixtures.ts';
import { waitUntilVisible } from '../../harness/mirror.ts';
import type { Host } from '../../harness/namespaces.ts';
import type { Upstream } from '../../harness/upstream.ts';
import type { BuiltImage } from '../../images/image.ts';
import type { Descriptor } from '../../../scripts/oci-image/oci-layout.ts';
import { PROGRAM } from './agent.ts';
import { Nginx } from './nginx.ts';

const MIB = 1 << 20;
/** Random bytes and no compression: unpacking then costs least. */
const LAYER = { files: 1, compression: 'none' } as const;
const LARGE_BYTES = 1024 * MIB;
const APP_LAYERS = 5;
const APP_LAYER_BYTES = 90 * MIB;

/** The parallel fetch of containerd 2.1: bytes of a chunk, and chunks at a time. */
const FETCH_BUFFER_BYTES = 8 * MIB;
const FETCH_STREAMS = 4;

/**
 * What the figures of the transfer are taken of: nodes with containerd 2.1 and an agent, a registry and a client, each
 * in a network namespace of its own on one bridge. `a` holds the images, `c` one of them, `b` and `chunks` none, and
 * `chunks` fetches layers in parallel chunks.
 */
export class TransferStage implements AsyncDisposable {
  readonly a: ClusterNode;
  readonly b: ClusterNode;
  readonly c: ClusterNode;
  readonly chunks: ClusterNode;
  readonly upstream: Upstream;
  readonly client: Host;
  readonly #resources: AsyncDisposableStack;
  readonly #made = new Map<string, Promise<unknown>>();

  private constructor(
    cluster: Cluster,
    upstream: Upstream,
    client: Host,
    resources: AsyncDisposableStack,
  ) {
    this.a = cluster.node('a');
    this.b = cluster.node('b');
    this.c = cluster.node('c');
    this.chunks = cluster.node('chunks');
    this.upstream = upstream;
    this.client = client;
    this.#resources = resources;
  }

  /** @param profile folder for CPU profiles of the agents, written when they end */
  static async open(profile: string | undefined): Promise<TransferStage> {
    await using resources = new AsyncDisposableStack();
    const nodeFlags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
    // Open, for the client on a machine of its own; agents sign with the key all the same.
    const flags = ['--open'];
    const node = { suite: 'forky', program: PROGRAM, nodeFlags, flags, logLevel: 'INFO' } as const;
    const fetch = { fetchBufferBytes: FETCH_BUFFER_BYTES, fetchStreams: FETCH_STREAMS };
    const cluster = resources.use(
      await Cluster.start([
        { ...node, name: 'a' },
        { ...node, name: 'b' },
        { ...node, name: 'c' },
        { ...node, name: 'chunks', ...fetch },
      ]),
    );
    await holdSomething([cluster.node('b'), cluster.node('c'), cluster.node('chunks')]);
    const upstream = await cluster.addUpstream();
    const client = await cluster.network.addHost('client');
    return new TransferStage(cluster, upstream, client, resources.move());
  }

  /** An image of one layer of 1 GiB, held by `a` and by the registry. */
  large(): Promise<BuiltImage> {
    return this.#once('large', () => this.#image('large', [{ ...LAYER, bytes: LARGE_BYTES }]));
  }

  /** The same, but of 512 MiB, and held by `c` as well. */
  shared(): Promise<BuiltImage> {
    const layers = [{ ...LAYER, bytes: LARGE_BYTES / 2 }];
    return this.#once('shared', () => this.#image('shared', layers, [this.a, this.c]));
  }

  /** An image of 450 MiB in five layers, held by `a` and by the registry. */
  app(): Promise<BuiltImage> {
    const layers = Array.from({ length: APP_LAYERS }, () => ({ ...LAYER, bytes: APP_LAYER_BYTES }));
    return this.#once('app', () => this.#image('app', layers));
  }

  /** nginx on `a` that serves its content store: `/sha256/HEX`. */
  nginx(): Promise<Nginx> {
    return this.#once('nginx', async () => {
      const folder = `${this.a.containerd.contentPath}/blobs`;
      return this.#resources.use(await Nginx.serve(this.a.host, folder));
    });
  }

  /** nginx on `b` that passes on to that of `a`. */
  nginxProxy(): Promise<Nginx> {
    return this.#once('nginx proxy', async () => {
      const { origin } = await this.nginx();
      return this.#resources.use(await Nginx.proxy(this.b.host, origin));
    });
  }

  /** Makes a value at the first call, and disposes of it at the end. */
  once<T extends AsyncDisposable>(what: string, make: () => Promise<T>): Promise<T> {
    return this.#once(what, async () => this.#resources.use(await make()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  #once<T>(what: string, make: () => Promise<T>): Promise<T> {
    const made = (this.#made.get(what) as Promise<T> | undefined) ?? make();
    this.#made.set(what, made);
    return made;
  }

  async #image(
    name: string,
    layers: Parameters<typeof makeImage>[0]['layers'] & object,
    holders: readonly ClusterNode[] = [this.a],
  ): Promise<BuiltImage> {
    const reference = `${this.upstream.registry}/bench/${name}:1.0`;
    const { image, archive, layout } = await makeImage({ name: reference, layers });
    await this.upstream.push(layout, image);
    for (const { containerd } of holders) await containerd.importArchive(archive);
    for (const { agent } of [this.b, this.chunks]) {
      await waitUntilVisible(agent, image, { timeoutMs: 60_000 });
    }
    return image;
  }
}

/**
 * Gives nodes a small image, as every node in use has some: containerd makes the folder of its blobs with the first
 * of them, and until then an agent has to ask it by gRPC for each.
 */
async function holdSomething(nodes: readonly ClusterNode[]): Promise<void> {
  const name = `${REGISTRY}/bench/other:1.0`;
  const { archive } = await makeImage({ name, layers: [{ files: 1 }] });
  for (const { containerd } of nodes) await containerd.importArchive(archive);
}

/** The only layer of an image, or the first. */
export function layerOf(image: BuiltImage): Descriptor {
  const layer = image.manifests[0]?.layers[0]?.descriptor;
  if (layer === undefined) throw new Error(`${image.name} has no layer`);
  return layer;
}

/** The URL of a path at a node's mirror for other machines. */
export function atMirror({ host }: ClusterNode, path: string): string {
  return `http://${host.address}:${PORTS.registry}${path}`;
}

/** The URL of a path at a node's mirror for its local containerd. */
export function atOwnMirror(path: string): string {
  return `http://127.0.0.1:${PORTS.registry}${path}`;
}

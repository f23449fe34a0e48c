import { requestHere, type NamespaceAnswer } from '../../native/network-namespace.ts';
import { MANIFEST_ACCEPT } from '../../oci/media-type.ts';
import type { AgentPeer } from '../agent-client.ts';
import type { ClientIdentity } from '../facts.ts';
import { HAS_IT, type Holder } from './image-report.ts';

/** How long a mirror may take to answer, in milliseconds: it may have to ask others first. */
const TIMEOUT_MS = 3_000;
/** Holders of one piece that are asked. */
const MAX_HOLDERS = 8;
/** As `MIRRORED_HEADER` in `transfer/client/peer-client.ts`: only what the node itself holds. */
const LOCAL_ONLY = { 'X-Spegel-Mirrored': 'true' } as const;

/** Asks mirrors as containerd and as other agents do. */
export class MirrorClient {
  readonly #origin: string;
  readonly #repository: string;
  readonly #registry: string;
  readonly #identity: ClientIdentity | undefined;

  /**
   * @param origin base URL of this node's mirror
   * @param identity shown to mirrors that want one
   */
  constructor(
    origin: string,
    { registry, repository }: { readonly registry: string; readonly repository: string },
    identity?: ClientIdentity,
  ) {
    this.#identity = identity;
    this.#origin = origin;
    this.#registry = registry;
    this.#repository = repository;
  }

  /** What this node's mirror says to containerd. */
  async ask(
    kind: 'manifests' | 'blobs',
    key: string,
    method: 'GET' | 'HEAD' = 'HEAD',
  ): Promise<NamespaceAnswer> {
    return await this.#request(this.#origin, kind, key, method);
  }

  /** What those say that the directory names. */
  async askHolders(
    peers: readonly AgentPeer[],
    kind: 'manifests' | 'blobs',
    key: string,
  ): Promise<Holder[]> {
    return await Promise.all(
      peers.slice(0, MAX_HOLDERS).map(async ({ peerId, origins: [origin = ''] }) => {
        const answer = await this.#request(origin, kind, key, 'HEAD', LOCAL_ONLY);
        return { peerId, origin, answer: inWords(answer) };
      }),
    );
  }

  #request(
    origin: string,
    kind: 'manifests' | 'blobs',
    key: string,
    method: 'GET' | 'HEAD',
    extra: Readonly<Record<string, string>> = {},
  ): Promise<NamespaceAnswer> {
    const ns = encodeURIComponent(this.#registry);
    const url = `${origin}/v2/${this.#repository}/${kind}/${key}?ns=${ns}`;
    const headers = { Accept: kind === 'manifests' ? MANIFEST_ACCEPT : '*/*', ...extra };
    return requestHere({ url, method, headers, timeoutMs: TIMEOUT_MS, ...this.#identity });
  }
}

function inWords(answer: NamespaceAnswer): string {
  if ('error' in answer) return `cannot be reached (${answer.error})`;
  switch (answer.status) {
    case 200:
    case 206:
      return HAS_IT;
    case 404:
      return 'does not have it';
    case 503:
      return 'busy, or its containerd does not answer';
    default:
      return `answers ${answer.status}`;
  }
}

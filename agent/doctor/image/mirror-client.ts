import { requestHere, type NamespaceAnswer } from '../../native/network-namespace.ts';
import { MANIFEST_ACCEPT } from '../../oci/media-type.ts';
import type { AgentPeer } from '../agent-client.ts';
import type { ClientIdentity } from '../facts.ts';
import { HAS_IT, type Holder } from './image-report.ts';

/** How long a mirror may take to answer, in milliseconds; it may have to ask peers first. */
const TIMEOUT_MS = 3_000;
/** Upper bound for the holders that are asked for one descriptor. */
const MAX_HOLDERS = 8;
/** Asks for what the node itself holds, as `MIRRORED_HEADER` in `transfer/client/peer-client.ts`. */
const LOCAL_ONLY = { 'X-Spegel-Mirrored': 'true' } as const;

/** Asks mirrors for content: the local mirror as containerd does, and holders as agents do. */
export class MirrorClient {
  readonly #origin: string;
  readonly #repository: string;
  readonly #registry: string;
  readonly #identity: ClientIdentity | undefined;
  readonly #headers: Readonly<Record<string, string>>;

  /**
   * @param origin base URL of this node's mirror
   * @param identity client certificate for mirrors that require one
   * @param headers what containerd sends to the mirror of this node: its credentials. Default: nothing
   */
  constructor(
    origin: string,
    { registry, repository }: { readonly registry: string; readonly repository: string },
    identity?: ClientIdentity,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.#identity = identity;
    this.#headers = headers;
    this.#origin = origin;
    this.#registry = registry;
    this.#repository = repository;
  }

  /** Asks this node's mirror, as containerd does. */
  async ask(
    kind: 'manifests' | 'blobs',
    key: string,
    method: 'GET' | 'HEAD' = 'HEAD',
  ): Promise<NamespaceAnswer> {
    return await this.#request(this.#origin, kind, key, method, this.#headers);
  }

  /**
   * Asks this node's mirror for the first byte of content. By HEAD containerd asks what a name means, which the mirror may
   * leave to the registry.
   */
  async askContent(kind: 'manifests' | 'blobs', digest: string): Promise<NamespaceAnswer> {
    const headers = { ...this.#headers, Range: 'bytes=0-0' };
    return await this.#request(this.#origin, kind, digest, 'GET', headers);
  }

  /**
   * The answers of the first holders that content routing names. The agent has asked them, since they answer signed requests
   * only. Those that it has not asked, because it is older, are asked here.
   */
  async askHolders(
    peers: readonly AgentPeer[],
    kind: 'manifests' | 'blobs',
    key: string,
  ): Promise<Holder[]> {
    return await Promise.all(
      peers.slice(0, MAX_HOLDERS).map(async ({ peerId, origins: [origin = ''], answer: said }) => {
        if (said !== undefined) return { peerId, origin, answer: said };
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

/** Describes an answer for the report. */
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

import { setTimeout as sleep } from 'node:timers/promises';

import type { ContainerdNode } from '../../harness/containerd-node.ts';
import type { Upstream } from '../../harness/upstream.ts';

/** The registry writes a request into its log once it is answered. */
const LOG_DELAY_MS = 100;

/** What the registry has done in a case. */
export interface RegistryWork {
  /** Bytes that left its link: content, and the headers of HTTP, TCP and IP. */
  readonly bytesSent: number;
  readonly manifestGets: number;
  /** Requests of HEAD for manifests, which is how tags are resolved. */
  readonly manifestHeads: number;
  readonly blobGets: number;
}

/** What the registry does from one moment on. */
export class RegistryWatch {
  readonly #upstream: Upstream;
  readonly #bytesBefore: number;
  readonly #requestsBefore: number;

  private constructor(upstream: Upstream, bytesBefore: number, requestsBefore: number) {
    this.#upstream = upstream;
    this.#bytesBefore = bytesBefore;
    this.#requestsBefore = requestsBefore;
  }

  static async begin(upstream: Upstream): Promise<RegistryWatch> {
    const requests = await upstream.requests();
    return new RegistryWatch(upstream, await upstream.host.bytesSent(), requests.length);
  }

  /** What it has done so far. */
  async work(): Promise<RegistryWork> {
    await sleep(LOG_DELAY_MS);
    const requests = (await this.#upstream.requests()).slice(this.#requestsBefore);
    const count = (wanted: string, folder: string): number =>
      requests.filter(({ method, path }) => method === wanted && path.includes(folder)).length;
    return {
      bytesSent: (await this.#upstream.host.bytesSent()) - this.#bytesBefore,
      manifestGets: count('GET', '/manifests/'),
      manifestHeads: count('HEAD', '/manifests/'),
      blobGets: count('GET', '/blobs/'),
    };
  }

  /**
   * The node that has received the most over the connections that are open now. The log of the registry does not
   * have downloads that are not over.
   */
  async fetcher(nodes: readonly ContainerdNode[]): Promise<ContainerdNode | undefined> {
    const sockets = await this.#upstream.host.execute(['ss', '-HtinO', 'state', 'established']);
    const received = bytesByPeer(sockets);
    const bytesOf = ({ host }: ContainerdNode): number => received.get(host.address) ?? 0;
    const [first] = nodes.toSorted((one, other) => bytesOf(other) - bytesOf(one));
    return first === undefined || bytesOf(first) === 0 ? undefined : first;
  }
}

/** Bytes that each address has acknowledged, by the lines of `ss -HtinO state established`. */
export function bytesByPeer(sockets: string): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>();
  for (const line of sockets.split('\n')) {
    const peer = /^\s*\d+\s+\d+\s+\S+\s+\[?(?:::ffff:)?([\d.]+)\]?:\d+\s/.exec(line)?.[1];
    const acked = /\bbytes_acked:(\d+)/.exec(line)?.[1];
    if (peer === undefined || acked === undefined) continue;
    bytes.set(peer, (bytes.get(peer) ?? 0) + Number(acked));
  }
  return bytes;
}

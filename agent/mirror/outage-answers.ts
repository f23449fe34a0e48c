import type { ContentRequest } from '../oci/content-request.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import type { RegistryProbe } from './registry-probe.ts';

/** What {@link OutageAnswers} asks. */
export interface OutageAnswersComponents {
  readonly policy: Pick<SharePolicy, 'isForRegistry'>;
  /** Whether this node has the image in its store under the name of the request. */
  readonly holds: (request: ContentRequest) => boolean;
  /** Whether a client is on this node. */
  readonly isLocal: (address: string | undefined) => boolean;
  readonly probe: Pick<RegistryProbe, 'answers'>;
}

/**
 * Decides whether this node says what the name of an image means although its registry should (`authorized`), because
 * the registry is away (`--authorized-outage=local`).
 *
 * The registry is probed last: only the containerd of this node has one probed, and only one whose image the store
 * has. So no client chooses the hosts that the agent connects with.
 */
export class OutageAnswers {
  readonly #components: OutageAnswersComponents;

  constructor(components: OutageAnswersComponents) {
    this.#components = components;
  }

  /**
   * Whether the request is answered from the store of this node, and from there only.
   *
   * @param client remote address of the connection
   */
  async covers(request: ContentRequest, client: string | undefined): Promise<boolean> {
    const { policy, holds, isLocal, probe } = this.#components;
    if (request.kind !== 'manifest' || !policy.isForRegistry(request)) return false;
    if (!isLocal(client) || !holds(request)) return false;
    return !(await probe.answers(request.registry));
  }
}

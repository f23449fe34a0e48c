import type { Logger } from 'pino';

import { contentKey, type ContentRequest } from '../../oci/content-request.ts';
import type { Provider } from '../../routing/router.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';
import { Deadline } from '../../timing/deadline.ts';
import type { PeerClient } from '../client/peer-client.ts';
import { toPeerError } from '../client/peer-error.ts';
import { askPeer } from './ask-peer.ts';

/** Time for a peer to say how it is, at all of its addresses, in milliseconds. */
const ANSWER_MS = 500;

/** What {@link ParentQuestions} need. */
export interface ParentQuestionsComponents {
  readonly client: Pick<PeerClient, 'fetch'>;
  readonly logger: Logger;
}

/** Asks peers that are followed how they are, by HEAD: what they say of themselves, and of no other. */
export class ParentQuestions {
  readonly #request: ContentRequest;
  readonly #components: ParentQuestionsComponents;

  /** @param request the one for which the peers are followed */
  constructor(request: ContentRequest, components: ParentQuestionsComponents) {
    this.#request = request;
    this.#components = components;
  }

  /** Whether a silent peer answers, and still receives the content or has it; a busy one does. Never rejects. */
  async isThere(parent: Provider, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#ask(parent, signal);
    return answer === 'holds' || answer === 'busy';
  }

  /**
   * Whether a peer says that the bytes that it has sent are wrong. Its followers lose a pull that was lost already. Never
   * rejects.
   */
  async sentWrong(parent: Provider, signal: AbortSignal): Promise<boolean> {
    return (await this.#ask(parent, signal)) === 'wrong';
  }

  async #ask(
    { peerId, origins }: Provider,
    signal: AbortSignal,
  ): Promise<'holds' | 'busy' | 'wrong' | 'none'> {
    const { client, logger } = this.#components;
    const head = { ...this.#request, method: 'HEAD' } as const;
    using deadline = new Deadline(ANSWER_MS, signal);
    try {
      const { body } = await askPeer(client, { peerId, origins }, head, ANSWER_MS, deadline.signal);
      destroyQuietly(body);
      return 'holds';
    } catch (err) {
      const { reason, report } = toPeerError(err, 'connect');
      if (reason === 'busy') return 'busy';
      if (report?.isWrong === true) return 'wrong';
      const key = contentKey(this.#request);
      if (!signal.aborted) logger.debug({ key, peer: peerId, err }, 'followed peer says no');
      return 'none';
    }
  }
}

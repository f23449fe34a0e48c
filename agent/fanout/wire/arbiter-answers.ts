import type { QuestionHandler } from '../../routing/questions/question-handler.ts';
import type { Router } from '../../routing/router.ts';
import { DOWNLOADS_PROTOCOL } from '../question.ts';
import type { LocalArbiter } from './arbiters.ts';
import { decodeQuestion, encodeDecision, MAX_MESSAGE_BYTES, MAX_ORIGINS } from './messages.ts';

export interface ArbiterAnswersComponents {
  readonly router: Pick<Router, 'locate'>;
  readonly arbiter: LocalArbiter;
}

/**
 * Answers the questions of other nodes about the digests of which this one is the arbiter. Who asks, the connection has
 * proved, and where its mirror is comes from what it has announced over it.
 */
export class ArbiterAnswers implements QuestionHandler {
  readonly protocol = DOWNLOADS_PROTOCOL;
  readonly maxBytes = MAX_MESSAGE_BYTES;
  readonly #components: ArbiterAnswersComponents;

  constructor(components: ArbiterAnswersComponents) {
    this.#components = components;
  }

  /** @throws {FrameError} when the message is not a question */
  answer(fromPeerId: string, message: Uint8Array): Uint8Array {
    const { router, arbiter } = this.#components;
    const question = decodeQuestion(message);
    const origins = router.locate(fromPeerId)?.origins ?? [];
    const from = { peerId: fromPeerId, origins: origins.slice(0, MAX_ORIGINS) };
    return encodeDecision(arbiter.answer(from, question));
  }
}

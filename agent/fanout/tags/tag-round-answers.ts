import type { QuestionHandler } from '../../routing/questions/question-handler.ts';
import { decodeTagQuestion, encodeTagDecision, MAX_TAG_MESSAGE_BYTES } from './tag-messages.ts';
import { TAG_CHECKS_PROTOCOL } from './tag-question.ts';
import type { TagRounds } from './tag-rounds.ts';

/** Answers the questions of other nodes about the tags that this one coordinates. Who asks, the connection has proved. */
export class TagRoundAnswers implements QuestionHandler {
  readonly protocol = TAG_CHECKS_PROTOCOL;
  readonly maxBytes = MAX_TAG_MESSAGE_BYTES;
  readonly #rounds: Pick<TagRounds, 'answer'>;

  constructor(rounds: Pick<TagRounds, 'answer'>) {
    this.#rounds = rounds;
  }

  /** @throws {FrameError} when the message is not a question */
  answer(fromPeerId: string, message: Uint8Array): Uint8Array {
    return encodeTagDecision(this.#rounds.answer(fromPeerId, decodeTagQuestion(message)));
  }
}

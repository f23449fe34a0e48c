/** Answers questions of other members, see `MemberQuestions`. */
export interface QuestionHandler {
  /** Name of the libp2p protocol. Identify announces it, so that `Router.closest` names it of this node. */
  readonly protocol: string;
  /** Upper bound for a question and for an answer, in bytes. Longer ones end their stream. */
  readonly maxBytes: number;
  /**
   * The answer to a question. The connection has proved who asks. An error ends the stream of the question.
   *
   * @param fromPeerId peer ID in text form
   */
  answer(fromPeerId: string, message: Uint8Array): Uint8Array;
}

/** The question cannot be asked: there is no connection with the member, or this router has no {@link QuestionHandler}. */
export class NotAskedError extends Error {
  override readonly name = 'NotAskedError';
  readonly code = 'ERR_NOT_ASKED';
}

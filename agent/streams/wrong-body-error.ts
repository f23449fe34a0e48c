/**
 * A body fails with it whose bytes so far are not the content. The receiver must not go on from them: the connection is
 * reset, where any other failure ends the body so that the receiver resumes it.
 */
export class WrongBodyError extends Error {
  override readonly name = 'WrongBodyError';
  readonly code = 'ERR_WRONG_BODY';
}

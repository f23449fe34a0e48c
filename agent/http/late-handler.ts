import { OciError } from '../oci/errors.ts';
import { writeError } from './error-answer.ts';
import type { LabelledHandler } from './instrument.ts';

/** The label of a request, see {@link LabelledHandler}. */
type Label = Awaited<ReturnType<LabelledHandler>>;

/**
 * The handler of a listener that is opened before its handler can be made. Until then requests are answered with 503
 * `UNAVAILABLE`, at which a client goes on to the next host.
 */
export class LateHandler {
  readonly #label: Label;
  #handler: LabelledHandler | undefined;

  /** @param label counts the requests that came too early, see {@link LabelledHandler} */
  constructor(label: Label) {
    this.#label = label;
  }

  /** Gives later requests to the handler. */
  set(handler: LabelledHandler): void {
    this.#handler = handler;
  }

  /** Handles one request, as a {@link LabelledHandler}. */
  readonly handle: LabelledHandler = async (req, res, signal) => {
    if (this.#handler !== undefined) return await this.#handler(req, res, signal);
    writeError(res, new OciError('UNAVAILABLE', 'starting'));
    return this.#label;
  };
}

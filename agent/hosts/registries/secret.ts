import { inspect } from 'node:util';

/** The text that replaces a credential in all output. */
export const HIDDEN = '[hidden]';

/**
 * A credential that cannot be logged by accident: converted to text or JSON, and in `util.inspect`, it is {@link HIDDEN}.
 * Only {@link reveal} returns the text, so every use can be found by a search.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The credential itself. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}

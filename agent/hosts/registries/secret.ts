import { inspect } from 'node:util';

/** What is written in the place of a credential wherever somebody may read it. */
export const HIDDEN = '[hidden]';

/**
 * A credential that cannot be logged by accident: as text, in JSON, in a template and in `util.inspect` it is
 * {@link HIDDEN}. Only {@link reveal} gives the text, so every place that uses it can be searched for.
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

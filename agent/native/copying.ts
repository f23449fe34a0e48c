import { Copy, type CopyComponents } from './copy.ts';
import type { OptionalTap, Tap } from './tap.ts';

/** Who gets a copy: at most one of the two. */
export interface CopyingInit {
  /** Gets all bytes. */
  readonly tap?: Tap | undefined;
  /** Gets those that are moved while it wants them. */
  readonly optionalTap?: OptionalTap | undefined;
}

/** The copy that is made of a body while it is moved: all the time, or for parts of it. */
export class Copying implements Disposable {
  readonly #components: Omit<CopyComponents, 'tap'>;
  readonly #readEnd: number;
  readonly #optionalTap: OptionalTap | undefined;
  #copy: Copy | undefined;
  #isRefused = false;

  /**
   * @param readEnd of a pipe that is empty
   * @throws as {@link Copy}, and only for a tap that gets all bytes
   */
  constructor(
    components: Omit<CopyComponents, 'tap'>,
    { tap, optionalTap }: CopyingInit,
    readEnd: number,
  ) {
    this.#components = components;
    this.#readEnd = readEnd;
    this.#optionalTap = optionalTap;
    if (tap !== undefined) this.#copy = new Copy({ ...components, tap }, readEnd);
  }

  /** The present copy, if one is made. */
  get copy(): Copy | undefined {
    return this.#copy;
  }

  /** Whether the present copy is that of an optional tap. */
  get isOptional(): boolean {
    return this.#copy !== undefined && this.#optionalTap !== undefined;
  }

  /**
   * Begins or ends an optional copy where that is due. tee(2) begins with the first byte in the pipe, so the pipe has to
   * be empty for that.
   *
   * @param held bytes in the pipe
   * @returns whether more bytes may be taken; `false` when those in the pipe have to leave before
   */
  update(held: number): boolean {
    const optional = this.#optionalTap;
    if (optional === undefined || this.#isRefused) return true;
    if (optional.isWanted === (this.#copy !== undefined)) return true;
    if (held > 0) return false;
    if (this.#copy === undefined) this.#begin(optional);
    else this.#end();
    return true;
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  #begin(optional: OptionalTap): void {
    try {
      this.#copy = new Copy({ ...this.#components, tap: optional.open() }, this.#readEnd);
    } catch {
      // The budget of pipes is spent, or there are too many descriptors. The body goes on, and is not copied.
      this.#isRefused = true;
    }
  }

  #end(): void {
    this.#copy?.[Symbol.dispose]();
    this.#copy = undefined;
  }
}

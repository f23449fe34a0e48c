import { FrameError } from '../../routing/dht/frames.ts';
import { field, fields } from '../../routing/dht/protobuf.ts';

/** Encodes a field with a text. */
export function textField(number: number, text: string): Uint8Array {
  return field(number, Buffer.from(text));
}

/** The fields of a message, by their number. Of one that is there several times the last counts, as in protobuf. */
export class Fields {
  readonly #numbers = new Map<number, number>();
  readonly #bytes = new Map<number, Uint8Array[]>();

  /** @throws {FrameError} when the bytes are not a protobuf message */
  constructor(bytes: Uint8Array) {
    for (const { number, value } of fields(bytes)) {
      if (typeof value === 'number') this.#numbers.set(number, value);
      else {
        const before = this.#bytes.get(number);
        if (before === undefined) this.#bytes.set(number, [value]);
        else before.push(value);
      }
    }
  }

  /** @throws {FrameError} when it is so large that it is not exact */
  number(number: number): number | undefined {
    const value = this.#numbers.get(number);
    if (value !== undefined && value > Number.MAX_SAFE_INTEGER) throw new FrameError('too large');
    return value;
  }

  /** The first ones. */
  bytes(number: number, max: number): readonly Uint8Array[] {
    return (this.#bytes.get(number) ?? []).slice(0, max);
  }

  /** @throws {FrameError} when one is longer than the bound */
  texts(number: number, max: number, maxBytes: number): readonly string[] {
    return this.bytes(number, max).map((bytes) => toText(bytes, maxBytes));
  }

  /** @throws {FrameError} when it is longer than the bound */
  text(number: number, maxBytes: number): string | undefined {
    const bytes = this.#bytes.get(number)?.at(-1);
    return bytes && toText(bytes, maxBytes);
  }
}

/** @throws {FrameError} when there are too many bytes, or they are no text */
function toText(bytes: Uint8Array, maxBytes: number): string {
  if (bytes.length > maxBytes) throw new FrameError('a text beyond its bound');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  // What is no UTF-8 becomes this character.
  if (text.includes('\u{fffd}')) throw new FrameError('not a text');
  return text;
}

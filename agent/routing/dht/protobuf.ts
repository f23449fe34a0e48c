import { encodeVarint, FrameError } from './frames.ts';

/** The wire type of fields with a length and bytes (protobuf encoding, section "Message Structure"). */
export const LENGTH_DELIMITED = 2;

/** Encodes a field of bytes. */
export function field(number: number, bytes: Uint8Array): Uint8Array {
  const tag = [...encodeVarint(number * 8 + LENGTH_DELIMITED), ...encodeVarint(bytes.length)];
  return Buffer.concat([Uint8Array.from(tag), bytes]);
}

/** Encodes a field with an unsigned whole number, up to 2^53. */
export function numberField(number: number, value: number): Uint8Array {
  return Uint8Array.from([...encodeVarint(number * 8), ...encodeVarint(value)]);
}

/**
 * Yields the fields of a protobuf message: varints as numbers, length-delimited fields as bytes; skips others.
 *
 * @throws {FrameError} when the bytes are not a protobuf message
 */
export function* fields(
  bytes: Uint8Array,
): Generator<{ number: number; value: number | Uint8Array }> {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new FrameError('message ends early');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 10; shift++) {
      const byte = take(1)[0] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if (byte < 0x80) return value;
    }
    throw new FrameError('number too long');
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield { number, value: varint() };
        break;
      case 1:
        take(8);
        break;
      case 2:
        yield { number, value: take(varint()) };
        break;
      case 5:
        take(4);
        break;
      default:
        throw new FrameError('not a protobuf message');
    }
  }
}

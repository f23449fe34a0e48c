/** Tags of the types (X.690, section 8). Constructed types have the bit 0x20. */
const TAG = {
  integer: 0x02,
  bitString: 0x03,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** A sequence of encoded values. */
export function sequence(...items: readonly Buffer[]): Buffer {
  return encode(TAG.sequence, Buffer.concat(items));
}

/** A set of one encoded value: of several, DER prescribes the order. */
export function setOf(item: Buffer): Buffer {
  return encode(TAG.set, item);
}

/** An integer that is not negative, big-endian. */
export function integer(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? Buffer.of(0) : Buffer.from(bytes.subarray(start));
  const isNegative = ((digits[0] ?? 0) & 0x80) !== 0;
  return encode(TAG.integer, isNegative ? Buffer.concat([Buffer.of(0), digits]) : digits);
}

/** A string of whole bytes, as of a signature. */
export function bitString(bytes: Uint8Array): Buffer {
  return encode(TAG.bitString, Buffer.concat([Buffer.of(0), bytes]));
}

/** @param oid as `1.3.101.112` */
export function objectIdentifier(oid: string): Buffer {
  const [first = 0, second = 0, ...rest] = oid.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest.flatMap(base128)];
  return encode(TAG.objectIdentifier, Buffer.from(bytes));
}

export function utf8String(text: string): Buffer {
  return encode(TAG.utf8String, Buffer.from(text, 'utf8'));
}

/** @param text as `20260101000000Z` */
export function generalizedTime(text: string): Buffer {
  return encode(TAG.generalizedTime, Buffer.from(text, 'latin1'));
}

/** A value in the context of its sequence, with an explicit tag. */
export function explicit(number: number, value: Buffer): Buffer {
  return encode(0xa0 + number, value);
}

function encode(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const long = [length >>> 8, length & 0xff].slice(length > 0xff ? 0 : 1);
  const head = length < 0x80 ? [length] : [0x80 + long.length, ...long];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift(0x80 | (rest & 0x7f));
  return digits;
}

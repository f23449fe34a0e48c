/** Longest input that mutations make, in bytes. */
const MAX_INPUT_BYTES = 16 * 1024;
/** Mutations of one input at most. */
const MAX_MUTATIONS = 6;
/** Bytes that parsers treat apart: ends of ranges, separators, and those that begin a varint of several bytes. */
const TELLING = Buffer.from('\0\x01\x7f\x80\xff0123789aAfF\n\r\t "\'/:;,.@=-_%[]{}#*&<', 'latin1');
/** Numbers around the limits of varints and of 32 and 53 bits, as protobuf has them. */
const VARINTS = [
  '00',
  'ff7f',
  '8080808008',
  'ffffffff0f',
  'ffffffffffffff0f',
  'ffffffffffffffffff01',
].map((hex) => Buffer.from(hex, 'hex'));

/** Numbers that look random, the same for each seed on every machine (xorshift32). */
export class SeededRandom {
  #state: number;

  /** @param seed any whole number */
  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) || 1;
  }

  /** A whole number from 0 to below `limit`; 0 when the limit is 0. */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return limit === 0 ? 0 : (this.#state >>> 0) % limit;
  }

  /** One of the values, of which there is at least one. */
  of<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new Error('there is no value to choose from');
    return value;
  }
}

/** What a mutation may use beside the input. */
export interface MutationSources {
  readonly random: SeededRandom;
  /** Other inputs, of which parts are taken. */
  readonly pool: readonly Buffer[];
  /** Words of the format. */
  readonly words: readonly Buffer[];
}

/** A changed copy of the input, of 16 KiB at most. */
export function mutate(input: Buffer, sources: MutationSources): Buffer {
  let output: Buffer = Buffer.from(input);
  for (let left = 1 + sources.random.below(MAX_MUTATIONS); left > 0; left--) {
    output = sources.random.of(MUTATIONS)(output, sources).subarray(0, MAX_INPUT_BYTES);
  }
  return output;
}

type Mutation = (input: Buffer, sources: MutationSources) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  // One bit.
  (input, { random }) => {
    const at = random.below(input.length);
    if (input.length > 0) input.writeUInt8(input.readUInt8(at) ^ (1 << random.below(8)), at);
    return input;
  },
  // One byte.
  (input, { random }) => {
    const at = random.below(input.length);
    if (input.length > 0) input.writeUInt8(random.of([...TELLING]), at);
    return input;
  },
  // Any bytes more.
  (input, { random }) => {
    const bytes = Buffer.from(Array.from({ length: 1 + random.below(8) }, () => random.below(256)));
    return insert(input, random.below(input.length + 1), bytes);
  },
  // A word of the format, or a number at a limit.
  (input, { random, words }) =>
    insert(input, random.below(input.length + 1), random.of([...words, ...VARINTS])),
  // A word in place of as many bytes.
  (input, { random, words }) => {
    const word = random.of([...words, ...VARINTS]);
    word.copy(input, random.below(input.length));
    return input;
  },
  // A part less.
  (input, { random }) => {
    const at = random.below(input.length + 1);
    const end = at + random.below(input.length - at + 1);
    return Buffer.concat([input.subarray(0, at), input.subarray(end)]);
  },
  // Nothing behind a point.
  (input, { random }) => input.subarray(0, random.below(input.length + 1)),
  // A part twice, or very often.
  (input, { random }) => {
    const at = random.below(input.length + 1);
    const part = input.subarray(at, at + 1 + random.below(Math.min(64, input.length)));
    const times = random.below(8) === 0 ? Math.ceil(MAX_INPUT_BYTES / Math.max(1, part.length)) : 1;
    return insert(input, at, Buffer.concat(Array<Buffer>(times).fill(part)));
  },
  // A part again and again up to the end, for which a slow expression would try all ways to divide it.
  (input, { random }) => {
    const at = random.below(input.length + 1);
    const part = input.subarray(at, at + 1 + random.below(4));
    return Buffer.concat([
      input.subarray(0, at),
      ...Array<Buffer>(1 + random.below(400)).fill(part),
    ]);
  },
  // A part of another input.
  (input, { random, pool }) => {
    const other = random.of(pool);
    const from = random.below(other.length);
    const part = other.subarray(from, from + 1 + random.below(other.length - from));
    return insert(input, random.below(input.length + 1), part);
  },
  // The beginning of it, and the end of another input.
  (input, { random, pool }) => {
    const other = random.of(pool);
    const head = input.subarray(0, random.below(input.length + 1));
    return Buffer.concat([head, other.subarray(random.below(other.length))]);
  },
];

function insert(input: Buffer, at: number, bytes: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), bytes, input.subarray(at)]);
}

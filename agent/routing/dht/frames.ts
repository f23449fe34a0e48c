/** The bytes from a peer break the protocol: malformed, or above one of its bounds. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly code = 'ERR_FRAME';
}

/** Encodes an unsigned varint (LEB128), as in protobuf and in libp2p's length prefixes. */
export function encodeVarint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return bytes;
}

/** Prefixes the message with its length as a varint. */
export function frame(message: Uint8Array): Uint8Array {
  const prefix = encodeVarint(message.length);
  const framed = new Uint8Array(prefix.length + message.length);
  framed.set(prefix);
  framed.set(message, prefix.length);
  return framed;
}

/** Splits a stream of bytes into length-prefixed messages. */
export class FrameDecoder {
  readonly #maxBytes: number;
  /** Unread bytes. They are joined only when a message is complete: joining at each chunk would copy all before it. */
  #chunks: Uint8Array[] = [];
  #length = 0;
  /** Bytes that must be there before another message can be complete. */
  #needed = 1;

  /** @param maxBytes upper bound for the length of one message, in bytes */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether an incomplete message is buffered. */
  get partial(): boolean {
    return this.#length > 0;
  }

  /**
   * Adds the next bytes and returns the messages that they complete.
   *
   * @throws {FrameError} when a message is longer than the bound or its length is malformed
   */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const messages: Uint8Array[] = [];
    if (this.#length < this.#needed) return messages;
    let buffer = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length);
    for (;;) {
      const prefix = this.#readLength(buffer);
      const end = prefix === undefined ? buffer.length + 1 : prefix.size + prefix.length;
      if (prefix === undefined || buffer.length < end) {
        this.#chunks = buffer.length === 0 ? [] : [buffer];
        this.#length = buffer.length;
        this.#needed = end;
        return messages;
      }
      messages.push(buffer.subarray(prefix.size, end));
      buffer = buffer.subarray(end);
    }
  }

  #readLength(buffer: Uint8Array): { length: number; size: number } | undefined {
    let length = 0;
    for (let size = 0; size < buffer.length; size++) {
      const byte = buffer[size] ?? 0;
      length += (byte & 0x7f) * 2 ** (7 * size);
      if (length > this.#maxBytes || size > 4) throw new FrameError('message too long');
      if (byte < 0x80) return { length, size: size + 1 };
    }
    return undefined;
  }
}

import type { BodyTail } from '../../content/tail-writer.ts';
import type { Kernel } from '../../native/kernel.ts';
import type { Sink } from '../../native/sink.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import { moveTo } from '../../transfer/body/moving-body.ts';
import { TailedSink } from '../../transfer/body/tailed-body.ts';
import { DirectBody } from '../../transfer/client/direct/direct-body.ts';
import { PeerError } from '../../transfer/client/peer-error.ts';
import { HashingSink } from '../../transfer/verify/hashing-sink.ts';
import type { HashingThread } from '../../transfer/verify/hashing-thread.ts';
import { ThreadedHash } from '../../transfer/verify/threaded-hash.ts';
import type { BlobAnswer } from './blob-answer.ts';
import type { WidenedBlobInit } from './blob-windows.ts';
import { asStream, type Forwarded } from './resuming-blob.ts';
import { widenedBlob } from './widened-blob.ts';

/** What moves bodies. */
export interface MovedBlobComponents {
  readonly kernel: Kernel;
  readonly thread: HashingThread;
}

/** A body that is moved. */
export interface MovedBlobInit extends Omit<WidenedBlobInit<Forwarded>, 'read' | 'write'> {
  /** Gets a copy of what is forwarded. Default: it goes to the client only. */
  readonly tail?: BodyTail | undefined;
  /** Of the whole blob, if it is to be hashed. Default: it is not. */
  readonly hashed?: Descriptor | undefined;
  /** Makes the error for other bytes than the digest names. */
  readonly mismatch: () => Error;
}

/** Whether the kernel may move the body of an answer. */
export function isMovable({ body }: BlobAnswer): boolean {
  return body instanceof DirectBody;
}

/**
 * Moves a body from a registry to a connection within the kernel, where a thread hashes a copy of it if that is wanted. Its
 * last bytes are withheld then until the digest is known to be right. Answers that cannot be moved are read as streams.
 *
 * @throws as {@link widenedBlob}; the error of `mismatch`
 */
export async function movedBlob(
  { kernel, thread }: MovedBlobComponents,
  { tail, hashed, mismatch, ...init }: MovedBlobInit,
  sink: Sink,
  signal: AbortSignal,
): Promise<void> {
  using hash = hashed && new ThreadedHash({ thread }, hashed);
  const hashing = hash && new HashingSink({ sink, hash }, hashed);
  // A thread that fails is no failure of the registry: it ends all of the body.
  const inTime = hash ? AbortSignal.any([signal, hash.failing]) : signal;
  const own = hashing ?? sink;
  const sinkAt = (offset: number): Sink =>
    tail === undefined ? own : new TailedSink(own, tail, offset);
  const read = (answer: BlobAnswer, range: ByteRange): AsyncIterable<Forwarded> => {
    const to = sinkAt(range.start);
    const { body, range: sent } = answer;
    const isMoved = isMovable(answer) && sent.start === range.start && sent.end === range.end;
    return isMoved ? moveTo({ body, range }, to, kernel, inTime) : written(answer, range, to);
  };
  try {
    const write = async (bytes: Uint8Array, offset: number, waited: number): Promise<Forwarded> => {
      await sinkAt(offset).write(bytes);
      return { length: bytes.length, waited };
    };
    const chunks = widenedBlob({ ...init, read, write }, inTime);
    while ((await chunks.next()).done !== true);
    await hashing?.finish();
  } catch (error) {
    throw isMismatch(error) ? mismatch() : error;
  } finally {
    tail?.[Symbol.dispose]();
  }
}

async function* written(
  answer: BlobAnswer,
  range: ByteRange,
  sink: Sink,
): AsyncGenerator<Forwarded> {
  for await (const { bytes, length, waited } of asStream(answer, range)) {
    await sink.write(bytes);
    yield { length, waited };
  }
}

/** Whether the bytes do not match their digest, which comes from the hash or as the reason of a body that ended. */
function isMismatch(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error instanceof PeerError && error.reason === 'digest') || isMismatch(error.cause);
}

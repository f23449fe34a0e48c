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
import { PassingHash } from './passing-hash.ts';
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

/** Whether {@link movedBlob} serves the body of an answer better than a stream. */
export function isMovable({ body }: BlobAnswer): boolean {
  return body instanceof DirectBody;
}

/** Whether the kernel can move it, and not this process. */
function isKernels({ body }: Pick<BlobAnswer, 'body'>): boolean {
  return body instanceof DirectBody && body.isMovable;
}

/**
 * Moves a body from a registry to a connection. By http the kernel does, and a thread hashes a copy of it if that is wanted. By https
 * the bytes pass through this process, which hashes them itself, and reads into the same memory again when the client has
 * taken them. Of a body that is hashed the last bytes are withheld until the digest is known to be right.
 *
 * @throws as {@link widenedBlob}; the error of `mismatch`
 */
export async function movedBlob(
  { kernel, thread }: MovedBlobComponents,
  { tail, hashed, mismatch, ...init }: MovedBlobInit,
  sink: Sink,
  signal: AbortSignal,
): Promise<void> {
  const isBeside = hashed !== undefined && isWorthThread(init.first, hashed, thread);
  using hash = isBeside ? new ThreadedHash({ thread }, hashed) : undefined;
  const isPassing = hashed !== undefined && !isBeside;
  const passing = isPassing ? new PassingHash({ sink, mismatch }, hashed) : undefined;
  const hashing = hash && hashed ? new HashingSink({ sink, hash }, hashed) : passing;
  // A thread that fails is no failure of the registry: it ends all of the body.
  const inTime = hash ? AbortSignal.any([signal, hash.failing]) : signal;
  const own = hashing ?? sink;
  const sinkAt = (offset: number): Sink =>
    tail === undefined ? own : new TailedSink(own, tail, offset);
  const read = (answer: BlobAnswer, range: ByteRange): AsyncIterable<Forwarded> => {
    const to = sinkAt(range.start);
    const { body, range: sent } = answer;
    const isMoved =
      passing === undefined &&
      isKernels(answer) &&
      sent.start === range.start &&
      sent.end === range.end;
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

/** Whether a body is hashed beside its way: not where its bytes are here anyway. */
function isWorthThread(
  first: MovedBlobInit['first'],
  { size }: Descriptor,
  thread: HashingThread,
): boolean {
  return 'body' in first && isKernels(first) && thread.isWorthwhile(size);
}

async function* written(
  answer: BlobAnswer,
  range: ByteRange,
  sink: Sink,
): AsyncGenerator<Forwarded> {
  const { body } = answer;
  for await (const { bytes, length, waited } of asStream(answer, range)) {
    await sink.write(bytes);
    if (body instanceof DirectBody) body.release(bytes);
    yield { length, waited };
  }
}

/** Whether the bytes do not match their digest, which comes from the hash or as the reason of a body that ended. */
function isMismatch(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error instanceof PeerError && error.reason === 'digest') || isMismatch(error.cause);
}

import type { Logger } from 'pino';

import type { Content, ContentSource, ContentStream, Growth } from '../content/content-source.ts';
import { verifiedInPassing } from '../content/verified-in-passing.ts';
import { rangeLength, type ByteRange } from '../oci/byte-range.ts';
import { rangeOf, type ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { WrongBodyError } from '../streams/wrong-body-error.ts';
import { UpstreamError } from './upstream-error.ts';

/** What {@link finishedContent} uses. */
export interface FinishedContentComponents {
  /** The registries. */
  readonly source: ContentSource;
  /** Whether this node fetches from the registry. */
  readonly covers: (registry: string) => boolean;
  /** See `UpstreamSourceComponents`. */
  readonly isVerifiedByClient: (digest: Digest) => Promise<boolean>;
  readonly logger: Logger;
}

type StreamedContent = Content & ContentStream;

/**
 * Has a blob that another source has begun go on from its registry where the body breaks. Most clients have no way to that:
 * they have chosen this mirror for the whole image. containerd has, and keeps its own.
 *
 * The bytes do not go through the kernel then, and are hashed here, as two senders have sent them.
 *
 * @param request of a client of this node
 */
export async function finishedContent(
  content: Content,
  request: ContentRequest,
  components: FinishedContentComponents,
  signal: AbortSignal,
): Promise<Content> {
  if (content.kind !== 'stream' || content.isUnsized === true || request.kind !== 'blob')
    return content;
  const { digest } = content.descriptor;
  if (!components.covers(request.registry)) return content;
  if (await components.isVerifiedByClient(digest)) return content;
  const { growth } = content;
  const range = rangeOf(request, content.descriptor);
  const waiting = new Waiting(growth);
  const body = finishedBody(content, { ...request, digest }, range, waiting, components, signal);
  const isWhole = rangeLength(range) === content.descriptor.size;
  const mismatch = (): UpstreamError =>
    new UpstreamError('digest', 'other bytes than the digest names, of two senders');
  return {
    ...content,
    moveTo: undefined,
    body: isWhole ? verifiedInPassing(body, digest, mismatch) : body,
    ...(growth && { growth: waiting }),
  };
}

/** The growth of a body that does not end where that of its first sender does. */
class Waiting implements Growth {
  readonly ended = new AbortController().signal;
  isForRegistry = false;
  readonly #first: Growth | undefined;

  constructor(first: Growth | undefined) {
    this.#first = first;
  }

  get isWaiting(): boolean {
    return this.isForRegistry || this.#first?.isWaiting === true;
  }

  get waits(): number {
    return this.#first?.waits ?? 0;
  }

  attach(...[socket]: Parameters<Growth['attach']>): void {
    this.#first?.attach(socket);
  }
}

async function* finishedBody(
  { body, descriptor }: StreamedContent,
  request: ContentRequest,
  { start, end }: ByteRange,
  waiting: Waiting,
  { source, logger }: FinishedContentComponents,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let position = start;
  let failure: unknown;
  try {
    for await (const chunk of body) {
      position += chunk.length;
      yield chunk;
    }
    if (position > end) return;
  } catch (error) {
    signal.throwIfAborted();
    // What was wrong so far is not mended by what follows.
    if (position > end || error instanceof WrongBodyError) throw error;
    failure = error;
  }
  const { registry, digest } = request;
  logger.debug({ err: failure, registry, digest, position }, 'a body goes on from the registry');
  const range = { kind: 'between', start: position, end } as const;
  waiting.isForRegistry = true;
  const rest = await source.fetch({ ...request, range }, signal);
  waiting.isForRegistry = false;
  try {
    if (rest?.kind !== 'stream' || rest.descriptor.size !== descriptor.size) {
      throw new UpstreamError('protocol', `${registry} has the blob in another size`, {
        cause: failure,
      });
    }
    yield* rest.body;
  } finally {
    await rest?.held?.[Symbol.asyncDispose]();
  }
}

import type { Content } from '../content/content-source.ts';
import { verifiedInPassing } from '../content/verified-in-passing.ts';
import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { WrongBodyError } from '../streams/wrong-body-error.ts';
import { discard } from './client/answer-text.ts';
import type { BlobRequest, UnsizedAnswer } from './client/blob-answer.ts';
import { unsizedBlob } from './client/resuming-blob.ts';

/**
 * A blob whose registry does not say how many bytes it has, for a client that cannot go to the registry itself. It is hashed, and
 * its connection is reset where it breaks or is wrong: its end alone would look like that of a whole body.
 */
export function unsizedContent(
  { digest, endpoint }: BlobRequest,
  answer: UnsizedAnswer,
  init: { readonly onBytes: (length: number) => void },
): Content {
  return {
    kind: 'stream',
    isUnsized: true,
    origin: endpoint.base.origin,
    descriptor: { mediaType: MEDIA_TYPE.binary, digest, size: 0 },
    body: wholeOrReset(unsizedBlob(answer, init), digest),
    held: {
      [Symbol.asyncDispose]: () => {
        discard(answer.body);
        return Promise.resolve();
      },
    },
  };
}

/** @throws WrongBodyError for whatever goes wrong */
async function* wholeOrReset(
  body: AsyncIterable<Uint8Array>,
  digest: Digest,
): AsyncGenerator<Uint8Array> {
  const mismatch = (): Error => new WrongBodyError('other bytes than the digest names');
  try {
    yield* verifiedInPassing(body, digest, mismatch);
  } catch (error) {
    if (error instanceof WrongBodyError) throw error;
    throw new WrongBodyError('a body of unknown length broke', { cause: error });
  }
}

import { Readable } from 'node:stream';

import { MEDIA_TYPE } from '../oci/media-type.ts';
import type { PeerResponse } from '../transfer/client/peer-client.ts';
import { sha256 } from './image.ts';

/** A checked answer for the content, whose body is these chunks. */
export function peerResponse(content: Buffer, chunks: Iterable<Buffer> | Readable): PeerResponse {
  const descriptor = {
    mediaType: MEDIA_TYPE.binary,
    digest: sha256(content),
    size: content.length,
  };
  return {
    origin: 'http://peer.example',
    descriptor,
    range: { start: 0, end: content.length - 1 },
    report: { alternatives: [], retryLater: false },
    body: chunks instanceof Readable ? chunks : Readable.from(chunks),
  };
}

/** A mirror in a process of its own: a holder of blobs on disk, or a node that gets them from holders. */
import type { AddressInfo } from 'node:net';

import type { Digest } from '../../../agent/oci/digest.ts';
import { OciLayoutStore } from '../../../agent/store/oci-layout-store.ts';
import type { Ingest, Ingests } from '../../../agent/store/ingests.ts';
import { FixedRouter, providerOf, startMirror } from '../../../agent/testing/mirror-node.ts';
import { quiet } from '../../../agent/testing/quiet.ts';
import { ChunkPlan } from '../../../agent/transfer/body/chunk-sizes.ts';
import { serve } from './serve.ts';
import { unreadIngest } from '../../../agent/testing/unread-ingest.ts';

/** What the bench asks for; both answers are the base URL of the mirror. */
export interface HolderInit {
  readonly host: AddressInfo['address'];
  /** Folder with an OCI image layout. */
  readonly path: string;
}

export interface NodeInit {
  readonly host: AddressInfo['address'];
  /** Base URLs of the holders' mirrors. */
  readonly holders: readonly string[];
  /** Whether it predicts the chunks of its client. */
  readonly predicts: boolean;
}

/** Downloads of a client that verifies what it commits, as containerd does. They are always found to be right. */
const ingests: Ingests = {
  has: () => Promise.resolve(true),
  open: (digest: Digest): Promise<Ingest> =>
    Promise.resolve({
      ...unreadIngest,
      digest,
      state: () => Promise.resolve('whole'),
      verify: () => Promise.resolve(true),
      abort: () => Promise.resolve(false),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};

serve({
  holder: async (argument) => {
    const { host, path } = argument as HolderInit;
    const disk = new OciLayoutStore({ path, logger: quiet });
    return (await startMirror({ host, disk })).origin;
  },
  node: async (argument) => {
    const { host, holders, predicts } = argument as NodeInit;
    const providers = holders.map((origin, index) => providerOf(`holder ${index}`, { origin }));
    const node = await startMirror({
      host,
      ingests,
      router: new FixedRouter(...providers),
      ...(!predicts && { chunkSizes: { begin: () => new ChunkPlan(undefined) } }),
    });
    return node.origin;
  },
});

import type { Logger } from 'pino';

import type { HeldAnnouncements } from './announce/held-announcements.ts';
import type { ProviderRecords } from './dht/provider-records.ts';
import type { AddressBook } from './node/address-book.ts';
import type { RoutingNode } from './node/libp2p-node.ts';
import { prunePeers } from './node/peer-store-pruning.ts';
import type { Stage } from './stages.ts';

/** How often expired records and departed peers are removed from memory. */
const CLEARING_MS = 60_000;

export interface ClearingComponents {
  readonly node: RoutingNode;
  readonly records: ProviderRecords;
  readonly held: Pick<HeldAnnouncements, 'sweep'>;
  readonly addressBook: AddressBook;
  readonly logger: Logger;
}

/** Removes expired records and departed peers from memory, at intervals. */
export function clearing({
  node,
  records,
  held,
  addressBook,
  logger,
}: ClearingComponents): Required<Stage> {
  let timer: NodeJS.Timeout | undefined;
  return {
    start: () => {
      timer = setInterval(() => {
        records.sweep();
        held.sweep();
        prunePeers(node, records, addressBook).catch((err: unknown) => {
          logger.debug({ err }, 'departed peers not removed from the peer store');
        });
      }, CLEARING_MS);
    },
    stop: () => {
      clearInterval(timer);
    },
  };
}

import type { PrivateKey } from '@libp2p/interface';

import { AnnounceClient } from './announce/announce-client.ts';
import { AnnounceServer } from './announce/announce-server.ts';
import { Carrier } from './announce/carrier.ts';
import { Handover } from './announce/handover.ts';
import { HeldAnnouncements } from './announce/held-announcements.ts';
import { NEAR } from './discovery/connection-budget.ts';
import type { NetworkScale } from './discovery/network-size.ts';
import type { NodeLookup } from './discovery/node-lookup.ts';
import type { DhtClient } from './dht/dht-client.ts';
import { closest, distanceTo, FARTHEST, isAmongClosest, K } from './dht/kademlia.ts';
import { PeerDialer } from './dht/peer-dialer.ts';
import { DEFAULT_VALIDITY_MS } from './dht/provider-records.ts';
import type { LookupKeys } from './dht/lookup-keys.ts';
import type { ProviderRecords } from './dht/provider-records.ts';
import type { RequestRateLimiter } from './dht/request-rate-limiter.ts';
import type { AddressBook } from './node/address-book.ts';
import type { RoutingNode } from './node/libp2p-node.ts';
import { ESTABLISHED_MS } from './node/membership.ts';
import type { DhtPeer, Membership } from './node/membership.ts';
import type { AddressPolicy } from './node/address-policy.ts';
import type { OwnAddresses } from './node/own-addresses.ts';
import type { PeerProtocols } from './node/peer-protocols.ts';
import { CarrierSearch } from './provide/carrier-search.ts';
import { DirectRecords } from './provide/direct-records.ts';
import { DEFAULT_REFRESH_MS, Reprovider } from './provide/reprovider.ts';
import { RegionAnnouncer } from './provide/region-announcer.ts';
import type { ReproviderComponents } from './provide/reprovider.ts';

/**
 * A node keeps records also of keys to which so many others are closer: the nodes differ in the members that they
 * know, and those closest to a key must not refuse what others think is theirs.
 */
const KEPT_WITHIN = 1.5 * K;
/** Records are handed over within so many times the distance of the 64 closest members: others have no records here. */
const RANGE = 2;

/** What placement is made of. */
export interface PlacementComponents extends Pick<
  ReproviderComponents,
  'withdrawals' | 'observer' | 'logger'
> {
  readonly privateKey: PrivateKey;
  readonly self: DhtPeer;
  readonly node: RoutingNode;
  readonly client: DhtClient;
  readonly membership: Membership;
  readonly protocols: PeerProtocols;
  readonly scale: NetworkScale;
  readonly lookupKeys: LookupKeys;
  readonly nodeLookup: NodeLookup;
  readonly records: ProviderRecords;
  readonly addressBook: AddressBook;
  readonly addresses: OwnAddresses;
  readonly policy: Pick<AddressPolicy, 'allows'>;
  readonly rateLimiter: RequestRateLimiter;
}

/** Options of {@link createPlacement}, see `Libp2pRouterInit`. */
export interface PlacementInit {
  readonly refreshMs?: number;
  readonly validityMs?: number;
}

/** The parts that place records: those of this node with others, and those of others here. */
export interface Placement {
  readonly reprovider: Reprovider;
  readonly held: HeldAnnouncements;
  readonly client: AnnounceClient;
  readonly server: AnnounceServer;
  readonly handover: Handover;
  /** Whether this node has the records that it is to keep: a look-up may take its "no" for one. */
  readonly isEstablished: () => boolean;
}

/** Makes the parts that place records; nothing runs yet. */
export function createPlacement(components: PlacementComponents, init: PlacementInit): Placement {
  const { self, node, membership, scale, records, addressBook, policy } = components;
  const { refreshMs = DEFAULT_REFRESH_MS, validityMs = DEFAULT_VALIDITY_MS } = init;
  const client = new AnnounceClient(new PeerDialer(node, policy));
  const isOurs = (target: number): boolean =>
    isAmongClosest(self, target, membership.verified(), KEPT_WITHIN);
  const held = new HeldAnnouncements(
    {
      records,
      addressBook,
      isOurs,
      networkSize: () => scale.size,
      hostOf: (peerId) => membership.hostOf({ text: peerId }),
    },
    { ownPeerId: self.text, validityMs },
  );
  const carrier = new Carrier({ ...components, client });
  const handover = new Handover({ ...components, client, held });
  const madeAt = performance.now();
  const isEstablished = (): boolean =>
    performance.now() - madeAt >= ESTABLISHED_MS && handover.isComplete;
  const range = (): number => {
    const farthest = closest(self.prefix, membership.verified(), NEAR)[NEAR - 1];
    return farthest === undefined ? FARTHEST : RANGE * distanceTo(self.prefix, farthest);
  };
  const server = new AnnounceServer({ ...components, held, carrier, range, isEstablished });
  const search = new CarrierSearch({
    ...components,
    direct: new DirectRecords(components),
    announceClient: client,
    lookup: components.nodeLookup,
    carrier,
  });
  const regions = new RegionAnnouncer({ ...components, search }, refreshMs);
  const reprovider = new Reprovider(
    { ...components, regions },
    { ownPeerId: self.text, refreshMs },
  );
  return { reprovider, held, client, server, handover, isEstablished };
}

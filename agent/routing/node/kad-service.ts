import type { StreamHandler } from '@libp2p/interface';
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import type { KadDHT, KadDHTComponents } from '@libp2p/kad-dht';

/** The longest time that a timer takes, some 24 days. */
const NEVER_MS = 2 ** 31 - 1;
/** Enough for look-ups of all layers of several images at once, each on a stream to the same peer. */
const MAX_STREAMS_PER_CONNECTION = 256;

/** Parts of kad-dht that are not in its types; version 16.4.5. */
interface KadInternals {
  readonly routingTableRefresh: { refreshTable: () => void };
  readonly routingTable: {
    addEventListener(type: 'peer:ping', listener: () => void): void;
    readonly closestPeerTagger: { updatePeerTags: () => Promise<void> };
  };
}

/**
 * kad-dht as a service of libp2p: its routing table, and the names of its protocol.
 *
 * @param serve serves the streams of the protocol instead of kad-dht
 */
export function kadService(
  protocol: string,
  serve: StreamHandler,
): (components: KadDHTComponents) => KadDHT {
  const create = kadDHT({
    protocol,
    clientMode: false,
    // The default drops private addresses, and a cluster has no others.
    peerInfoMapper: passthroughMapper,
    allowQueryWithZeroPeers: true,
    // `Discovery` does the same at a lower cost.
    querySelfInterval: NEVER_MS,
    initialQuerySelfInterval: NEVER_MS,
    maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
    maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
  });
  return (components) => withoutUpkeep(create(servedBy(serve, components)));
}

/** kad-dht's components, changed so that it registers this handler instead of its own. */
function servedBy(handler: StreamHandler, components: KadDHTComponents): KadDHTComponents {
  const { registrar } = components;
  const handle: typeof registrar.handle = (protocol, _, options) =>
    registrar.handle(protocol, handler, options);
  const replaced = Object.create(registrar, { handle: { value: handle } }) as typeof registrar;
  return Object.create(components, { registrar: { value: replaced } }) as KadDHTComponents;
}

/**
 * Takes the work from a kad-dht that it does at intervals although nothing has happened. At its start, and every five
 * minutes after that, it looks up a key for each bucket of its table: `Discovery` goes through the whole key space at a
 * lower cost. Every five seconds it compares the closest peers that answered a ping with those before: now only when
 * another one has answered.
 */
function withoutUpkeep(dht: KadDHT): KadDHT {
  const { routingTableRefresh, routingTable } = dht as KadDHT & KadInternals;
  // The bundle has no prefixes for the keys of such a look-up (scripts/bundle.ts).
  routingTableRefresh.refreshTable = () => undefined;
  const { closestPeerTagger } = routingTable;
  const updatePeerTags = closestPeerTagger.updatePeerTags.bind(closestPeerTagger);
  let isOutdated = false;
  routingTable.addEventListener('peer:ping', () => {
    isOutdated = true;
  });
  closestPeerTagger.updatePeerTags = async () => {
    if (!isOutdated) return;
    isOutdated = false;
    await updatePeerTags();
  };
  return dht;
}

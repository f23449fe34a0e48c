import type { IncomingHttpHeaders } from 'node:http';

/** Bodies that a peer is sending to others, and how many it sends at most: `3/512`; `3/0` without a bound. */
export const LOAD_HEADER = 'x-peerglass-load';

/** The failure domain of a peer, as its operator names it. */
export const ZONE_HEADER = 'x-peerglass-zone';

/** With a 503: peer IDs of others that hold the content, as far as the peer knows. */
export const ALTERNATIVES_HEADER = 'x-peerglass-alternatives';

/** Alternatives that a peer may name. */
export const MAX_ALTERNATIVES = 8;

/** Longest `Retry-After` that is believed, in seconds. */
const MAX_RETRY_SECONDS = 3_600;

const LOAD = /^(\d{1,6})\/(\d{1,6})$/;
/** A value of a Kubernetes label, as `topology.kubernetes.io/zone` has. */
const ZONE = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
/** A libp2p peer ID in base58. */
const PEER_ID = /^[1-9A-HJ-NP-Za-km-z]{8,128}$/;

/** How many bodies a peer sends to others. */
export interface PeerLoad {
  readonly uploads: number;
  /** The bound that it has set itself; 0 for none. */
  readonly most: number;
}

/** What a peer says of itself in the head of an answer. Spegel's nodes say nothing. */
export interface PeerReport {
  readonly load?: PeerLoad;
  readonly zone?: string;
  /** Peer IDs, and no addresses: where these peers are is for the one who asks to know. */
  readonly alternatives: readonly string[];
  /** Whether it asks to be left alone for a while. */
  readonly retryLater: boolean;
}

/** Whether the text can be the name of a zone. */
function isZone(text: string): boolean {
  return ZONE.test(text);
}

/** Writes what {@link parseReport} reads. */
export function formatLoad({ uploads, most }: PeerLoad): string {
  return `${uploads}/${most}`;
}

/** Reads what a peer says of itself; what is not exactly well-formed counts as not said. */
export function parseReport(headers: IncomingHttpHeaders): PeerReport {
  const text = (name: string): string => {
    const value = headers[name];
    return typeof value === 'string' ? value : '';
  };
  const [, uploads, most] = LOAD.exec(text(LOAD_HEADER)) ?? [];
  const zone = text(ZONE_HEADER);
  const retryAfter = text('retry-after');
  return {
    ...(uploads !== undefined && { load: { uploads: Number(uploads), most: Number(most) } }),
    ...(isZone(zone) && { zone }),
    alternatives: parseAlternatives(text(ALTERNATIVES_HEADER)),
    retryLater: /^\d{1,4}$/.test(retryAfter) && Number(retryAfter) <= MAX_RETRY_SECONDS,
  };
}

/** Whether the peer sends as many bodies as it wants to. */
export function isFull({ load }: PeerReport): boolean {
  return load !== undefined && load.most > 0 && load.uploads >= load.most;
}

function parseAlternatives(text: string): readonly string[] {
  const peerIds = text.split(',', MAX_ALTERNATIVES + 1).map((item) => item.trim());
  const fits = peerIds.length <= MAX_ALTERNATIVES && peerIds.every((item) => PEER_ID.test(item));
  return fits ? [...new Set(peerIds)] : [];
}

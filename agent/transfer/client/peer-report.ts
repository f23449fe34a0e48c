import type { IncomingHttpHeaders } from 'node:http';

/** Uploads in progress and the maximum, as `3/512`; `3/0` where there is no maximum. */
export const LOAD_HEADER = 'x-peerglass-load';

/** The zone (failure domain) of a peer, named by its operator. */
export const ZONE_HEADER = 'x-peerglass-zone';

/** With a 503: peer IDs of other holders of the content that the peer knows. */
export const ALTERNATIVES_HEADER = 'x-peerglass-alternatives';

/** With a 404, and the value `1`: the bytes of the content that the peer has sent to others were wrong. */
export const WRONG_HEADER = 'x-peerglass-wrong';

/** Alternatives that one answer may name. */
export const MAX_ALTERNATIVES = 8;

/** Longest accepted `Retry-After`, in seconds. */
const MAX_RETRY_SECONDS = 3_600;

const LOAD = /^(\d{1,6})\/(\d{1,6})$/;
/** The syntax of a Kubernetes label value, as of `topology.kubernetes.io/zone`. */
const ZONE = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
/** A libp2p peer ID in base58. */
const PEER_ID = /^[1-9A-HJ-NP-Za-km-z]{8,128}$/;

/** How many uploads a peer has in progress. */
export interface PeerLoad {
  readonly uploads: number;
  /** The maximum that the peer has configured; 0 for none. */
  readonly max: number;
}

/** The state that a peer reports in the headers of an answer. Spegel's nodes report nothing. */
export interface PeerReport {
  readonly load?: PeerLoad;
  readonly zone?: string;
  /** Peer IDs without addresses: a node uses only addresses from its own routing. */
  readonly alternatives: readonly string[];
  /** Whether the peer sent a usable `Retry-After`. */
  readonly retryLater: boolean;
  /** Whether the peer says that what it has sent of this content was wrong. */
  readonly isWrong?: true;
}

function isZone(text: string): boolean {
  return ZONE.test(text);
}

/** The value of {@link LOAD_HEADER}. */
export function formatLoad({ uploads, max }: PeerLoad): string {
  return `${uploads}/${max}`;
}

/** Reads the report of a peer. A malformed header counts as absent. */
export function parseReport(headers: IncomingHttpHeaders): PeerReport {
  const text = (name: string): string => {
    const value = headers[name];
    return typeof value === 'string' ? value : '';
  };
  const [, uploads, max] = LOAD.exec(text(LOAD_HEADER)) ?? [];
  const zone = text(ZONE_HEADER);
  const retryAfter = text('retry-after');
  return {
    ...(uploads !== undefined && { load: { uploads: Number(uploads), max: Number(max) } }),
    ...(isZone(zone) && { zone }),
    alternatives: parseAlternatives(text(ALTERNATIVES_HEADER)),
    retryLater: /^\d{1,4}$/.test(retryAfter) && Number(retryAfter) <= MAX_RETRY_SECONDS,
    ...(text(WRONG_HEADER) === '1' && { isWrong: true as const }),
  };
}

/** Whether the peer has reached its maximum of uploads. */
export function isFull({ load }: PeerReport): boolean {
  return load !== undefined && load.max > 0 && load.uploads >= load.max;
}

function parseAlternatives(text: string): readonly string[] {
  const peerIds = text.split(',', MAX_ALTERNATIVES + 1).map((item) => item.trim());
  const fits = peerIds.length <= MAX_ALTERNATIVES && peerIds.every((item) => PEER_ID.test(item));
  return fits ? [...new Set(peerIds)] : [];
}

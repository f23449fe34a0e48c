/** How a look-up ended: with a provider, without, or because nobody waited for it any more. */
export type LookupResult = 'hit' | 'miss' | 'aborted';

/** Why something that a peer sent was not taken. */
export type Refusal =
  /** Not a message of the protocol, too long, or not complete in time. */
  | 'malformed'
  /** A record for something that is no key of this network. */
  | 'foreign-key'
  /** A record of another peer than the one that sent it. */
  | 'foreign-provider'
  /** A record for which there is no room. */
  | 'no-room'
  /** Not refused but read later: the peer asks faster than it may. */
  | 'too-fast';

/** What the router tells about its work; all of it optional. Gauges come from the router's `status()`. */
export interface RoutingObserver {
  /** Once a look-up: the seconds until its first provider, or until it ended without one. */
  onLookup?(result: LookupResult, seconds: number): void;
  /** Records that a peer has confirmed, the bytes sent for them, and the seconds that it took. */
  onPlacement?(records: number, bytes: number, seconds: number): void;
  /** A peer did not take our records; they are placed again later. */
  onPlacementFailure?(): void;
  /** Records that peers have forgotten because we asked them to. */
  onWithdrawal?(records: number): void;
  onRefusal?(reason: Refusal): void;
}

/** How a look-up ended: with a provider, without one, or because its caller left. */
export type LookupResult = 'hit' | 'miss' | 'aborted';

/** Why the router did not accept what a peer sent. */
export type Refusal =
  /** Not a message of the protocol, too long, or not complete in time. */
  | 'malformed'
  /** A record whose key is none of this network. */
  | 'foreign-key'
  /** A record of another peer than the one that sent it. */
  | 'foreign-provider'
  /** A record beyond the number that is kept. */
  | 'no-room'
  /** Not refused but read later: the peer sends requests faster than it may. */
  | 'too-fast';

/** Receives what the router does; each callback is optional. Gauges come from the router's `status()`. */
export interface RoutingObserver {
  /** Called once a look-up, with the seconds until its first provider, or until it ended without one. */
  onLookup?(result: LookupResult, seconds: number): void;
  /** Called with the records that a peer has confirmed, the bytes sent for them, and the seconds taken. */
  onProvide?(records: number, bytes: number, seconds: number): void;
  /** Called when a peer did not take our records; they are sent again later. */
  onProvideFailure?(): void;
  /** Called with the number of records that a peer has forgotten at our request. */
  onWithdrawal?(records: number): void;
  onRefusal?(reason: Refusal): void;
}

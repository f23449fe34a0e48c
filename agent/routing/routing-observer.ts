/** How a look-up ended: with a provider, without, or because nobody waited for it any more. */
type LookupResult = 'hit' | 'miss' | 'aborted';

/** What the router tells about its work; all of it optional. Gauges come from the router's `status()`. */
export interface RoutingObserver {
  /** Once a look-up: the seconds until its first provider, or until it ended without one. */
  onLookup?(result: LookupResult, seconds: number): void;
  /** Records that a peer has confirmed, and the seconds that it took. */
  onPlacement?(records: number, seconds: number): void;
  /** A peer did not take our records; they are placed again later. */
  onPlacementFailure?(): void;
}

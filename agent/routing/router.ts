/** Somebody who says that it holds the content of a key. */
export interface Provider {
  /** libp2p peer ID in text form; tells providers apart and names them in logs. */
  readonly peerId: string;
  /** Base URLs of its mirror, `http://10.0.0.7:5000`, best first, never empty. */
  readonly origins: readonly string[];
}

/** How the node stands in the network of peers. */
export interface RouterStatus {
  /** Peers known to the routing table. */
  readonly peers: number;
  /** Keys this node has advertised and not withdrawn. */
  readonly advertisedKeys: number;
  /** Records kept for others and for ourselves. */
  readonly records: number;
  /** Whether a bootstrap round has reached at least one peer, or found that there is none but ourselves. */
  readonly bootstrapped: boolean;
  /** Why the last bootstrap round failed, for people. */
  readonly bootstrapError?: string;
}

/**
 * The directory: who holds which key. A key is a digest (`sha256:<hex>`) or a tag's full name
 * (`docker.io/library/alpine:3.20`). The port that the libp2p router and the memory router implement;
 * `conformance.ts` is its contract in code.
 */
export interface Router {
  /**
   * Tells the network that this node holds the keys, and goes on doing so (refreshing before the records
   * expire) until they are withdrawn. Resolves when the first placement is done; peers that could not be
   * reached get the records later. Advertising a key twice is harmless.
   */
  advertise(keys: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Stops advertising the keys and takes the records back as far as the network allows it. */
  withdraw(keys: readonly string[], signal?: AbortSignal): Promise<void>;
  /**
   * Other nodes that hold the key, as they are found, each once and never ourselves. Ends when everybody
   * responsible for the key has been asked or `signal` is aborted; it never rejects for a peer's failure.
   */
  lookup(key: string, signal?: AbortSignal): AsyncIterable<Provider>;
  /**
   * The provider did not have what its record says: it is not named for this key for a while, or until it
   * places the record with this node anew.
   */
  forget(key: string, peerId: string): void;
  /**
   * The providers that {@link lookup} names without asking anybody, those alone that are expected to be there. In
   * a large network it may be none, for a key that others keep the records of.
   */
  known(key: string): readonly Provider[];
  /** Where the mirror of a peer is, when this node itself knows that peer to be there. */
  locate(peerId: string): Provider | undefined;
  status(): RouterStatus;
}

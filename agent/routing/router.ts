/** A node that advertises a key, and so should hold its content. */
export interface Provider {
  /**
   * libp2p peer ID in text form. It identifies the provider, also in logs. Where only other peers say where the provider is,
   * `@` and that place follow: what comes from there proves nothing about the peer.
   */
  readonly peerId: string;
  /** Base URLs of its mirror, `http://10.0.0.7:5000`, best first, never empty. */
  readonly origins: readonly string[];
}

/** A member of the network, this node itself included, see {@link MemberFinder.closest}. */
export interface ClosestMember {
  /** libp2p peer ID in text form. */
  readonly peerId: string;
  /** Base URLs of its mirror, best first. Empty while this node cannot reach it, or when it names no address of use. */
  readonly origins: readonly string[];
  /**
   * Peerglass' own protocols that it speaks, such as `/peerglass/withdraw/1.0.0`. Empty for nodes of Spegel, and while
   * this node is not connected with it.
   */
  readonly protocols: readonly string[];
  /** Whether it is this node. */
  readonly isSelf: boolean;
}

/** The state of a router, in numbers. */
export interface RouterStatus {
  /** Peers known to the routing table. */
  readonly peers: number;
  /** Keys this node has advertised and not withdrawn. */
  readonly advertisedKeys: number;
  /** Records kept for other nodes and for this one. */
  readonly records: number;
  /** Whether a bootstrap round has reached at least one peer, or found that this node is the only one. */
  readonly bootstrapped: boolean;
  /** Why the last bootstrap round failed, for people. */
  readonly bootstrapError?: string;
  /** Address of another node that has the identity of this one, if one was seen lately. */
  readonly duplicateIdentity?: string;
}

/** Makes the keys of this node known to others. */
export interface KeyAdvertiser {
  /**
   * Provides the keys: sends records that this node holds them, and sends these again before they expire, until the
   * keys are withdrawn. Resolves when the records are sent for the first time. Peers that could not be reached get them later.
   * Advertising a key twice is harmless.
   */
  advertise(keys: readonly string[], signal?: AbortSignal): Promise<void>;

  /** Stops advertising the keys, and withdraws the records as far as the network allows it. */
  withdraw(keys: readonly string[], signal?: AbortSignal): Promise<void>;

  /** Whether the key is advertised: it was passed to {@link advertise} and not to {@link withdraw} since. */
  isAdvertised(key: string): boolean;
}

/** Finds the nodes that hold a key. */
interface ProviderFinder {
  /**
   * Other nodes that hold the key, as they are found, each once and never this node. Ends when all peers responsible
   * for the key have been asked, or `signal` is aborted. It never rejects for the failure of a peer.
   */
  lookup(key: string, signal?: AbortSignal): AsyncIterable<Provider>;

  /**
   * Reports that the provider did not have the content that its record promised. The router does not name it for this
   * key for a while, or until it sends the record to this node again.
   */
  forget(key: string, peerId: string): void;

  /**
   * The providers that {@link lookup} names without a question to a peer, those only that are expected to be reachable.
   * In a large network it may be none, for a key whose records other nodes keep.
   */
  known(key: string): readonly Provider[];

  /** Where the mirror of a peer is. Undefined unless this node is connected with the peer and it answers. */
  locate(peerId: string): Provider | undefined;

  /**
   * Whether a node can be at the base URL that another member has named: the address is one that this node would ask, and
   * in a form that needs no resolving.
   */
  accepts(origin: string): boolean;
}

/** Knows who takes part in the network. */
interface MemberFinder {
  /**
   * The members closest to a key by Kademlia's XOR distance, closest first, this node among them. Nodes
   * with the same members give the same order. Members that do not answer are among them too, without origins. In a
   * network that is too large to know, they are looked up: it takes some round trips. It never rejects for the
   * failure of a peer.
   *
   * @param count maximum number of members, at most 20
   */
  closest(key: string, count: number, signal?: AbortSignal): Promise<readonly ClosestMember[]>;

  /** This node as its peers see it. Without origins while it has no address, or is not started. */
  self(): Pick<ClosestMember, 'peerId' | 'origins'>;

  /**
   * Calls back when members have come or gone, so that other ones may be the closest to a key. Several changes within a
   * moment are one call.
   *
   * @returns ends the calls
   */
  onMembersChange(listener: () => void): () => void;
}

/** Asks members over the router's connections, where each side has proved who it is. */
interface MemberQuestions {
  /**
   * Asks a member that this node is connected with. What a question is, and its answer, the `QuestionHandler` says that
   * the routers were made with.
   *
   * @param signal ends the wait; without one the wait for a peer that hangs has no end
   * @param protocol which of several handlers is asked; default: the first
   * @throws {NotAskedError} when there is no connection with the member, or no handler here
   * @throws Error when the member does not speak the protocol, or does not answer; the signal's reason
   */
  ask(
    peerId: string,
    message: Uint8Array,
    signal: AbortSignal,
    protocol?: string,
  ): Promise<Uint8Array>;
}

/**
 * Content routing: which node holds which key. A key is a digest (`sha256:<hex>`) or the full name of a tag
 * (`docker.io/library/alpine:3.20`). This port is implemented by the libp2p router and the memory router;
 * `testing/conformance/router.ts` is its contract in code.
 */
export interface Router extends KeyAdvertiser, ProviderFinder, MemberFinder, MemberQuestions {
  status(): RouterStatus;
}

/** What a rogue node does with a request for content that it is told to misbehave about. */
export type RogueBehaviour =
  /** Serves it as it should. */
  | { readonly kind: 'honest' }
  /** Sends other bytes than it should, so many from this offset of the blob on; the length is right. */
  | { readonly kind: 'wrong-bytes'; readonly offset: number; readonly count: number }
  /** States so many bytes more than there are (or less, when negative), and sends as many as it states. */
  | { readonly kind: 'wrong-length'; readonly by: number }
  /** States so many bytes more than there are in answer to HEAD, and serves GET as it should. Needs `head`. */
  | { readonly kind: 'wrong-head'; readonly by: number }
  /**
   * Sends other bytes than it should when it is asked for the content for the first time, and breaks off after so many.
   * From then on it serves the content as `then` says.
   */
  | {
      readonly kind: 'wrong-once';
      readonly after: number;
      readonly then: Exclude<RogueBehaviour, { readonly kind: 'wrong-once' }>;
    }
  /** Breaks off after so many bytes of the body. */
  | { readonly kind: 'break'; readonly after: number; readonly how: RogueEnd }
  /** Sends at most so many bytes a second. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** Takes the request and never answers. */
  | { readonly kind: 'silent' }
  /** Sends header fields without end. */
  | { readonly kind: 'endless-head' }
  /** Answers 200 with the whole content, whatever range is asked for. */
  | { readonly kind: 'ignore-range' }
  /** Answers with this status, these header fields and no body. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
    };

/** How a body is broken off: by FIN, by RST, or by silence on a connection that stays open. */
export type RogueEnd = 'end' | 'reset' | 'stall';

/** Tells a rogue node how to misbehave, and about what. */
export interface RogueOrders {
  readonly behaviour: RogueBehaviour;
  /** Digests that it is about, everything by default. What is not meant is served honestly. */
  readonly digests?: readonly string[];
  /** Whether a HEAD is answered so too, and not only a GET. Default: no. */
  readonly head?: boolean;
  /** The zone that its honest answers claim, by the IPv4 address of who asks; none by default. */
  readonly zones?: Readonly<Record<string, string>>;
}

/** A request for content that a rogue node got. */
export interface RogueRequest {
  /** IPv4 address of who asked. */
  readonly from: string;
  readonly method: string;
  readonly path: string;
  /** The `Range` header, empty if there was none. */
  readonly range: string;
  /** The kind of behaviour that it met. */
  readonly behaviour: RogueBehaviour['kind'];
}

/** A file that a rogue node announces, and what it says of it. */
export interface RogueContent {
  readonly digest: string;
  readonly mediaType: string;
  /** Its true length in bytes. */
  readonly size: number;
  readonly file: string;
  /** Keys of the directory that it is found by: the digest, and the tag's full name where there is one. */
  readonly keys: readonly string[];
}

/** How a rogue node stands in the directory. */
export interface RogueStatus {
  readonly peerId: string;
  readonly peers: number;
}

/** How a rogue node answers a request for the content of its orders. */
export type RogueBehaviour =
  /** Serves correctly. */
  | { readonly kind: 'honest' }
  /** Sends `count` wrong bytes from this offset of the blob on. The length is right. */
  | { readonly kind: 'wrong-bytes'; readonly offset: number; readonly count: number }
  /** States a length that differs by this number of bytes, and sends as many bytes as it states. */
  | { readonly kind: 'wrong-length'; readonly by: number }
  /** Answers a HEAD with a length that differs by this number of bytes, and serves GET correctly. Needs `head`. */
  | { readonly kind: 'wrong-head'; readonly by: number }
  /** Sends wrong bytes for the first request, breaks off after `after` bytes, and serves later requests as `then` says. */
  | {
      readonly kind: 'wrong-once';
      readonly after: number;
      readonly then: Exclude<RogueBehaviour, { readonly kind: 'wrong-once' }>;
    }
  /** Breaks off after this number of bytes of the body. */
  | { readonly kind: 'break'; readonly after: number; readonly how: RogueEnd }
  /** Sends this number of bytes a second at most. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** Takes the request and never answers. */
  | { readonly kind: 'silent' }
  /** Sends header fields without end. */
  | { readonly kind: 'endless-head' }
  /** Answers 200 with the whole content, whatever the range of the request. */
  | { readonly kind: 'ignore-range' }
  /** Answers with this status, these header fields and no body. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
    };

/** How a body is broken off: by FIN, by RST, or by silence on a connection that stays open. */
export type RogueEnd = 'end' | 'reset' | 'stall';

/** How a rogue node has to misbehave, and for which content. */
export interface RogueOrders {
  readonly behaviour: RogueBehaviour;
  /** The digests that the behaviour applies to. Default: all. Other content is served correctly. */
  readonly digests?: readonly string[];
  /** Whether the behaviour applies to HEAD as well as to GET. Default: no. */
  readonly head?: boolean;
  /** The zone in its honest answers, by the IPv4 address of the client. Default: none. */
  readonly zones?: Readonly<Record<string, string>>;
}

/** A request for content that a rogue node got. */
export interface RogueRequest {
  /** IPv4 address of the client. */
  readonly from: string;
  readonly method: string;
  readonly path: string;
  /** The `Range` header, empty if there was none. */
  readonly range: string;
  /** The kind of behaviour that it met. */
  readonly behaviour: RogueBehaviour['kind'];
}

/** A file that a rogue node advertises, and its descriptor. */
export interface RogueContent {
  readonly digest: string;
  readonly mediaType: string;
  /** Its true length in bytes. */
  readonly size: number;
  readonly file: string;
  /** Keys under which it is advertised: the digest, and the full name of the tag where there is one. */
  readonly keys: readonly string[];
}

/** The state of a rogue node in the DHT. */
export interface RogueStatus {
  readonly peerId: string;
  readonly peers: number;
}

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

import { LocalClients, withPort } from '../http/local-clients.ts';
import { OciError } from '../oci/errors.ts';
import { TIME_HEADER, type FieldReader } from '../signatures/message-signature.ts';
import type { RequestProof, RequestVerifier, SignAnswer } from '../signatures/request-verifier.ts';
import { MIRRORED_HEADER } from '../transfer/client/peer-client.ts';

/** Why a request is refused; a label of `peerglass_refused_total`. */
export type CallerRefusal = 'unsigned' | 'signature' | 'stale' | 'unverified';

/** Who asks for content. */
export interface Caller {
  /** Whether the agent of another node asks. It gets what is here, so that requests never loop. */
  readonly isPeer: boolean;
  /** The peer ID, proved by a signature. */
  readonly peerId?: string;
}

/** Components of {@link Callers}. */
export interface CallersComponents {
  /** Verifies the signatures of peers. Default: the field {@link MIRRORED_HEADER} tells who is a peer. */
  readonly verifier?: Pick<RequestVerifier, 'verify'>;
  /** Whether a client is on this node. Default: see {@link LocalClients}. */
  readonly isLocal?: (address: string | undefined) => boolean;
  /** Called for each request that is refused. */
  readonly onRefused?: (reason: CallerRefusal, address: string) => void;
}

/** Options of {@link Callers}. */
export interface CallersInit {
  /** Whether anyone is served, as in an open cluster, where Spegel's nodes sign nothing. Default: yes. */
  readonly servesAnyone?: boolean;
}

/**
 * Decides who asks. A node of the cluster proves it by the signature of its request; its answer is signed. A client on this
 * node, as its containerd, needs none. Anyone else is served only where the cluster is open: what a request says of itself
 * counts for nothing.
 */
export class Callers {
  readonly #verifier: CallersComponents['verifier'];
  readonly #isLocal: (address: string | undefined) => boolean;
  readonly #onRefused: NonNullable<CallersComponents['onRefused']>;
  readonly #servesAnyone: boolean;
  /** Of requests that {@link isAgent} has seen: a signature is accepted once. */
  readonly #proofs = new WeakMap<IncomingMessage, RequestProof>();

  constructor(components: CallersComponents = {}, { servesAnyone = true }: CallersInit = {}) {
    this.#verifier = components.verifier;
    this.#isLocal = components.isLocal ?? new LocalClients().has;
    this.#onRefused = components.onRefused ?? (() => undefined);
    this.#servesAnyone = servesAnyone;
  }

  /**
   * Whether the agent of another node asks, before anything is answered: by its signature, which was verified; in an open
   * cluster by {@link MIRRORED_HEADER} too, as Spegel's nodes do. Such a request gets from {@link identify} what peers get.
   * One of another time counts as of an agent: it is answered with the right time, and gets nothing else.
   */
  isAgent(req: IncomingMessage): boolean {
    const proof = this.#verify(req);
    this.#proofs.set(req, proof);
    return 'signAnswer' in proof || (this.#servesAnyone && isMarked(req));
  }

  /**
   * Finds out who asks, and signs the answer to a peer, whatever it will be.
   *
   * @param unknown makes the answer to who is not served: 404, at which a containerd asks its next host
   * @throws OciError `UNAUTHORIZED` for a signature that is not accepted, `UNAVAILABLE` for one that was not verified, and what
   *   `unknown` makes
   */
  identify(
    req: IncomingMessage,
    res: ServerResponse,
    unknown: (detail: string) => OciError,
  ): Caller {
    const proof = this.#verify(req);
    switch (proof.kind) {
      case 'proven':
        signHead(res, proof.signAnswer);
        return { isPeer: true, peerId: proof.peerId };
      case 'stale':
        signHead(res, proof.signAnswer);
        res.setHeader(TIME_HEADER, proof.time);
        throw new OciError('UNAUTHORIZED', 'the signature is of another time');
      case 'wrong':
        if (this.#servesAnyone) break;
        throw new OciError('UNAUTHORIZED', 'not signed by a node of this cluster');
      case 'unverified':
        if (this.#servesAnyone) break;
        res.setHeader('Retry-After', 1);
        throw new OciError('UNAVAILABLE', 'too many requests of unknown nodes in this second');
      case 'unsigned':
        if (this.#servesAnyone || this.#isLocal(req.socket.remoteAddress)) break;
        this.#refused('unsigned', req);
        throw unknown(
          'this address is not of a client of this node, and the request is not signed by a node of the cluster',
        );
    }
    return { isPeer: isMarked(req) };
  }

  /** Counts what is refused for its signature, once for each request. */
  #verify(req: IncomingMessage): RequestProof {
    const known = this.#proofs.get(req);
    if (known !== undefined) return known;
    const proof = this.#proofOf(req);
    if (proof.kind === 'stale') this.#refused('stale', req);
    if (this.#servesAnyone) return proof;
    if (proof.kind === 'wrong') this.#refused('signature', req);
    if (proof.kind === 'unverified') this.#refused('unverified', req);
    return proof;
  }

  #proofOf(req: IncomingMessage): RequestProof {
    const { method = '', url: target = '', headers, socket } = req;
    const read: FieldReader = (name) => {
      const value = headers[name];
      return typeof value === 'string' ? value : undefined;
    };
    const range = method === 'GET' ? headers.range : undefined;
    const proof = this.#verifier?.verify({ method, target, range }, read, socket.remoteAddress);
    return proof ?? { kind: 'unsigned' };
  }

  #refused(reason: CallerRefusal, { socket }: IncomingMessage): void {
    this.#onRefused(reason, withPort(socket.remoteAddress ?? '', socket.remotePort));
  }
}

function isMarked({ headers }: IncomingMessage): boolean {
  return headers[MIRRORED_HEADER] === 'true';
}

/**
 * Signs the head of the answer at the moment when it is written, so that no place which writes one can forget it.
 */
function signHead(res: ServerResponse, sign: SignAnswer): void {
  const writeHead = res.writeHead.bind(res);
  const signed = (status: number, fields: OutgoingHttpHeaders = {}): ServerResponse => {
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) res.setHeader(name, value);
    }
    const read: FieldReader = (name) => {
      const value = res.getHeader(name);
      return value === undefined ? undefined : String(value);
    };
    return writeHead(status, sign(status, read));
  };
  res.writeHead = signed as ServerResponse['writeHead'];
}

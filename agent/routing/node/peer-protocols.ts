import type { IdentifyResult, PeerId } from '@libp2p/interface';

import type { RoutingNode } from './libp2p-node.ts';

/** Peerglass' own protocols begin with it. */
const OWN_PROTOCOLS = '/peerglass/';
/** Own protocols kept of one peer. */
const MAX_PROTOCOLS = 16;
/** Characters of the name of a protocol. */
const MAX_PROTOCOL_LENGTH = 128;

type IdentifyingNode = Pick<
  RoutingNode,
  'addEventListener' | 'removeEventListener' | 'getConnections' | 'getProtocols'
>;

/**
 * Which of Peerglass' own protocols each connected peer speaks, from the protocol list in its identify message (libp2p
 * specification "identify"). The peer store has it too, but only asynchronously.
 */
export class PeerProtocols {
  readonly #node: IdentifyingNode;
  readonly #protocols = new Map<string, readonly string[]>();

  constructor(node: IdentifyingNode) {
    this.#node = node;
  }

  /** To be called before the node starts, so that no peer is missed. */
  start(): void {
    this.#node.addEventListener('peer:identify', this.#onIdentify);
    this.#node.addEventListener('peer:disconnect', this.#onDisconnect);
  }

  stop(): void {
    this.#node.removeEventListener('peer:identify', this.#onIdentify);
    this.#node.removeEventListener('peer:disconnect', this.#onDisconnect);
    this.#protocols.clear();
  }

  /** Those that this node speaks. */
  own(): readonly string[] {
    return ownAmong(this.#node.getProtocols());
  }

  /** Those that a peer speaks; none while it is not connected. */
  of(peerId: string): readonly string[] {
    return this.#protocols.get(peerId) ?? [];
  }

  readonly #onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    const { peerId } = detail;
    const protocols = ownAmong(detail.protocols);
    // The connection may be gone by now, and then nothing would remove the entry.
    const isKept = protocols.length > 0 && this.#node.getConnections(peerId).length > 0;
    if (isKept) this.#protocols.set(peerId.toString(), protocols);
    else this.#protocols.delete(peerId.toString());
  };

  readonly #onDisconnect = ({ detail }: CustomEvent<PeerId>): void => {
    this.#protocols.delete(detail.toString());
  };
}

function ownAmong(protocols: readonly string[]): string[] {
  return protocols
    .filter((name) => name.startsWith(OWN_PROTOCOLS) && name.length <= MAX_PROTOCOL_LENGTH)
    .slice(0, MAX_PROTOCOLS);
}

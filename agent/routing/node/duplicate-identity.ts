import type { ConnectionEncrypter, MessageStream, PeerId, Transport } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';

/** Components of {@link DuplicateIdentity}. */
export interface DuplicateIdentityComponents {
  readonly ownPeerId: PeerId;
  /** Called with the address of another process that has the identity of this node. */
  readonly onFound: (address: string) => void;
}

/** The dials of one address that are under way. */
interface WatchedDial {
  count: number;
  /** Inbound handshakes that had begun before; undefined when one of them was under way. */
  readonly inboundBegun: number | undefined;
}

/**
 * Finds out whether another node has the private key of this one, as after a machine was cloned with its disk. libp2p
 * ends a connection between the two without a word, so that they are invisible for each other.
 *
 * The handshake of a connection proves that the other side has the key. It may be this process itself, behind a
 * virtual IP or a NAT, or because a peer forwards the bytes between two of our connections. Then both handshakes are
 * here, and they overlap in time, however long the peer keeps one of them waiting. So an outbound handshake proves
 * another process when no inbound one was under way at the beginning of the dial and none has begun since. An inbound
 * one does when no dial was under way at its beginning and none has begun by its end. The rest proves nothing; there
 * will be other connections. A peer that keeps handshakes waiting only hides duplicates.
 */
export class DuplicateIdentity {
  readonly #components: DuplicateIdentityComponents;
  /** Dials under way, by address. */
  readonly #dials = new Map<string, WatchedDial>();
  #dialsBegun = 0;
  #inboundUnderWay = 0;
  #inboundBegun = 0;

  constructor(components: DuplicateIdentityComponents) {
    this.#components = components;
  }

  /** The transport, with its dials watched. */
  watchDials(transport: Transport): Transport {
    const dial = transport.dial.bind(transport);
    transport.dial = async (address, options) => {
      const key = address.toString();
      this.#dialsBegun += 1;
      // Several dials of one address are watched as one, from the beginning of the first to the end of the last.
      const watched = this.#dials.get(key) ?? {
        count: 0,
        inboundBegun: this.#inboundUnderWay === 0 ? this.#inboundBegun : undefined,
      };
      this.#dials.set(key, watched);
      watched.count += 1;
      try {
        return await dial(address, options);
      } finally {
        watched.count -= 1;
        if (watched.count === 0) this.#dials.delete(key);
      }
    };
    return transport;
  }

  /** The encrypter, with its handshakes watched. */
  watchHandshakes(encrypter: ConnectionEncrypter): ConnectionEncrypter {
    const secureOutbound = encrypter.secureOutbound.bind(encrypter);
    const secureInbound = encrypter.secureInbound.bind(encrypter);
    encrypter.secureOutbound = async (stream, options) => {
      const secured = await secureOutbound(stream, options);
      const isProof = this.#dials.get(addressOf(stream))?.inboundBegun === this.#inboundBegun;
      if (isProof) this.#check(secured.remotePeer, stream);
      return secured;
    };
    encrypter.secureInbound = async (stream, options) => {
      this.#inboundBegun += 1;
      this.#inboundUnderWay += 1;
      const dialsBegun = this.#dials.size === 0 ? this.#dialsBegun : undefined;
      try {
        const secured = await secureInbound(stream, options);
        if (dialsBegun === this.#dialsBegun) this.#check(secured.remotePeer, stream);
        return secured;
      } finally {
        this.#inboundUnderWay -= 1;
      }
    };
    return encrypter;
  }

  #check(remotePeer: PeerId, stream: MessageStream): void {
    const { ownPeerId, onFound } = this.#components;
    if (remotePeer.equals(ownPeerId)) onFound(addressOf(stream));
  }
}

/** The address of the other side. The stream of a handshake is the connection itself. */
function addressOf(stream: MessageStream): string {
  const { remoteAddr } = stream as MessageStream & { readonly remoteAddr?: Multiaddr };
  return remoteAddr?.toString() ?? 'an unknown address';
}

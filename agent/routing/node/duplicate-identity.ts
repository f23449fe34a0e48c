import type { ConnectionEncrypter, MessageStream, PeerId, Transport } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';

/** Components of {@link DuplicateIdentity}. */
export interface DuplicateIdentityComponents {
  readonly ownPeerId: PeerId;
  /** Called with the address of another process that has the identity of this node. */
  readonly onFound: (address: string) => void;
}

/**
 * Finds out whether another node has the private key of this one, as after a machine was cloned with its disk. libp2p
 * ends a connection between the two without a word, so that they are invisible for each other.
 *
 * The handshake of a connection proves that the other side has the key. It may be this process itself, behind a
 * virtual IP or a NAT. Then both ends of one connection are here: while a dial is under way, an inbound handshake
 * begins. So an outbound handshake proves another process when no inbound one began since the dial, and an inbound
 * one when no dial was under way at its beginning. The rest proves nothing; there will be other connections.
 */
export class DuplicateIdentity {
  readonly #components: DuplicateIdentityComponents;
  /** Dials under way: the address, and the number of inbound handshakes that had begun before. */
  readonly #dials = new Map<string, number>();
  #inboundBegun = 0;

  constructor(components: DuplicateIdentityComponents) {
    this.#components = components;
  }

  /** The transport, with its dials watched. */
  watchDials(transport: Transport): Transport {
    const dial = transport.dial.bind(transport);
    transport.dial = async (address, options) => {
      const key = address.toString();
      // Two dials of one address are watched as one.
      const isFirst = !this.#dials.has(key);
      if (isFirst) this.#dials.set(key, this.#inboundBegun);
      try {
        return await dial(address, options);
      } finally {
        if (isFirst) this.#dials.delete(key);
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
      const isProof = this.#dials.get(addressOf(stream)) === this.#inboundBegun;
      if (isProof) this.#check(secured.remotePeer, stream);
      return secured;
    };
    encrypter.secureInbound = async (stream, options) => {
      this.#inboundBegun += 1;
      const isProof = this.#dials.size === 0;
      const secured = await secureInbound(stream, options);
      if (isProof) this.#check(secured.remotePeer, stream);
      return secured;
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

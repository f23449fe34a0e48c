import type { ConnectionEncrypter, MessageStream, PeerId } from '@libp2p/interface';

/** The connections of a peer. */
interface Heard {
  connections: number;
  /** When bytes last came, as by `performance.now`. */
  at: number;
}

/**
 * When each connected peer was last heard from. Any bytes count: TCP keep-alive is the kernel's, but bytes on a connection
 * are written by a process that works.
 */
export class LastHeard {
  readonly #peers = new Map<string, Heard>();

  /** When the peer was last heard from, as by `performance.now`; undefined when it is not connected. */
  of(peerId: string): number | undefined {
    return this.#peers.get(peerId)?.at;
  }

  /** The encrypter, with the bytes that come on its connections watched. */
  watchConnections(encrypter: ConnectionEncrypter): ConnectionEncrypter {
    const secureOutbound = encrypter.secureOutbound.bind(encrypter);
    const secureInbound = encrypter.secureInbound.bind(encrypter);
    encrypter.secureOutbound = async (stream, options) => {
      const secured = await secureOutbound(stream, options);
      this.#watch(stream, secured.remotePeer);
      return secured;
    };
    encrypter.secureInbound = async (stream, options) => {
      const secured = await secureInbound(stream, options);
      this.#watch(stream, secured.remotePeer);
      return secured;
    };
    return encrypter;
  }

  /** @param stream the connection itself, of which noise listens to the bytes by now */
  #watch(stream: MessageStream, remotePeer: PeerId): void {
    if (stream.status !== 'open') return;
    const peerId = remotePeer.toString();
    const heard = this.#peers.get(peerId) ?? { connections: 0, at: 0 };
    this.#peers.set(peerId, heard);
    heard.connections += 1;
    heard.at = performance.now();
    stream.addEventListener('message', () => {
      heard.at = performance.now();
    });
    stream.addEventListener('close', () => {
      heard.connections -= 1;
      if (heard.connections === 0) this.#peers.delete(peerId);
    });
  }
}

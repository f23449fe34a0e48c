import { randomBytes } from 'node:crypto';

import type {
  AbortOptions,
  ConnectionProtector,
  MessageStream,
  MultiaddrConnection,
} from '@libp2p/interface';
import { byteStream, type ByteStream } from '@libp2p/utils';

import type { SwarmKey, SwarmKeys } from '../../membership/swarm-key.ts';
import { KeyStream } from './key-stream.ts';
import { ProtectedConnection } from './protected-connection.ts';

/** Bytes of the nonce with which each side begins. */
const NONCE_BYTES = 24;
/** What each side of libp2p says first on a connection: multistream-select 1.0, with its length. */
const GREETING = Buffer.from('\x13/multistream/1.0.0\n', 'latin1');
/** How long the other side may take until its nonce and its greeting are here, in milliseconds. */
const HANDSHAKE_MS = 5000;
/** The same where it may be a node without a key, which waits for a greeting: it is dialled once more then. */
const OPEN_HANDSHAKE_MS = 1500;

/** The other side does not have the key of this cluster. */
class SwarmKeyMismatchError extends Error {
  override readonly name = 'SwarmKeyMismatchError';
}

/** Components of {@link SwarmProtector}. */
export interface SwarmProtectorComponents {
  readonly swarmKeys: SwarmKeys;
  /** Whether nodes without a key may connect too. */
  readonly isOpen: boolean;
  /** Called with the address of a node that connected with another key or without one. */
  readonly onStranger: (address: string) => void;
}

/**
 * Encrypts connections with a key that all nodes of the cluster share, as libp2p's private networks do (pnet, version 1:
 * a nonce of 24 bytes each way, then XSalsa20). A node without the key fails before it can say or ask anything.
 *
 * `@libp2p/pnet` has one key. Here the side that is dialled finds out which of several the other one has, by the greeting
 * with which a dialler begins; so a key is changed node by node.
 */
export class SwarmProtector implements ConnectionProtector {
  readonly #components: SwarmProtectorComponents;

  constructor(components: SwarmProtectorComponents) {
    this.#components = components;
  }

  /** @throws Error when the other side has another key, or none, or when the other side is silent or gone */
  async protect(stream: MessageStream, options: AbortOptions = {}): Promise<MessageStream> {
    // libp2p protects connections of transports only; the type of its interface is wider.
    const connection = stream as MultiaddrConnection;
    const isDial = connection.direction === 'outbound';
    const limit = isDial && this.#components.isOpen ? OPEN_HANDSHAKE_MS : HANDSHAKE_MS;
    const signals = [AbortSignal.timeout(limit), ...(options.signal ? [options.signal] : [])];
    const bytes = byteStream(connection);
    const exchange = { bytes, connection, signal: AbortSignal.any(signals) };
    return isDial ? await this.#begin(exchange) : await this.#answer(exchange);
  }

  async #begin({ bytes, connection, signal }: Exchange): Promise<MessageStream> {
    const [key] = this.#components.swarmKeys.keys;
    if (key === undefined) throw new Error('there is no swarm key');
    const ownNonce = randomBytes(NONCE_BYTES);
    await bytes.write(ownNonce, { signal });
    const nonce = await read(bytes, NONCE_BYTES, signal);
    bytes.unwrap();
    return protectedBy(key, connection, { nonce, ownNonce });
  }

  async #answer({ bytes, connection, signal }: Exchange): Promise<MessageStream> {
    const { swarmKeys, isOpen, onStranger } = this.#components;
    const first = await read(bytes, GREETING.length, signal);
    if (GREETING.equals(first)) {
      if (isOpen) {
        putBack(bytes, connection, first);
        return connection;
      }
      onStranger(connection.remoteAddr.toString());
      throw new SwarmKeyMismatchError('the peer has no swarm key');
    }
    const nonce = Buffer.concat([first, await read(bytes, NONCE_BYTES - first.length, signal)]);
    const ownNonce = randomBytes(NONCE_BYTES);
    await bytes.write(ownNonce, { signal });
    const greeting = await read(bytes, GREETING.length, signal);
    const key = swarmKeys.keys.find((each) =>
      GREETING.equals(new KeyStream(each.bytes, nonce).xor(greeting)),
    );
    if (key === undefined) {
      onStranger(connection.remoteAddr.toString());
      throw new SwarmKeyMismatchError('the peer has another swarm key');
    }
    putBack(bytes, connection, greeting);
    return protectedBy(key, connection, { nonce, ownNonce });
  }
}

interface Exchange {
  readonly bytes: ByteStream<MultiaddrConnection>;
  readonly connection: MultiaddrConnection;
  readonly signal: AbortSignal;
}

/** To be read again, before what came behind it. */
function putBack(
  bytes: ByteStream<MultiaddrConnection>,
  connection: MultiaddrConnection,
  taken: Uint8Array,
): void {
  bytes.unwrap();
  connection.unshift(taken);
}

/** @throws Error when the connection has ended: nothing would report it any more */
function protectedBy(
  { bytes }: SwarmKey,
  connection: MultiaddrConnection,
  { nonce, ownNonce }: { readonly nonce: Uint8Array; readonly ownNonce: Uint8Array },
): ProtectedConnection {
  if (connection.status !== 'open') throw new Error('the connection has ended');
  const [inbound, outbound] = [new KeyStream(bytes, nonce), new KeyStream(bytes, ownNonce)];
  return new ProtectedConnection(connection, inbound, outbound);
}

async function read(
  bytes: ByteStream<MultiaddrConnection>,
  count: number,
  signal: AbortSignal,
): Promise<Buffer> {
  return Buffer.from((await bytes.read({ bytes: count, signal })).subarray());
}

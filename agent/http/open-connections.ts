import type { Socket } from 'node:net';

/**
 * How long a connection must have been idle to be closed for a new one, in milliseconds. A request may be on its way over
 * one that was used just now.
 */
const MIN_IDLE_MS = 1_000;

interface Connection {
  readonly socket: Socket;
  /** The other connections from the same address. */
  readonly client: Client;
  /** Requests that are being answered. */
  requests: number;
  idleSince: number;
}

/** The connections from one address. */
interface Client {
  open: number;
  /** Those without a request, in the order in which they became idle. */
  readonly idle: Set<Connection>;
}

/** The connections of clients that share one bound, by address. */
interface Pool {
  readonly max: number;
  open: number;
  readonly clients: Map<string, Client>;
}

export interface OpenConnectionsComponents {
  /** Whether a client is on this node; see `LocalClients`. */
  readonly isLocal: (address: string | undefined) => boolean;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** Bounds of {@link OpenConnections}. */
export interface OpenConnectionsInit {
  /** Connections at once of all clients that are not on this node. */
  readonly max: number;
  /** Connections at once of clients on this node. No other client takes them. */
  readonly maxLocal: number;
  /** Connections at once from one address. */
  readonly perAddress: number;
}

/**
 * The open connections of a listener. When there are too many, an idle one is closed: of the address that has too many,
 * or else the one that has been idle longest of the address with most connections. If none is idle, the new one is closed.
 */
export class OpenConnections {
  readonly #isLocal: (address: string | undefined) => boolean;
  readonly #now: () => number;
  readonly #perAddress: number;
  readonly #local: Pool;
  readonly #others: Pool;
  /** By address and port of the client: a connection with TLS has another socket than the one that was added. */
  readonly #connections = new Map<string, Connection>();

  constructor(
    { isLocal, now }: OpenConnectionsComponents,
    { max, maxLocal, perAddress }: OpenConnectionsInit,
  ) {
    this.#isLocal = isLocal;
    this.#now = now ?? (() => performance.now());
    this.#perAddress = perAddress;
    this.#local = { max: maxLocal, open: 0, clients: new Map() };
    this.#others = { max, open: 0, clients: new Map() };
  }

  /** Counts a connection until it is closed. Closes an idle one, or this one, when there are too many. */
  add(socket: Socket): void {
    const { remoteAddress = '' } = socket;
    const pool = this.#isLocal(remoteAddress) ? this.#local : this.#others;
    const client = pool.clients.get(remoteAddress) ?? { open: 0, idle: new Set() };
    pool.clients.set(remoteAddress, client);
    const connection = { socket, client, requests: 0, idleSince: this.#now() };
    const key = keyOf(socket);
    client.open += 1;
    pool.open += 1;
    client.idle.add(connection);
    this.#connections.set(key, connection);
    socket.once('close', () => {
      client.open -= 1;
      pool.open -= 1;
      client.idle.delete(connection);
      if (client.open === 0) pool.clients.delete(remoteAddress);
      if (this.#connections.get(key) === connection) this.#connections.delete(key);
    });
    const tooMany = client.open > this.#perAddress;
    if (!tooMany && pool.open <= pool.max) return;
    if (!this.#closeIdle(tooMany ? [client] : pool.clients.values())) socket.destroy();
  }

  /**
   * Notes that a request of the connection is being answered. It is not idle meanwhile.
   *
   * @returns to be called once, when the request is answered
   */
  begin(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): () => void {
    const connection = this.#connections.get(keyOf(socket));
    if (connection === undefined) return () => undefined;
    const { client } = connection;
    connection.requests += 1;
    client.idle.delete(connection);
    return () => {
      connection.requests -= 1;
      if (connection.requests > 0 || connection.socket.destroyed) return;
      connection.idleSince = this.#now();
      client.idle.add(connection);
    };
  }

  /** Closes all connections, including those whose TLS handshake goes on. */
  destroy(): void {
    for (const { socket } of this.#connections.values()) socket.destroy();
  }

  /** Closes the longest idle connection of the client with most connections. Returns whether there was one. */
  #closeIdle(clients: Iterable<Client>): boolean {
    const latest = this.#now() - MIN_IDLE_MS;
    let most = 0;
    let found: Connection | undefined;
    for (const { open, idle } of clients) {
      const [oldest] = idle;
      if (oldest === undefined || oldest.idleSince > latest || open <= most) continue;
      most = open;
      found = oldest;
    }
    found?.client.idle.delete(found);
    found?.socket.destroy();
    return found !== undefined;
  }
}

function keyOf({
  remoteAddress = '',
  remotePort = 0,
}: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress} ${remotePort}`;
}

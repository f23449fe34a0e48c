import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';

import { Agent, fetch, type RequestInit, type Response } from 'undici';

import { Child } from './child.ts';
import { waitFor } from './wait.ts';

const PROGRAM = fileURLToPath(new URL('relay-main.ts', import.meta.url));

/**
 * Lets the test speak TCP and HTTP as if it were inside a network namespace: a small process there takes
 * connections from a Unix socket. The namespaces stay shut off from the machine's own network.
 */
export class Relay implements AsyncDisposable {
  readonly #child: Child;
  readonly #path: string;
  readonly #dispatcher: Agent;

  private constructor(child: Child, path: string) {
    this.#child = child;
    this.#path = path;
    this.#dispatcher = new Agent({
      // The relay answers at once, so undici sees a dead target as a closed socket, never as a time-out.
      connect: (options, callback) => {
        const plain = this.connect(options.hostname, Number(options.port || 80));
        const secure = options.protocol === 'https:';
        // Whether a certificate is good is for containerd and the agents to find out.
        const socket = secure ? connectTls({ socket: plain, rejectUnauthorized: false }) : plain;
        socket.once('error', (error: Error) => {
          callback(error, null);
        });
        socket.once(secure ? 'secureConnect' : 'connect', () => {
          callback(null, socket);
        });
      },
    });
  }

  static async start(namespace: string, directory: string): Promise<Relay> {
    const path = `${directory}/relay.sock`;
    const child = new Child({
      command: [process.execPath, PROGRAM, path],
      namespace,
      logFile: `${directory}/relay.log`,
    });
    const relay = new Relay(child, path);
    await waitFor('the relay listens', () => canConnect(path), { everyMs: 10 });
    return relay;
  }

  /** A TCP connection from inside the namespace. */
  connect(host: string, port: number): Socket {
    const socket = connect(this.#path);
    socket.write(`${host} ${port}\n`);
    return socket;
  }

  /** `fetch` from inside the namespace. */
  fetch(url: string, init?: RequestInit): Promise<Response> {
    return fetch(url, { ...init, dispatcher: this.#dispatcher });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher.destroy();
    await this.#child.stop();
  }
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

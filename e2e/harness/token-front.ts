import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import type { Child } from './child.ts';
import type { User } from './cri.ts';
import type { Host } from './namespaces.ts';
import type { PushedImage, Upstream } from './upstream.ts';
import { waitFor } from './wait.ts';

const PROGRAM = fileURLToPath(new URL('token-front-main.ts', import.meta.url));
const PORT = 5000;
/** The port that a name without one means, by http. */
const HTTP_PORT = 80;

/** Options of a {@link TokenFront}. */
export interface TokenFrontInit {
  /** Who gets tokens. Default: anyone. */
  readonly user?: User;
  /** With 80 image names need no port. Default: 5000. */
  readonly port?: typeof PORT | typeof HTTP_PORT;
}

/** A request that one of the servers of the front has answered. */
export interface TokenFrontRequest {
  readonly at: 'registry' | 'token' | 'storage';
  /** Address of the client. */
  readonly from: string;
  /** Its `User-Agent`. */
  readonly agent: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

/**
 * Stands in front of a registry as Docker Hub does: clients need a token of another server, anonymous or for a user, and blobs
 * are redirected to storage, which refuses the token. Images have its name.
 */
export class TokenFront implements AsyncDisposable {
  /** What image names begin with. */
  readonly registry: string;
  readonly origin: string;
  readonly #host: Host;
  readonly #upstream: Upstream;
  readonly #child: Child;

  private constructor(host: Host, upstream: Upstream, { user, port = PORT }: TokenFrontInit) {
    this.registry = port === HTTP_PORT ? host.address : `${host.address}:${port}`;
    this.origin = `http://${this.registry}`;
    this.#host = host;
    this.#upstream = upstream;
    const who = user === undefined ? '' : `${user.username}:${user.password}`;
    const words = [upstream.origin, host.address, String(port), who];
    this.#child = host.start('token-front', { command: [process.execPath, PROGRAM, ...words] });
  }

  static async start(
    host: Host,
    upstream: Upstream,
    init: TokenFrontInit = {},
  ): Promise<TokenFront> {
    const front = new TokenFront(host, upstream, init);
    await waitFor('the front with tokens is up', async () => {
      return (await host.fetch(`${front.origin}/v2/`)).status === 401;
    });
    return front;
  }

  /** Puts an image into the registry whose name begins with this front. */
  async push(layout: string, image: PushedImage): Promise<void> {
    const name = image.name.replace(this.registry, this.#upstream.registry);
    await this.#upstream.push(layout, { ...image, name });
  }

  /** All requests of nodes so far, oldest first. */
  async requests(): Promise<TokenFrontRequest[]> {
    const lines = (await readFile(this.#child.logFile, 'utf8')).split('\n');
    return lines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as TokenFrontRequest)
      .filter(({ from }) => from !== this.#host.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }
}

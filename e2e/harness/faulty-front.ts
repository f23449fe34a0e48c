import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Child } from './child.ts';
import type { Host } from './namespaces.ts';
import type { PushedImage, Upstream } from './upstream.ts';
import { waitFor } from './wait.ts';

const PROGRAM = fileURLToPath(new URL('faulty-front-main.ts', import.meta.url));
const PORT = 5000;

/** What happens to requests that match. The first rule that matches counts. */
export interface FrontRule {
  /** A regular expression on the path with its query. */
  readonly path: string;
  readonly method?: string;
  /** Addresses of the clients that it is for. Default: all. */
  readonly from?: readonly string[];
  /** How often it is used. Default: always. */
  readonly times?: number;
  /** Answers this, and does not ask the registry. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Waits before the answer, in milliseconds. */
  readonly delayMs?: number;
  /** Closes the connection before this byte of the body. */
  readonly cutAfter?: number;
  /** Changes this byte of the body. */
  readonly flip?: number;
  /** Leaves out so many bytes at the end, and declares a length without them. */
  readonly shorten?: number;
}

/** How the front behaves. */
export interface FrontControl {
  /** Bytes a second for all bodies together. Default: no limit. */
  readonly rate?: number;
  readonly rules?: readonly FrontRule[];
}

/** A request that the front has seen. */
export interface FrontRequest {
  /** Address of the client. */
  readonly from: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** The field `Range`; empty without it. */
  readonly range: string;
}

/** A machine in front of a registry that is slow and fails as a test wants it. Images have its name. */
export class FaultyFront implements AsyncDisposable {
  readonly host: Host;
  /** What image names begin with. */
  readonly registry: string;
  readonly origin: string;
  readonly #upstream: Upstream;
  #child: Child;

  private constructor(host: Host, upstream: Upstream) {
    this.host = host;
    this.registry = `${host.address}:${PORT}`;
    this.origin = `http://${this.registry}`;
    this.#upstream = upstream;
    this.#child = this.#start();
  }

  static async start(host: Host, upstream: Upstream): Promise<FaultyFront> {
    await writeFile(controlOf(host), '{}');
    const front = new FaultyFront(host, upstream);
    await front.#isUp();
    return front;
  }

  /** From the next request on it behaves like this; bodies that have begun go on as they are. */
  async behave(control: FrontControl): Promise<void> {
    await writeFile(controlOf(this.host), JSON.stringify(control));
  }

  /** Puts an image into the registry whose name begins with this front. */
  async push(layout: string, image: PushedImage): Promise<void> {
    const name = image.name.replace(this.registry, this.#upstream.registry);
    await this.#upstream.push(layout, { ...image, name });
  }

  /** All requests of nodes so far, oldest first. */
  async requests(): Promise<FrontRequest[]> {
    const lines = (await readFile(this.#child.logFile, 'utf8')).split('\n');
    return lines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as FrontRequest)
      .filter(({ from }) => from !== this.host.address);
  }

  /** Ends it, so that the registry cannot be reached, or starts it again. */
  async switch(isOn: boolean): Promise<void> {
    if (!isOn) {
      await this.#child.stop(0);
      return;
    }
    this.#child = this.#start();
    await this.#isUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }

  #start(): Child {
    const words = [this.#upstream.origin, String(PORT), controlOf(this.host)];
    return this.host.start('front', { command: [process.execPath, PROGRAM, ...words] });
  }

  async #isUp(): Promise<void> {
    await waitFor('the front of the registry is up', async () => {
      return (await this.host.fetch(`${this.origin}/v2/`)).status === 200;
    });
  }
}

function controlOf(host: Host): string {
  return join(host.directory, 'front.json');
}

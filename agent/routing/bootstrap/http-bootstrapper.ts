import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';
import { Agent } from 'undici';

import { BootstrapError, MAX_BOOTSTRAP_PEERS } from './bootstrapper.ts';
import type { Bootstrapper, BootstrapPeer } from './bootstrapper.ts';

/** Path of the identity endpoint, as in Spegel. */
export const IDENTITY_PATH = '/id';

/** Upper bound for the body of an answer, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024;
/** How long headers, and each chunk of the body, may take, in milliseconds. */
const TIMEOUT_MS = 5000;
/** Upper bound for the addresses of one peer. */
const MAX_ADDRESSES_PER_PEER = 32;

/** The answer of a node under {@link IDENTITY_PATH}: the JSON of Go's `peer.AddrInfo`. */
export interface IdentityAnswer {
  readonly ID: string;
  /** Multiaddrs without peer ID. */
  readonly Addrs: readonly string[];
}

/** Finds peers by HTTP: asks one node for its identity, as Spegel does. The answer may also be a list of peers. */
export class HttpBootstrapper implements Bootstrapper {
  readonly #url: string;

  /** @param baseUrl `http://10.0.0.1:5002`; `/id` is appended */
  constructor(baseUrl: string) {
    this.#url = `${baseUrl.replace(/\/+$/, '')}${IDENTITY_PATH}`;
  }

  async find(signal: AbortSignal): Promise<readonly BootstrapPeer[]> {
    try {
      return parseAnswer(await this.#get(signal));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new BootstrapError(`no peer from ${this.#url}: ${why}`, { cause: error });
    }
  }

  async #get(signal: AbortSignal): Promise<unknown> {
    const agent = new Agent({ headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
    try {
      const { origin, pathname, search } = new URL(this.#url);
      const path = pathname + search;
      const { statusCode, body } = await agent.request({ origin, path, method: 'GET', signal });
      const text = await readText(body as AsyncIterable<Buffer>);
      if (statusCode !== 200) throw new Error(`status ${String(statusCode)}`);
      return parseJson(text);
    } finally {
      await agent.destroy();
    }
  }
}

/** @throws Error when the body is too long */
async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error('the answer is not JSON');
  }
}

function parseAnswer(answer: unknown): BootstrapPeer[] {
  const list: unknown[] = Array.isArray(answer) ? answer : [answer];
  return list.slice(0, MAX_BOOTSTRAP_PEERS).map((entry) => {
    if (typeof entry !== 'object' || entry === null) throw new Error('the answer is not a peer');
    const { ID: id, Addrs: addresses } = entry as Record<string, unknown>;
    if (typeof id !== 'string' || !Array.isArray(addresses)) {
      throw new Error('the answer has no ID and Addrs');
    }
    const multiaddrs = (addresses as unknown[]).slice(0, MAX_ADDRESSES_PER_PEER).map(toMultiaddr);
    if (multiaddrs.length === 0) throw new Error('the answer has no address');
    return { peerId: toPeerId(id), multiaddrs, isNamedByNode: true };
  });
}

function toPeerId(text: string): string {
  try {
    return peerIdFromString(text).toString();
  } catch {
    throw new Error('the answer has a malformed ID');
  }
}

function toMultiaddr(value: unknown): Multiaddr {
  try {
    return multiaddr(String(value));
  } catch {
    throw new Error('the answer has a malformed address');
  }
}

import { lookup } from 'node:dns/promises';

import { multiaddr } from '@multiformats/multiaddr';

import { codeOf } from '../../errors/system-error.ts';
import { BootstrapError, MAX_BOOTSTRAP_PEERS } from './bootstrapper.ts';
import type { Bootstrapper, BootstrapPeer } from './bootstrapper.ts';

/** Options of {@link DnsBootstrapper}. */
export interface DnsBootstrapperInit {
  /** The name of the headless Service. */
  readonly domain: string;
  /** The port of the routers, which is the same on all nodes. */
  readonly port: number;
}

/** All addresses (A and AAAA) of a name, each of them one peer whose ID is not known yet. */
export class DnsBootstrapper implements Bootstrapper {
  readonly #domain: string;
  readonly #port: number;

  constructor(init: DnsBootstrapperInit) {
    this.#domain = init.domain;
    this.#port = init.port;
  }

  async find(signal: AbortSignal): Promise<readonly BootstrapPeer[]> {
    const addresses = await this.#resolve(signal);
    return addresses.slice(0, MAX_BOOTSTRAP_PEERS).map(({ address, family }) => ({
      multiaddrs: [
        multiaddr(`/${family === 6 ? 'ip6' : 'ip4'}/${address}/tcp/${String(this.#port)}`),
      ],
    }));
  }

  /** By the system's resolver, so that search domains and the hosts file count; it cannot be cut short. */
  async #resolve(signal: AbortSignal): Promise<{ address: string; family: number }[]> {
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => {
      aborted.reject(new BootstrapError(`looking up ${this.#domain} took too long`));
    };
    signal.addEventListener('abort', onAbort);
    try {
      return await Promise.race([lookup(this.#domain, { all: true }), aborted.promise]);
    } catch (error) {
      if (error instanceof BootstrapError) throw error;
      const code = codeOf(error) ?? 'unknown error';
      // The name is there, and nobody behind it yet.
      if (code === 'ENODATA') return [];
      throw new BootstrapError(`cannot look up ${this.#domain}: ${code}`, { cause: error });
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}

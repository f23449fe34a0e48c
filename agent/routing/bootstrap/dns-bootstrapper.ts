import { lookup } from 'node:dns/promises';

import { multiaddr } from '@multiformats/multiaddr';

import { codeOf } from '../../errors/system-error.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import { BootstrapError, MAX_BOOTSTRAP_PEERS } from './bootstrapper.ts';
import type { Bootstrapper, BootstrapPeer } from './bootstrapper.ts';

/** Options of {@link DnsBootstrapper}. */
export interface DnsBootstrapperInit {
  /** The name of the headless Service. */
  readonly domain: string;
  /** TCP port of the routers; the same on all nodes. */
  readonly port: number;
}

/** Finds peers by DNS: each A and AAAA record of a name is a peer whose ID is not known yet. */
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

  /** Asks the resolver of the system, which knows search domains and the hosts file. It cannot be cancelled. */
  async #resolve(signal: AbortSignal): Promise<{ address: string; family: number }[]> {
    try {
      return await raceSignal(lookup(this.#domain, { all: true }), signal);
    } catch (error) {
      if (signal.aborted) {
        throw new BootstrapError(`looking up ${this.#domain} took too long`, { cause: error });
      }
      const code = codeOf(error) ?? 'unknown error';
      // The name exists and has no address yet.
      if (code === 'ENODATA') return [];
      throw new BootstrapError(`cannot look up ${this.#domain}: ${code}`, { cause: error });
    }
  }
}

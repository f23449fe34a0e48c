/**
 * For `node --import`: all simulated nodes share the objects of peer IDs and addresses. Each would decode them anew from
 * every message, which is most of the time of a simulation, and keep objects of its own, which is most of the memory.
 */
import { registerHooks } from 'node:module';

const SHARED: Readonly<Record<string, string>> = {
  '@libp2p/peer-id': new URL('interned-peer-id.ts', import.meta.url).href,
  '@multiformats/multiaddr': new URL('interned-multiaddr.ts', import.meta.url).href,
};

registerHooks({
  resolve: (specifier, context, next) => {
    const url = SHARED[specifier];
    const { parentURL = '' } = context;
    // The two files import the packages themselves.
    const isOurs = parentURL.includes('/agent/') && !Object.values(SHARED).includes(parentURL);
    return url !== undefined && isOurs ? { url, shortCircuit: true } : next(specifier, context);
  },
});

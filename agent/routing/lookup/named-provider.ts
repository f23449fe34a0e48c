import type { Provider } from '../router.ts';

/** Stands between an identity and an address; neither of them has it. */
const AT = '@';

/**
 * A provider whose address comes from another peer. It gets a name of its own, `PEER-ID@10.0.0.7:5000`, so that what comes
 * from there is held against this claim alone: one that names a wrong address for an honest node must not have it blocked.
 */
export function namedByOthers({ peerId, origins }: Provider): Provider {
  return { peerId: `${peerId}${AT}${new URL(origins[0] ?? 'http://nowhere').host}`, origins };
}

/** The peer ID in the name of a provider, with and without an address. */
export function peerIdOf(name: string): string {
  const at = name.indexOf(AT);
  return at < 0 ? name : name.slice(0, at);
}

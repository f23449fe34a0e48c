import { randomBytes } from 'node:crypto';

import { multiaddr } from '@multiformats/multiaddr';

import {
  encodeAnswer,
  encodePeer,
  type DhtMessage,
} from '../../../agent/routing/dht/dht-messages.ts';
import { closest, K } from '../../../agent/routing/dht/kademlia.ts';
import { targetOf } from '../../../agent/routing/dht/key.ts';

/** What a false member answers FIND_NODE and GET_PROVIDERS with. */
export const FALSEHOODS = ['dead', 'self', 'nothing', 'silence'] as const;
export type Falsehood = (typeof FALSEHOODS)[number];

/** So many invented peers that 20 of them are closer to any key than all peers that exist. */
const INVENTED = 4000;
/** No host has these addresses: packets to them are lost. */
const DEAD_ADDRESSES = Array.from(
  { length: 20 },
  (_, index) => multiaddr(`/ip4/10.214.0.${200 + index}/tcp/5001`).bytes,
);

const invented = Array.from({ length: INVENTED }, (_, index) => {
  const id = Buffer.concat([Uint8Array.of(0x12, 0x20), randomBytes(32)]);
  const address = DEAD_ADDRESSES[index % DEAD_ADDRESSES.length];
  const wire = encodePeer({ id, multiaddrs: address === undefined ? [] : [address] });
  return { prefix: targetOf(id), wire };
});

/**
 * @param self the encoding of the member itself
 * @returns undefined when it does not answer
 */
export function falseAnswer(
  { type, key }: DhtMessage,
  kind: Falsehood,
  self: Uint8Array,
): Uint8Array | undefined {
  switch (kind) {
    case 'dead': {
      const peers = closest(targetOf(key), invented, K).map(({ wire }) => wire);
      return encodeAnswer({ type, key, closer: peers, providers: peers });
    }
    case 'self':
      return encodeAnswer({ type, key, closer: [self], providers: [self] });
    case 'nothing':
      return encodeAnswer({ type, key, closer: [], providers: [] });
    case 'silence':
      return undefined;
  }
}

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
export const FALSEHOODS = ['dead', 'self', 'nothing', 'silence', 'forbidden'] as const;
/** The last one: the peers that it knows at the order provide everything, at the address of the member itself. */
export type Falsehood = (typeof FALSEHOODS)[number] | 'misplaced';

/** So many invented peers that 20 of them are closer to any key than all peers that exist. */
const INVENTED = 4000;
/** No host has these addresses: packets to them are lost. */
const DEAD_ADDRESSES = Array.from(
  { length: 20 },
  (_, index) => multiaddr(`/ip4/10.214.0.${200 + index}/tcp/5001`).bytes,
);

/**
 * Where something else than a node is: the ports of the host itself, link-local, multicast, metadata of clouds, and IPv4
 * addresses inside of IPv6 ones.
 */
export const FORBIDDEN_IPS: readonly string[] = [
  '127.0.0.1',
  '::1',
  '169.254.169.254',
  '169.254.170.2',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '224.0.0.1',
  'fd00:ec2::254',
  'fd20:ce::254',
  '64:ff9b::a9fe:a9fe',
  '2002:a9fe:a9fe::1',
];

/** Ports that it names at each of these. */
export const FORBIDDEN_PORTS = { router: 5001, other: 8099 } as const;

const FORBIDDEN_ADDRESSES = FORBIDDEN_IPS.flatMap((ip) => {
  const base = `/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/tcp`;
  const { router, other } = FORBIDDEN_PORTS;
  return [`${base}/${router}`, `${base}/${other}`, `${base}/${other}/http`];
}).map((text) => multiaddr(text).bytes);

const invented = invent(DEAD_ADDRESSES);
const forbidden = invent(FORBIDDEN_ADDRESSES);

function invent(addresses: readonly Uint8Array[]): readonly Invented[] {
  return Array.from({ length: INVENTED }, (_, index) => {
    const id = Buffer.concat([Uint8Array.of(0x12, 0x20), randomBytes(32)]);
    const address = addresses[index % addresses.length];
    const wire = encodePeer({ id, multiaddrs: address === undefined ? [] : [address] });
    return { prefix: targetOf(id), wire };
  });
}

interface Invented {
  readonly prefix: number;
  readonly wire: Uint8Array;
}

/**
 * @param self the encoding of the member itself
 * @param misplaced those of others, with its own address
 * @returns undefined when it does not answer
 */
export function falseAnswer(
  { type, key }: DhtMessage,
  kind: Falsehood,
  self: Uint8Array,
  misplaced: readonly Uint8Array[],
): Uint8Array | undefined {
  switch (kind) {
    case 'dead':
    case 'forbidden': {
      const all = kind === 'dead' ? invented : forbidden;
      const peers = closest(targetOf(key), all, K).map(({ wire }) => wire);
      return encodeAnswer({ type, key, closer: peers, providers: peers });
    }
    case 'self':
      return encodeAnswer({ type, key, closer: [self], providers: [self] });
    case 'misplaced':
      return encodeAnswer({ type, key, closer: [], providers: misplaced });
    case 'nothing':
      return encodeAnswer({ type, key, closer: [], providers: [] });
    case 'silence':
      return undefined;
  }
}

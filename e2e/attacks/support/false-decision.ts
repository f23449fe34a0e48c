import { randomBytes } from 'node:crypto';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import type { Decision, Member } from '../../../agent/fanout/question.ts';
import { encodeDecision } from '../../../agent/fanout/wire/messages.ts';
import { FORBIDDEN_IPS, FORBIDDEN_PORTS } from './false-answer.ts';
import type { Lie } from './false-arbiter.ts';

/** No host has these addresses: packets to them are lost. */
const DEAD_ORIGINS = [200, 201, 202, 203].map((last) => `http://10.214.0.${last}:5000`);
const FORBIDDEN_ORIGINS = FORBIDDEN_IPS.flatMap((ip) => {
  const host = ip.includes(':') ? `[${ip}]` : ip;
  return [FORBIDDEN_PORTS.other, FORBIDDEN_PORTS.router].map((port) => `http://${host}:${port}`);
});
/** Origins in one answer. */
const ORIGINS = 3;

/** Peer IDs of nobody; each answer takes the next ones. */
const INVENTED = await Promise.all(
  Array.from({ length: 200 }, async () =>
    peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString(),
  ),
);
let turn = 0;

/**
 * @param asker the peer ID of the node that asks
 * @param self where the liar is
 * @returns the bytes of the answer; undefined when it does not answer
 */
export function falseDecision(lie: Lie, asker: string, self: Member): Uint8Array | undefined {
  if (lie === 'silence') return undefined;
  if (lie === 'garbage') return randomBytes(200);
  return encodeDecision(decision(lie, asker, self));
}

function decision(lie: Exclude<Lie, 'silence' | 'garbage'>, asker: string, self: Member): Decision {
  turn += 1;
  switch (lie) {
    case 'fetch':
      return { kind: 'fetch', renewMs: 0 };
    case 'alone':
      return { kind: 'alone', forMs: Number.MAX_SAFE_INTEGER };
    case 'follow-asker':
      return follow({ peerId: asker, origins: self.origins });
    case 'follow-liar':
    case 'follow-dripping':
      return follow(self);
    case 'follow-dead':
      return follow(invented(0, DEAD_ORIGINS.slice(turn % 2)));
    case 'follow-invented':
      return follow(invented(0, self.origins));
    case 'follow-forbidden': {
      const from = (turn * ORIGINS) % FORBIDDEN_ORIGINS.length;
      return follow(invented(0, FORBIDDEN_ORIGINS.slice(from, from + ORIGINS)));
    }
    case 'held-dead':
      return {
        kind: 'held',
        holders: DEAD_ORIGINS.map((origin, at) => invented(at, [origin])),
      };
  }
}

function follow(parent: Member): Decision {
  return { kind: 'follow', renewMs: 250, parent };
}

function invented(at: number, origins: readonly string[]): Member {
  return { peerId: INVENTED[(turn * 4 + at) % INVENTED.length] ?? '', origins };
}

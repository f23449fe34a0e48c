/**
 * Program of a `FalseArbiter`, a `LyingMember`: it answers questions about downloads as it is ordered. Its registry takes
 * connections, and says nothing or drips.
 */
import { randomBytes } from 'node:crypto';

import { DOWNLOADS_PROTOCOL, type Question } from '../../../agent/fanout/question.ts';
import { encodeQuestion, MAX_MESSAGE_BYTES } from '../../../agent/fanout/wire/messages.ts';
import { parseDigest } from '../../../agent/oci/digest.ts';
import { SignedHeads } from '../../harness/signed-heads.ts';
import { memberOf } from '../../harness/swarm.ts';
import { DrippingRegistry } from './dripping-registry.ts';
import type { Lie, Order } from './false-arbiter.ts';
import { falseDecision } from './false-decision.ts';
import { LyingMember } from './lying-member.ts';

let lie: Lie = 'fetch';
let order: Order = {};

const member = await LyingMember.join({
  protocol: DOWNLOADS_PROTOCOL,
  maxBytes: MAX_MESSAGE_BYTES,
  answer: (_, asker, self) => falseDecision(lie, asker, self),
  messages: () => {
    const { questionsPerSecond = 0, claims = [] } = order;
    const count = questionsPerSecond / 10;
    return [
      ...Array.from({ length: count }, () => {
        return question(`sha256:${randomBytes(32).toString('hex')}`, 'wants');
      }),
      ...claims.map((digest) => question(digest, 'held')),
    ];
  },
});
const registry = new DrippingRegistry(
  new SignedHeads(member.router, memberOf()),
  member.registryPort,
);
await member.serve((given) => {
  order = given as Order;
  lie = order.lie ?? lie;
  registry.layout = order.drips;
});

function question(text: string, state: Question['state']): Uint8Array {
  const digest = parseDigest(text);
  if (digest === undefined) throw new Error(`${text} is no digest`);
  return encodeQuestion({
    digest,
    state,
    offset: 0,
    failed: [],
    canFetch: true,
    children: 0,
    isRoomy: true,
    zone: '',
  });
}

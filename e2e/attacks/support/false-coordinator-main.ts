/** Program of a `FalseCoordinator`, a `LyingMember`: it answers and asks questions about tags as it is ordered. */
import { createHash, randomBytes } from 'node:crypto';

import {
  decodeTagQuestion,
  encodeTagDecision,
  encodeTagQuestion,
  MAX_TAG_MESSAGE_BYTES,
} from '../../../agent/fanout/tags/tag-messages.ts';
import {
  TAG_CHECKS_PROTOCOL,
  type TagQuestion,
  type TagState,
} from '../../../agent/fanout/tags/tag-question.ts';
import type { Descriptor } from '../../../agent/oci/descriptor.ts';
import { parseDigest } from '../../../agent/oci/digest.ts';
import type { Named, Order } from './false-coordinator.ts';
import { LyingMember } from './lying-member.ts';

/** Questions of one resolve after which it is to ask, with `wait-and-ask`: two thirds of a second, as nodes ask ever less often. */
const WAITS = 21;

let order: Order = {};
let lie: Order['lie'] = 'alone';
/** Questions of each resolve. */
const waits = new Map<string, number>();
/** Number of its own resolve. */
let id = 1;

const member = await LyingMember.join({
  protocol: TAG_CHECKS_PROTOCOL,
  maxBytes: MAX_TAG_MESSAGE_BYTES,
  answer: (message, asker) => answer(decodeTagQuestion(message), asker),
  messages: () => {
    const { questionsPerSecond = 0, asksFor, reports = false, named } = order;
    const count = questionsPerSecond / 10;
    const flood = Array.from({ length: count }, () => question(randomBytes(32).toString('hex')));
    if (asksFor === undefined) return flood;
    const tag = createHash('sha256').update(asksFor).digest('hex');
    // A question anew with the same number renews the lease.
    if (!reports || named === undefined) return [...flood, question(tag)];
    const report = question(tag, 'knows', manifestOf(named));
    id += 1;
    return [...flood, report, question(tag)];
  },
});
await member.serve((given) => {
  order = given as Order;
  lie = order.lie ?? lie;
  waits.clear();
});

function answer({ tag, id: resolve }: TagQuestion, asker: string): Uint8Array | undefined {
  switch (lie) {
    case 'silence':
      return undefined;
    case 'garbage':
      return randomBytes(200);
    case 'ask':
      return encodeTagDecision({ kind: 'ask', againMs: 0 });
    case 'wait':
      return encodeTagDecision({ kind: 'wait', againMs: Number.MAX_SAFE_INTEGER });
    case 'wait-and-ask': {
      const key = `${asker} ${resolve} ${tag}`;
      const count = (waits.get(key) ?? 0) + 1;
      waits.set(key, count);
      return encodeTagDecision(count < WAITS ? { kind: 'wait', againMs: 0 } : { kind: 'alone' });
    }
    case 'tell':
      if (order.named === undefined) break;
      return encodeTagDecision({ kind: 'known', manifest: manifestOf(order.named) });
    case 'alone':
    case undefined:
      break;
  }
  return encodeTagDecision({ kind: 'alone' });
}

function question(tag: string, state: TagState = 'wants', manifest?: Descriptor): Uint8Array {
  return encodeTagQuestion({ tag, state, id, canAsk: true, ...(manifest && { manifest }) });
}

function manifestOf({ digest: text, mediaType, size }: Named): Descriptor {
  const digest = parseDigest(text);
  if (digest === undefined) throw new Error(`${text} is no digest`);
  return { digest, mediaType, size };
}

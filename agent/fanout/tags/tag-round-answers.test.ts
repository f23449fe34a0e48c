import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FrameError } from '../../routing/dht/frames.ts';
import { decodeTagDecision, encodeTagQuestion } from './tag-messages.ts';
import type { TagQuestion } from './tag-question.ts';
import { TagRoundAnswers } from './tag-round-answers.ts';
import { TagRounds } from './tag-rounds.ts';

const WANTS: TagQuestion = { tag: '0f'.repeat(32), state: 'wants', id: 7, canAsk: true };

describe('TagRoundAnswers', () => {
  it('answers a question for the peer that the connection has proved', () => {
    const answers = new TagRoundAnswers(new TagRounds());
    const ask = (peerId: string): string =>
      decodeTagDecision(answers.answer(peerId, encodeTagQuestion(WANTS))).kind;
    assert.deepEqual([ask('a'), ask('b'), ask('a')], ['ask', 'wait', 'ask']);
  });

  it('refuses what is no question', () => {
    const answers = new TagRoundAnswers(new TagRounds());
    assert.throws(() => answers.answer('a', Buffer.from('hello')), FrameError);
  });
});

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, describe, it } from 'node:test';

import { makeImage } from '../../testing/image.ts';
import { providerOf } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { PeerClient } from '../client/peer-client.ts';
import { WRONG_HEADER } from '../client/peer-report.ts';
import { ParentQuestions } from './parent-questions.ts';

const image = makeImage(100);
const [digest = image.manifest.digest] = image.layers;

/** An answer without a body. */
const says = (status: number, fields: Record<string, string | number>) => (socket: Socket) => {
  socket.write(responseHead(status, { 'content-length': 0, ...fields }));
};

describe('ParentQuestions', () => {
  const client = new PeerClient({ userAgent: 'peerglass/test' });
  after(() => client.close());
  const never = new AbortController().signal;
  const questions = new ParentQuestions(
    { kind: 'blob', method: 'GET', registry: '', repository: 'team/app', digest },
    { client, logger: quiet },
  );

  const parents: Record<
    string,
    { isThere: boolean; sentWrong: boolean; answer: (socket: Socket) => unknown }
  > = {
    'receives or has it': {
      isThere: true,
      sentWrong: false,
      answer: says(200, { 'content-length': 100 }),
    },
    'is busy': { isThere: true, sentWrong: false, answer: says(503, { 'retry-after': 1 }) },
    'lacks it': { isThere: false, sentWrong: false, answer: says(404, {}) },
    'sent wrong bytes': {
      isThere: false,
      sentWrong: true,
      answer: says(404, { [WRONG_HEADER]: '1' }),
    },
    'does not answer': { isThere: false, sentWrong: false, answer: () => undefined },
  };
  for (const [name, { isThere, sentWrong, answer }] of Object.entries(parents)) {
    it(`know of a parent that ${name}`, async () => {
      await using rogue = await startRogue(answer);
      const parent = providerOf('parent', rogue);
      assert.equal(await questions.isThere(parent, never), isThere);
      assert.equal(await questions.sentWrong(parent, never), sentWrong);
      assert.match(rogue.requests[0] ?? '', /^HEAD /);
    });
  }

  it('take a parent that cannot be reached for one that is not there', async () => {
    const gone = { peerId: 'gone', origins: ['http://127.0.0.1:1'] };
    assert.equal(await questions.isThere(gone, never), false);
  });

  it('end with their request', async () => {
    await using silent = await startRogue(() => undefined);
    assert.equal(await questions.isThere(providerOf('silent', silent), AbortSignal.abort()), false);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DIGEST, FETCH, follow, PEER, requestFor } from '../../testing/downloads-fixture.ts';
import { ScriptedArbiters, ScriptedFollowers } from '../../testing/scripted-arbiters.ts';
import type { Decision } from '../question.ts';
import { Asking } from './asking.ts';
import { FailedPeers } from './failed-peers.ts';
import { ImageLeads } from './image-leads.ts';

const { signal } = new AbortController();
const UNANSWERED: Decision = { kind: 'alone', forMs: 0 };
const request = { ...requestFor(DIGEST), digest: DIGEST };
const manifest = { ...request, kind: 'manifest' } as const;
/** What a client has begun to receive. */
const current = { progress: { state: 'arriving', offset: 0, total: 1_000 } } as const;

function make(mayFetch = true) {
  const arbiters = new ScriptedArbiters();
  const leads = new ImageLeads();
  const failed = new FailedPeers();
  const followers = new ScriptedFollowers();
  const parts = { arbiters, followers, failed, leads, mayFetch: () => mayFetch };
  const asking = new Asking(parts, 'a');
  const offered = () => arbiters.questions.map(({ canFetch }) => canFetch);
  return { asking, arbiters, leads, failed, offered };
}

describe('Asking', () => {
  it('offers to fetch what the client receives, and nothing that the store does not know', async () => {
    const { asking, offered, arbiters } = make();
    assert.deepEqual(await asking.ask(request, { current, aim: 'fetch' }, signal), FETCH);
    await asking.ask(request, { current: undefined, aim: 'fetch' }, signal);
    assert.deepEqual(offered(), [true, false]);
    const { size, zone, digest } = arbiters.questions[0] ?? {};
    assert.deepEqual({ size, zone, digest }, { size: 1_000, zone: 'a', digest: DIGEST });
  });

  it('only asks whom to follow where that is wanted, once, whatever the answer', async () => {
    const { asking, arbiters, offered } = make();
    arbiters.decision = { kind: 'alone', forMs: 5_000 };
    const decision = await asking.ask(request, { current, aim: 'follow' }, signal);
    assert.deepEqual(decision, arbiters.decision);
    assert.deepEqual(offered(), [false]);
  });

  it('asks at once who takes it from its holder, also of an image that another node leads, and where the registry refuses', async () => {
    const { asking, arbiters, leads, offered } = make(false);
    leads.isLed(manifest);
    arbiters.decision = { kind: 'alone', forMs: 5_000 };
    const decision = await asking.ask(request, { current, aim: 'take' }, signal);
    assert.deepEqual(decision, arbiters.decision);
    assert.deepEqual(offered(), [true]);
  });

  it('asks once more where no arbiter has answered in time, of an image that nodes have begun with', async () => {
    const { asking, arbiters, leads } = make();
    const ask = () => asking.ask(request, { current, aim: 'fetch' }, signal);
    arbiters.decision = follow(PEER);
    arbiters.first.push(UNANSWERED);
    assert.deepEqual(await ask(), UNANSWERED);
    leads.answered(manifest, FETCH);
    arbiters.first.push(UNANSWERED);
    assert.equal((await ask()).kind, 'follow');
    arbiters.first.push(UNANSWERED, UNANSWERED);
    assert.deepEqual(await ask(), UNANSWERED);
  });

  it('leaves a blob to the node that leads the image, until a peer has failed', async () => {
    const { asking, arbiters, leads, failed, offered } = make();
    leads.isLed(manifest);
    arbiters.decision = { kind: 'alone', forMs: 5_000 };
    await asking.ask(request, { current, aim: 'fetch' }, signal);
    assert.deepEqual(offered(), [false, false, false, false, true]);
    failed.add(DIGEST, PEER);
    await asking.ask(request, { current, aim: 'fetch' }, signal);
    assert.equal(offered().length, 6);
    assert.equal(offered().at(-1), true);
  });

  it('never offers what the registry does not let this node fetch', async () => {
    const { asking, arbiters, offered } = make(false);
    arbiters.first.push({ kind: 'alone', forMs: 5_000 });
    arbiters.decision = follow(PEER);
    assert.equal((await asking.ask(request, { current, aim: 'fetch' }, signal)).kind, 'follow');
    assert.deepEqual(offered(), [false, false]);
  });
});

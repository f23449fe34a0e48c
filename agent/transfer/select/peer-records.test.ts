import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { PeerBlocks } from './blocklist.ts';
import { PeerRecords } from './peer-records.ts';

const BLOCKS: PeerBlocks = { origins: [], keys: new Map(), mismatches: [0], everythingUntil: 0 };

/** Strangers that are named by DHT records, and are silent. */
function askStrangers(records: PeerRecords, count: number): void {
  for (let peer = 0; peer < count; peer++) {
    records.update(`stranger ${peer}`, ({ responsiveness }) => {
      responsiveness.silent(0);
    });
  }
}

const isKnown = (records: PeerRecords, peerId: string): boolean =>
  records.peek(peerId) !== undefined;

describe('PeerRecords', () => {
  it('keeps one record a peer', () => {
    const records = new PeerRecords();
    const first = records.update('a', ({ score }) => {
      score.refused(0);
    });
    const second = records.update('a', ({ responsiveness }) => {
      responsiveness.silent(0);
    });
    assert.equal(first, second);
    assert.equal(records.peek('a'), first);
    assert.equal(records.peek('b'), undefined);
  });

  it('forgets the peer that was updated longest ago when it knows 10,000', () => {
    const records = new PeerRecords();
    askStrangers(records, 10_000);
    askStrangers(records, 1);
    records.peek('stranger 1');
    records.update('one more', () => undefined);
    const known = ['stranger 0', 'stranger 1', 'stranger 2', 'one more'].map((it) =>
      isKnown(records, it),
    );
    assert.deepEqual(known, [true, false, true, true], 'reading a record does not keep it');
  });

  it('counts each doubtful key of a peer like a peer', () => {
    const records = new PeerRecords();
    askStrangers(records, 9_900);
    records.update('lacking', ({ responsiveness }) => {
      for (let key = 0; key < 99; key++) responsiveness.answered(`${key}`, false, 0);
    });
    assert.ok(isKnown(records, 'stranger 0'));
    records.update('lacking', ({ responsiveness }) => {
      responsiveness.answered('one more', false, 0);
    });
    assert.ok(!isKnown(records, 'stranger 0') && isKnown(records, 'stranger 1'));
  });

  it('keeps a blocked peer however many others are asked', () => {
    const records = new PeerRecords();
    records.block('liar', BLOCKS);
    askStrangers(records, 20_000);
    assert.deepEqual(records.peek('liar')?.blocks, BLOCKS);
    records.update('liar', () => undefined);
    assert.ok(isKnown(records, 'stranger 10000'), 'a blocked peer takes the entry of no other');
  });

  it('keeps the score of a peer when it is blocked, and when the block is lifted', () => {
    const records = new PeerRecords();
    const record = records.update('a', ({ score }) => {
      score.refused(0);
    });
    records.block('a', BLOCKS);
    assert.equal(records.peek('a'), record);
    assert.deepEqual([...records.blocked()], [['a', BLOCKS]]);
    records.unblock('a');
    assert.equal(records.peek('a'), record);
    assert.deepEqual([...records.blocked()], []);
    assert.equal(record.blocks, undefined);
  });

  it('forgets the block that is the oldest when it knows 1,000, and not the rest of that record', () => {
    const records = new PeerRecords();
    for (let peer = 0; peer < 1_000; peer++) records.block(`liar ${peer}`, BLOCKS);
    records.block('liar 0', BLOCKS);
    records.update('liar 1', ({ score }) => {
      score.refused(0);
    });
    records.block('one more', BLOCKS);
    const blocked = [...records.blocked()].map(([peerId]) => peerId);
    assert.equal(blocked.length, 1_000);
    assert.ok(blocked.includes('liar 0') && !blocked.includes('liar 1'));
    assert.equal(records.peek('liar 1')?.blocks, undefined);
    assert.equal(records.peek('liar 1')?.score.isBusy(0), true);
  });
});

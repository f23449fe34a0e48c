import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { ArbiterFixture, memberOf, questionOf } from '../../../testing/arbiter-fixture.ts';
import type { DownloadState, Question } from '../../question.ts';
import { FORGET_MS, MAX_FAN_OUT, MAX_HOLDERS_NAMED, MAX_LEASES } from '../bounds.ts';
import { Download } from '../download.ts';
import { Load } from '../load.ts';
import type { MemberState } from '../member-state.ts';

const STATES: readonly DownloadState[] = [
  'wants',
  'fetching',
  'following',
  'held',
  'failed',
  'wrong',
];
const PEERS = Array.from({ length: 12 }, (_, index) => `n${index}`);

const peer = fc.constantFrom(...PEERS);
/** Whatever a member may say, true or not; mostly what keeps a tree together. */
const saying = fc.record({
  from: peer,
  afterMs: fc.oneof(fc.nat(300), fc.nat(300), fc.nat(40_000)),
  state: fc.oneof(fc.constantFrom('wants', 'following'), fc.constantFrom(...STATES)),
  offset: fc.nat(100),
  size: fc.option(fc.nat(1_000_000_000), { nil: undefined }),
  parent: peer,
  failed: fc.uniqueArray(peer, { maxLength: 3 }),
  canFetch: fc.boolean(),
  children: fc.nat(10),
  isRoomy: fc.boolean(),
  zone: fc.constantFrom('', 'x', 'y'),
});

describe('an arbiter, whatever members say', () => {
  it('never has a cycle, names no parent or holder that failed, and keeps its bounds', () => {
    fc.assert(
      fc.property(
        fc.array(saying, { maxLength: 120, size: 'max' }),
        fc.nat(3),
        (sayings, maxChain) => {
          const load = new Load();
          const download = new Download(load, { maxChain: maxChain + 1 });
          let now = 0;
          for (const { from, afterMs, size, ...rest } of sayings) {
            now += afterMs;
            const question: Question = questionOf({ ...rest, ...(size !== undefined && { size }) });
            // One that is not known and has bytes followed the peer that it names first.
            const followed = question.offset > 0 ? question.failed[0] : undefined;
            const member = download.members.get(from);
            const before = new Set([member?.parent?.peerId]);
            // One that was silent for long may be forgotten, and so not be known.
            if (member === undefined || now - member.heardAt > FORGET_MS) before.add(followed);
            const answer = download.answer(memberOf(from), question, now);
            assert.equal(answer.kind === 'go-on', question.state !== 'wants');
            const named =
              answer.kind === 'follow'
                ? [answer.parent]
                : answer.kind === 'held'
                  ? answer.holders
                  : [];
            for (const { peerId } of named) {
              assert.notEqual(peerId, from);
              // It may be to keep the parent that it has.
              const isKept = answer.kind === 'follow' && before.has(peerId);
              assert.ok(isKept || !question.failed.includes(peerId));
            }
            assert.ok(named.length <= MAX_HOLDERS_NAMED);
            if (answer.kind === 'fetch')
              assert.ok(question.canFetch || download.members.get(from)?.lease);
            assert.ok(download.fetchers.size <= MAX_LEASES);
            assert.equal(load.members, download.members.size);
            for (const member of download.members.values()) checkMember(member, download);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

function checkMember(member: MemberState, download: Download): void {
  const line = new Set<MemberState>();
  for (let at: MemberState | undefined = member; at !== undefined; at = at.parent) {
    assert.ok(!line.has(at), 'a cycle');
    line.add(at);
    assert.equal(download.members.get(at.peerId), at, 'a parent that is no member');
  }
  const isAssignable = member.state !== 'held';
  if (isAssignable && member.place !== undefined) assert.ok(member.expected < MAX_FAN_OUT);
}

describe('an arbiter of honest members', () => {
  it('never lets a node follow one that follows it, while nodes come, break off and end', () => {
    const step = fc.record({
      from: peer,
      breaks: fc.boolean(),
      ends: fc.nat(20),
      afterMs: fc.nat(200),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
        const fixture = new ArbiterFixture({ maxChain: 4 });
        const parents = new Map<string, string>();
        const fetchers = new Set<string>();
        for (const { from, breaks, ends, afterMs } of steps) {
          fixture.now += afterMs;
          const parent = parents.get(from);
          const children = [...parents.values()].filter((id) => id === from).length;
          const report = {
            children,
            isRoomy: children === 0,
            offset: parent === undefined ? 0 : 50,
          };
          if (ends === 0) {
            fixture.ask(from, { ...report, state: 'failed' });
            parents.delete(from);
            fetchers.delete(from);
            // Its ingest is gone, and with it the bodies of its followers.
            for (const [id, parent] of parents) if (parent === from) parents.delete(id);
          } else if (fetchers.has(from)) fixture.fetching(from, fixture.now, report);
          else if (parent !== undefined && !breaks) fixture.following(from, parent, report);
          else {
            const answer = fixture.ask(from, {
              ...report,
              failed: parent === undefined ? [] : [parent],
            });
            parents.delete(from);
            if (answer === 'fetch') fetchers.add(from);
            if (answer.startsWith('follow ')) parents.set(from, answer.slice('follow '.length));
          }
          const line = new Set<string>();
          for (let at: string | undefined = from; at !== undefined; at = parents.get(at)) {
            assert.ok(!line.has(at), [...line].join(' '));
            line.add(at);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('has one fetcher while all renew', () => {
    const arrivals = fc.array(fc.record({ id: fc.nat(200), afterMs: fc.nat(50) }), {
      minLength: 1,
      maxLength: 300,
      size: 'max',
    });
    fc.assert(
      fc.property(arrivals, (nodes) => {
        const fixture = new ArbiterFixture();
        const begun = fixture.now;
        const due = new Map<string, { readonly at: number; readonly parent: string }>();
        const fetchers = new Set<string>();
        for (const { id, afterMs } of nodes) {
          fixture.now += afterMs;
          for (const [peerId, { at, parent }] of due) {
            if (at > fixture.now) continue;
            const children = [...due.values()].filter((other) => other.parent === peerId).length;
            const fields = { offset: fixture.now - begun, children, isRoomy: children === 0 };
            const answer = fixture.answer(peerId, {
              ...fields,
              ...(parent === '' ? { state: 'fetching' } : { state: 'following', parent }),
            });
            assert.ok(answer.kind === 'go-on');
            due.set(peerId, { at: fixture.now + answer.renewMs, parent });
          }
          const peerId = `n${id}`;
          if (due.has(peerId)) continue;
          const answer = fixture.answer(peerId);
          assert.ok(answer.kind === 'fetch' || answer.kind === 'follow');
          if (answer.kind === 'fetch') fetchers.add(peerId);
          const parent = answer.kind === 'follow' ? answer.parent.peerId : '';
          due.set(peerId, { at: fixture.now + answer.renewMs, parent });
        }
        assert.equal(fetchers.size, 1);
      }),
      { numRuns: 100 },
    );
  });
});

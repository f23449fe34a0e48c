import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseDigest } from '../../oci/digest.ts';
import { FrameError } from '../../routing/dht/frames.ts';
import { field, numberField } from '../../routing/dht/protobuf.ts';
import type { Member, Question, Decision } from '../question.ts';
import {
  decodeQuestion,
  decodeDecision,
  encodeQuestion,
  encodeDecision,
  MAX_MESSAGE_BYTES,
} from './messages.ts';

const DIGEST = parseDigest(`sha512:${'a7'.repeat(64)}`);
assert.ok(DIGEST);
const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const PLAIN: Question = {
  digest: DIGEST,
  state: 'wants',
  offset: 0,
  failed: [],
  canFetch: false,
  children: 0,
  isRoomy: false,
  zone: '',
};
const FULL: Question = {
  digest: DIGEST,
  state: 'following',
  offset: Number.MAX_SAFE_INTEGER,
  size: 0,
  parent: 'Q'.repeat(64),
  failed: Array<string>(8).fill('z'.repeat(64)),
  canFetch: true,
  children: 3,
  isRoomy: true,
  zone: 'z'.repeat(128),
};
const ORIGIN = `http://[fd00::7]:6000`;
const LONG = `https://${'a'.repeat(115)}:5000`;
const MEMBER: Member = { peerId: 'Q'.repeat(64), origins: [ORIGIN, LONG, 'http://10.0.0.7:5000'] };

const text = (number: number, value: string): Uint8Array => field(number, Buffer.from(value));
const changed = (...parts: Uint8Array[]): Uint8Array =>
  Buffer.concat([encodeQuestion(PLAIN), ...parts]);

describe('questions', () => {
  it('survive the wire, with all fields at their bounds', () => {
    for (const state of ['wants', 'fetching', 'following', 'held', 'failed', 'wrong'] as const) {
      for (const question of [PLAIN, FULL]) {
        const bytes = encodeQuestion({ ...question, state });
        assert.deepEqual(decodeQuestion(bytes), { ...question, state });
        assert.ok(bytes.length <= MAX_MESSAGE_BYTES / 2);
      }
    }
  });

  it('have unknown fields skipped, and failed peers beyond the bound left out', () => {
    const more = changed(
      numberField(77, 5),
      text(78, 'new'),
      ...Array<Uint8Array>(20).fill(text(6, PEER)),
    );
    assert.deepEqual(decodeQuestion(more), { ...PLAIN, failed: Array<string>(8).fill(PEER) });
    const sent = { ...PLAIN, failed: Array<string>(20).fill(PEER) };
    assert.equal(decodeQuestion(encodeQuestion(sent)).failed.length, 8);
  });

  it('are sent without what would have them refused', () => {
    const failed = ['', 'Q'.repeat(65), `${PEER}@10.0.0.1:5000`, PEER];
    const sent = encodeQuestion({ ...PLAIN, failed, zone: 'z'.repeat(129) });
    assert.deepEqual(decodeQuestion(sent), { ...PLAIN, failed: [PEER] });
  });

  it('are refused when a field is beyond its bounds', () => {
    const wrong: readonly Uint8Array[] = [
      new Uint8Array(0),
      Uint8Array.of(0xff),
      changed(text(1, 'sha256:12')),
      changed(text(1, `md5:${'a'.repeat(32)}`)),
      changed(numberField(2, 0)),
      changed(numberField(2, 7)),
      changed(numberField(3, 2 ** 53)),
      changed(numberField(4, 2 ** 60)),
      changed(text(5, '')),
      changed(text(5, 'Q'.repeat(65))),
      changed(text(5, 'not/base58')),
      changed(text(6, 'O0Il')),
      changed(numberField(8, 2 ** 53)),
      changed(text(10, 'z'.repeat(129))),
      changed(field(10, Uint8Array.of(0xc3, 0x28))),
    ];
    for (const bytes of wrong) assert.throws(() => decodeQuestion(bytes), FrameError);
  });
});

describe('answers', () => {
  it('survive the wire, with all fields at their bounds', () => {
    const answers: readonly Decision[] = [
      { kind: 'fetch', renewMs: 250 },
      { kind: 'go-on', renewMs: 0 },
      { kind: 'follow', renewMs: Number.MAX_SAFE_INTEGER, parent: MEMBER },
      { kind: 'held', holders: Array<Member>(4).fill(MEMBER) },
      { kind: 'held', holders: [{ peerId: PEER, origins: [] }] },
      { kind: 'alone', forMs: 0 },
      { kind: 'alone', forMs: 5000 },
    ];
    for (const answer of answers) {
      const bytes = encodeDecision(answer);
      assert.deepEqual(decodeDecision(bytes), answer);
      assert.ok(bytes.length <= MAX_MESSAGE_BYTES / 2, String(bytes.length));
    }
  });

  it('of a kind that is not known have the node do without an arbiter', () => {
    for (const kind of [0, 6, 1000]) {
      const bytes = Buffer.concat([numberField(1, kind), numberField(4, 9999), text(9, 'new')]);
      assert.deepEqual(decodeDecision(bytes), { kind: 'alone', forMs: 0 });
    }
    assert.deepEqual(decodeDecision(new Uint8Array(0)), { kind: 'alone', forMs: 0 });
  });

  it('are cut at their bounds, by both sides', () => {
    const origins = Array.from({ length: 9 }, (_, at) => `http://10.0.0.${String(at)}:5000`);
    const many = { peerId: PEER, origins };
    const sent = encodeDecision({ kind: 'held', holders: Array<Member>(9).fill(many) });
    const read = decodeDecision(sent);
    assert.ok(read.kind === 'held');
    assert.deepEqual(read.holders, Array(4).fill({ peerId: PEER, origins: origins.slice(0, 3) }));
    const member = Buffer.concat([text(1, PEER), ...origins.map((origin) => text(2, origin))]);
    const more = Buffer.concat([
      numberField(1, 3),
      ...Array<Buffer>(9).fill(Buffer.from(field(3, member))),
    ]);
    assert.deepEqual(decodeDecision(more), read);
  });

  it('have origins left out that are none', () => {
    const origins = [
      'ftp://10.0.0.7',
      'http://10.0.0.7/v2',
      'http://a:b@10.0.0.7',
      `http://${'a'.repeat(130)}`,
      'http://',
      'http://10.0.0.7 ',
      'javascript:alert(1)',
      'http://10.0.0.7\r\nHost:a',
    ];
    for (const origin of origins) {
      const member = Buffer.concat([text(1, PEER), text(2, origin)]);
      const bytes = Buffer.concat([numberField(1, 2), field(3, member)]);
      const read = decodeDecision(bytes);
      assert.ok(read.kind === 'follow');
      assert.deepEqual(read.parent, { peerId: PEER, origins: [] }, origin);
    }
  });

  it('are refused when a field is beyond its bounds', () => {
    const follow = (member: Uint8Array): Uint8Array =>
      Buffer.concat([numberField(1, 2), field(3, member)]);
    const wrong: readonly Uint8Array[] = [
      Uint8Array.of(0x08),
      numberField(1, 2),
      Buffer.concat([numberField(1, 1), numberField(2, 2 ** 53)]),
      Buffer.concat([numberField(1, 5), numberField(4, 2 ** 53)]),
      follow(new Uint8Array(0)),
      follow(text(1, 'Q'.repeat(65))),
      follow(text(1, 'with space')),
      follow(Uint8Array.of(0x0a, 0x05)),
    ];
    for (const bytes of wrong) assert.throws(() => decodeDecision(bytes), FrameError);
  });
});

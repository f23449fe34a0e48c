import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { FrameError } from '../dht/frames.ts';
import { field, numberField } from '../dht/protobuf.ts';
import { encodePeer } from '../dht/dht-messages.ts';
import {
  ANNOUNCE,
  decodeAnnounce,
  encodeAnnounce,
  MAX_MESSAGE_BYTES,
} from './announce-messages.ts';
import type { AnnounceMessage } from './announce-messages.ts';
import { MAX_ANNOUNCEMENT_BYTES } from './announcement.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** A message in a form that can be compared. */
const content = ({ envelope, strangers, ...numbers }: AnnounceMessage) => ({
  ...numbers,
  envelope: hex(envelope),
  strangers: strangers.map(({ id, multiaddrs }) => [hex(id), ...multiaddrs.map(hex)]),
});

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const stranger = fc.record({
  id: fc.uint8Array({ maxLength: 40 }),
  multiaddrs: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 16 }),
});
const message = fc.record({
  type: fc.constantFrom(...Object.values(ANNOUNCE)),
  envelope: fc.uint8Array({ maxLength: 200 }),
  half: fc.integer({ min: 0, max: 1 }),
  point: uint32,
  distance: uint32,
  taken: fc.nat(),
  strangers: fc.array(stranger, { maxLength: 20 }),
  ageMs: fc.maxSafeNat(),
  sequence: fc.maxSafeNat(),
  complete: fc.integer({ min: 0, max: 1 }),
});

describe('the codec of the announce protocol', () => {
  it('decodes what it has encoded', () => {
    fc.assert(
      fc.property(message, (sent) => {
        const bytes = encodeAnnounce({ ...sent, strangers: sent.strangers.map(encodePeer) });
        assert.deepEqual(content(decodeAnnounce(bytes)), content(sent));
      }),
    );
  });

  it('takes fields that are left out as 0 or empty, and rounds ages', () => {
    assert.deepEqual(content(decodeAnnounce(encodeAnnounce({ type: ANNOUNCE.done }))), {
      type: ANNOUNCE.done,
      envelope: '',
      half: 0,
      point: 0,
      distance: 0,
      taken: 0,
      strangers: [],
      ageMs: 0,
      sequence: 0,
      complete: 0,
    });
    assert.equal(decodeAnnounce(encodeAnnounce({ type: ANNOUNCE.held, ageMs: 1.7 })).ageMs, 2);
  });

  it('cuts the list of strangers', () => {
    const strangers = Array.from({ length: 50 }, (_, i) =>
      encodePeer({ id: Uint8Array.of(i), multiaddrs: [] }),
    );
    const read = decodeAnnounce(encodeAnnounce({ type: ANNOUNCE.done, strangers }));
    assert.deepEqual(
      read.strangers.map(({ id }) => id[0]),
      Array.from({ length: 20 }, (_, i) => i),
    );
  });

  it('has room for the longest announcement', () => {
    const envelope = new Uint8Array(MAX_ANNOUNCEMENT_BYTES);
    const encoded = encodeAnnounce({ type: ANNOUNCE.held, envelope, ageMs: 2 ** 40 });
    assert.ok(encoded.length <= MAX_MESSAGE_BYTES);
  });

  it('skips fields that it does not know', () => {
    const known = encodeAnnounce({ type: ANNOUNCE.pass, envelope: Uint8Array.of(1) });
    const more = Buffer.concat([field(11, Uint8Array.of(9)), known, numberField(12, 7)]);
    assert.deepEqual(content(decodeAnnounce(more)), content(decodeAnnounce(known)));
  });

  it('decodes any bytes or fails with a FrameError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeAnnounce(bytes);
        } catch (error) {
          assert.ok(error instanceof FrameError);
        }
      }),
    );
  });
});

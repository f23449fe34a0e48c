import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { RecordEnvelope } from '@libp2p/peer-record';
import { multiaddr } from '@multiformats/multiaddr';
import fc from 'fast-check';

import { recordKeys, signedAnnouncement } from '../../testing/announcements.ts';
import { routingKey } from '../dht/key.ts';
import {
  MAX_ANNOUNCED_KEYS,
  MAX_ANNOUNCEMENT_BYTES,
  openAnnouncement,
  sealAnnouncement,
  targetOfRecord,
} from './announcement.ts';
import type { Announcement } from './announcement.ts';

const DOMAIN = 'peerglass-announcement';
const PAYLOAD_TYPE = Uint8Array.of(0x30, 0x01);
const privateKey = await generateKeyPair('Ed25519');

const names = (count: number) => Array.from({ length: count }, (_, i) => `key ${String(i)}`);

/** What was announced, in a form that can be compared. */
const content = ({ multiaddrs, sequence, label, provided, withdrawn }: Announcement) => ({
  multiaddrs: multiaddrs.map((bytes) => Buffer.from(bytes).toString('hex')),
  sequence,
  label,
  provided,
  withdrawn,
});

/** An envelope of any kind, signed by the key. */
async function seal(domain: string, codec: Uint8Array, payload: Uint8Array): Promise<Uint8Array> {
  const record = { domain, codec, marshal: () => payload, equals: () => false };
  return (await RecordEnvelope.seal(record, privateKey)).marshal();
}

describe('an announcement', () => {
  it('is read as it was signed, with its provider', async () => {
    const recordKey = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((bytes) => Buffer.from(bytes).toString('latin1'));
    const announcement = fc.record({
      multiaddrs: fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 16 }),
      sequence: fc.maxSafeNat(),
      label: fc.maxSafeNat(),
      provided: fc.array(recordKey, { maxLength: 20 }),
      withdrawn: fc.array(recordKey, { maxLength: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(announcement, async (sent) => {
        const sealed = await sealAnnouncement(sent, privateKey);
        const read = await openAnnouncement(sealed.envelope);
        assert.deepEqual(content(read), content(sent));
        assert.ok(read.provider.equals(peerIdFromPrivateKey(privateKey)));
        assert.ok(sealed.provider.equals(read.provider));
        assert.deepEqual(Buffer.from(read.envelope), Buffer.from(sealed.envelope));
      }),
      { numRuns: 30 },
    );
  });

  it('takes as many keys as are allowed, provided and withdrawn, with long addresses', async () => {
    const keys = recordKeys(names(MAX_ANNOUNCED_KEYS));
    const address = multiaddr(
      `/ip6/fd00::7/tcp/5001/p2p/${peerIdFromPrivateKey(privateKey).toString()}`,
    );
    const sealed = await signedAnnouncement([], {
      multiaddrs: new Array<Uint8Array>(20).fill(address.bytes),
      provided: keys,
      withdrawn: keys,
    });
    const read = await openAnnouncement(sealed.envelope);
    assert.deepEqual([read.provided, read.withdrawn], [keys, keys]);
    assert.equal(read.multiaddrs.length, 16);
  });

  it('is refused when a byte of it was changed, or says the same', async () => {
    const sealed = await signedAnnouncement(['key']);
    let refused = 0;
    for (const at of sealed.envelope.keys()) {
      const changed = Uint8Array.from(sealed.envelope);
      changed[at] = (changed[at] ?? 0) ^ 1;
      try {
        const read = await openAnnouncement(changed);
        // The decoder of envelopes does not look at the wire types of their fields.
        assert.deepEqual(content(read), content(sealed), `byte ${String(at)}`);
        assert.ok(read.provider.equals(sealed.provider));
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        refused += 1;
      }
    }
    assert.ok(refused > 0.9 * sealed.envelope.length);
  });

  it('is refused with a signature that is not of Ed25519', async () => {
    for (const other of [await generateKeyPair('secp256k1'), await generateKeyPair('RSA')]) {
      const { envelope } = await signedAnnouncement(['key'], {}, other);
      await assert.rejects(openAnnouncement(envelope), /no Ed25519 signature/);
    }
  });

  it('is refused when another than the provider has signed it', async () => {
    const { envelope } = await signedAnnouncement(['key'], {}, privateKey);
    const { payload, payloadType, signature } = await RecordEnvelope.openAndCertify(
      envelope,
      DOMAIN,
    );
    const { publicKey } = await generateKeyPair('Ed25519');
    const forged = new RecordEnvelope({ publicKey, payloadType, payload, signature });
    await assert.rejects(openAnnouncement(forged.marshal()));
  });

  it('is not taken from what was signed for another purpose', async () => {
    const payload = Uint8Array.of(16, 1);
    await openAnnouncement(await seal(DOMAIN, PAYLOAD_TYPE, payload));
    const otherType = await seal(DOMAIN, Uint8Array.of(0x03, 0x01), payload);
    await assert.rejects(openAnnouncement(otherType), /no announcement/);
    const otherDomain = await seal('libp2p-peer-record', PAYLOAD_TYPE, payload);
    await assert.rejects(openAnnouncement(otherDomain));
  });

  it('is refused when it is too long, or has too many keys or parts of keys', async () => {
    const tooLong = new Uint8Array(MAX_ANNOUNCEMENT_BYTES + 1);
    await assert.rejects(openAnnouncement(tooLong), /too long/);
    const tooMany = recordKeys(names(MAX_ANNOUNCED_KEYS + 1));
    for (const wrong of [
      { provided: tooMany },
      { withdrawn: tooMany },
      { provided: ['part of a key'] },
    ]) {
      const { envelope } = await signedAnnouncement([], wrong);
      await assert.rejects(openAnnouncement(envelope), /wrong number of keys/);
    }
  });

  it('is refused when it is garbage, signed or not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        await assert.rejects(openAnnouncement(bytes));
        const signed = await seal(DOMAIN, PAYLOAD_TYPE, bytes);
        // Nothing but an Error: what it says is of no use, but it is its signer's.
        await openAnnouncement(signed).catch((error: unknown) => {
          assert.ok(error instanceof Error);
        });
      }),
      { numRuns: 50 },
    );
  });

  it('has its keys where the keys themselves are', () => {
    const { recordKey, target } = routingKey('key');
    assert.equal(targetOfRecord(recordKey), target);
  });
});

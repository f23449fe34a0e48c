import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  ContentCreate,
  ContentDelete,
} from '../../../proto/generated/containerd/events/content.ts';
import { ImageUpdate } from '../../../proto/generated/containerd/events/image.ts';
import { ABSENT } from '../../testing/conformance/content-store.ts';
import { eventFilters, readEvent } from './events.ts';

function envelope(topic: string, value: Uint8Array): Parameters<typeof readEvent>[0] {
  return { namespace: 'k8s.io', topic, event: { typeUrl: '', value: Buffer.from(value) } };
}

describe('readEvent', () => {
  it('decodes events of blobs and images by their topic', () => {
    const created = ContentCreate.encode(
      ContentCreate.create({ digest: ABSENT, size: 7 }),
    ).finish();
    assert.deepEqual(readEvent(envelope('/content/create', created)), {
      kind: 'blob-added',
      digest: ABSENT,
      size: 7,
    });
    const deleted = ContentDelete.encode({ digest: ABSENT }).finish();
    const expected = { kind: 'blob-deleted', digest: ABSENT };
    assert.deepEqual(readEvent(envelope('/content/delete', deleted)), expected);
    const updated = ImageUpdate.encode(ImageUpdate.create({ name: 'demo:1' })).finish();
    const image = { kind: 'image-set', name: 'demo:1' };
    assert.deepEqual(readEvent(envelope('/images/update', updated)), image);
  });

  it('ignores other topics and digests that are not well-formed', () => {
    assert.equal(readEvent(envelope('/tasks/start', Buffer.from('any'))), undefined);
    const created = ContentCreate.encode(
      ContentCreate.create({ digest: 'sha256:short', size: 7 }),
    ).finish();
    assert.equal(readEvent(envelope('/content/create', created)), undefined);
  });

  it('throws on a malformed payload', () => {
    assert.throws(() => readEvent(envelope('/content/create', Buffer.from([0x0a, 0xff]))));
  });
});

describe('eventFilters', () => {
  it('quotes the namespace, and selects no other one', () => {
    for (const filter of eventFilters('a"b')) assert.match(filter, /^namespace=="a\\"b",topic==/);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ChangeHub } from '../change-hub.ts';
import { ABSENT } from '../../testing/conformance/content-store.ts';
import { Announcements } from './announcements.ts';
import { KnownBlobs } from './known-blobs.ts';

describe('Announcements', () => {
  it('publishes a deletion once, also of a blob that was not known', (test) => {
    const hub = new ChangeHub({ produce: () => Promise.resolve() });
    const publish = test.mock.method(hub, 'publish');
    const announcements = new Announcements(new KnownBlobs(10), hub);
    announcements.deleted(ABSENT);
    announcements.deleted(ABSENT);
    announcements.added(ABSENT, 1);
    announcements.deleted(ABSENT);
    announcements.forget();
    announcements.deleted(ABSENT);
    const kinds = publish.mock.calls.map((call) => call.arguments[0].kind);
    assert.deepEqual(kinds, ['blob-deleted', 'blob-added', 'blob-deleted', 'blob-deleted']);
  });

  it('publishes a new blob once, until it is deleted or everything is listed again', (test) => {
    const hub = new ChangeHub({ produce: () => Promise.resolve() });
    const publish = test.mock.method(hub, 'publish');
    const announcements = new Announcements(new KnownBlobs(10), hub);
    announcements.added(ABSENT, 1);
    announcements.added(ABSENT, 1);
    assert.equal(announcements.has(ABSENT), true);
    announcements.forget();
    assert.equal(announcements.has(ABSENT), false);
    announcements.added(ABSENT, 1);
    assert.equal(publish.mock.callCount(), 2);
  });
});

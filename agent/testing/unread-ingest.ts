import type { Ingest } from '../store/ingests.ts';

function unread(): never {
  throw new Error('this test does not read the ingest');
}

/** The part of an ingest that reads its bytes, for tests that only follow its state. Calls fail. */
export const unreadIngest: Pick<Ingest, 'total' | 'progress' | 'waitForMore' | 'read'> = {
  total: undefined,
  progress: unread,
  waitForMore: unread,
  read: unread,
};

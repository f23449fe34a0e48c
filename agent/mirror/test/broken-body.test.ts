import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { truncate } from 'node:fs/promises';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { pino } from 'pino';

import { BlobFile } from '../../store/blob-file.ts';
import { startDiskMirror } from '../../testing/disk-mirror.ts';
import { eventually } from '../../testing/eventually.ts';

const MIB = 1024 * 1024;

describe('a blob that cannot be read to its end', { timeout: 300_000 }, () => {
  for (const mode of ['auto', 'stream'] as const) {
    it(`is logged although the client leaves before the file is closed: ${mode}`, async (t) => {
      const left = Promise.withResolvers<undefined>();
      const close = Object.getOwnPropertyDescriptor(BlobFile.prototype, Symbol.asyncDispose);
      assert.ok(close !== undefined);
      t.after(() => Object.defineProperty(BlobFile.prototype, Symbol.asyncDispose, close));
      Object.defineProperty(BlobFile.prototype, Symbol.asyncDispose, {
        ...close,
        async value(this: BlobFile): Promise<void> {
          await left.promise;
          await (close.value as (this: BlobFile) => Promise<void>).call(this);
        },
      });
      const lines: string[] = [];
      const logger = pino({ level: 'warn' }, { write: (line) => lines.push(line) });
      await using mirror = await startDiskMirror(mode, logger);
      const digest = await mirror.put(randomBytes(48 * MIB));
      const socket = connect(mirror.port, '127.0.0.1');
      socket.write(`GET /v2/team/app/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await once(socket, 'readable');
      await truncate(mirror.path(digest), 40 * MIB);
      await buffer(socket);
      socket.destroy();
      // By then the mirror knows that the client has left.
      await sleep(200);
      left.resolve(undefined);
      await eventually(() => {
        assert.match(lines.join(''), /body broke/);
      });
    });
  }
});

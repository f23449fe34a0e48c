import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import koffi from 'koffi';
import { Agent, request } from 'undici';

import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNodeInit,
} from '../../testing/mirror-node.ts';
import { fixedSource } from '../../testing/test-tls.ts';

// From the headers of Linux; the same on x64 and arm64.
const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

const image = makeImage(100, 5_000_000);

describe('a connection that has carried content', { skip: process.platform !== 'linux' }, () => {
  let authority: Authority | undefined;
  before(async () => {
    if (noOpenssl === false) authority = await Authority.create();
  });
  after(async () => {
    await authority?.[Symbol.asyncDispose]();
  });

  /** For every TCP connection of this process, whether Nagle's algorithm delays what it sends. */
  function delays(): boolean[] {
    const libc = koffi.load('libc.so.6');
    const getsockopt = libc.func('int getsockopt(int, int, int, _Out_ int *, _Inout_ uint32_t *)');
    const option = (fd: number, level: number, name: number): number | undefined => {
      const value = [0];
      return getsockopt(fd, level, name, value, [4]) === 0 ? value[0] : undefined;
    };
    return readdirSync('/proc/self/fd')
      .map(Number)
      .filter((fd) => option(fd, SOL_SOCKET, SO_ACCEPTCONN) === 0)
      .map((fd) => option(fd, IPPROTO_TCP, TCP_NODELAY))
      .filter((value) => value !== undefined)
      .map((value) => value === 0);
  }

  async function assertNoDelay(init: MirrorNodeInit, connections: number): Promise<void> {
    await using holder = await startMirror(init);
    putImage(holder.store, image);
    await using node = await startMirror({
      ...init,
      router: new FixedRouter(providerOf('holder', holder)),
    });
    for (const allowH2 of init.tls === undefined ? [false] : [false, true]) {
      const client = new Agent({ allowH2, connect: { rejectUnauthorized: false } });
      for (const digest of image.blobs.keys()) {
        const kind = digest === image.manifest.digest ? 'manifests' : 'blobs';
        const url = `${node.origin}/v2/team/app/${kind}/${digest}`;
        const { statusCode, body } = await request(url, { dispatcher: client });
        assert.equal(statusCode, 200);
        await body.dump();
      }
      const found = delays();
      assert.ok(found.length >= connections, `${found.length} ends of connections`);
      assert.ok(!found.includes(true), 'one delays what it sends');
      await client.destroy();
    }
  }

  it('sends without delay', async () => {
    await assertNoDelay({ host: '::1' }, 4);
  });

  it('sends without delay over TLS', { skip: noOpenssl }, async () => {
    assert.ok(authority);
    const source = fixedSource(await authority.material('node'));
    const tls = { source, clientAuth: 'none' } as const;
    await assertNoDelay({ host: '::1', tls, peerTls: { source, serverName: '' } }, 6);
  });
});

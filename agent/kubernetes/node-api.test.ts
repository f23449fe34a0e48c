import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Authority, noOpenssl } from '../testing/certificates.ts';
import { NodeApiServer } from '../testing/node-api-server.ts';
import { NodeApi } from './node-api.ts';
import { removalOf } from './taints.ts';

const OURS = { key: 'example.com/not-ready', effect: 'NoSchedule' };

describe('NodeApi', { skip: noOpenssl }, () => {
  const { signal } = new AbortController();
  let authority: Authority;
  let account: string;
  let api: NodeApiServer;
  const nodeApi = (node = 'node-1', port = api.port): NodeApi =>
    new NodeApi({ host: '127.0.0.1', port, account, node });

  before(async () => {
    authority = await Authority.create();
    await authority.issue('api');
    account = await mkdtemp(join(tmpdir(), 'peerglass-account-'));
    await writeFile(join(account, 'token'), 'secret\n');
    await writeFile(join(account, 'ca.crt'), await authority.read('ca.crt'));
    const tls = { cert: await authority.read('api.crt'), key: await authority.read('api.key') };
    api = await NodeApiServer.start(tls, 'node-1', [OURS]);
    api.rights.set('secret', ['get', 'patch']);
    api.rights.set('reader', ['get']);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
    await rm(account, { recursive: true });
    await authority[Symbol.asyncDispose]();
  });

  it('reads the taints of the node, and removes one by a patch', async () => {
    const taints = await nodeApi().taints(signal);
    assert.deepEqual(taints, [OURS]);
    assert.deepEqual(await nodeApi().patch(removalOf(OURS.key, taints), signal), []);
    assert.deepEqual(await nodeApi().taints(signal), [], 'a node without taints has no list');
  });

  it('reads the token before every request, since the kubelet renews it', async () => {
    await writeFile(join(account, 'token'), 'reader\n');
    await nodeApi().taints(signal);
    assert.equal(api.seen.at(-1)?.token, 'reader');
    const patching = nodeApi().patch(removalOf(OURS.key, [OURS]), signal);
    await assert.rejects(patching, {
      status: 403,
      message: /may not patch node node-1; .*ClusterRole/,
    });
    await writeFile(join(account, 'token'), 'secret\n');
  });

  it('marks a patch of an object that was changed meanwhile as a conflict', async () => {
    const patching = nodeApi().patch(removalOf(OURS.key, [OURS]), signal);
    await assert.rejects(patching, { status: 422, isConflict: true });
    api.refusals.push(409);
    await assert.rejects(nodeApi().patch([], signal), { status: 409, isConflict: true });
  });

  it('gives the reason and what to do for a missing node, server and account', async () => {
    await assert.rejects(nodeApi('node-2').taints(signal), {
      status: 404,
      isConflict: false,
      message: /no node node-2; --node-name .*"x" not found/,
    });
    await assert.rejects(nodeApi('node-1', 1).taints(signal), {
      status: 0,
      message: /no answer of the API server at 127\.0\.0\.1:1 .*egress/,
    });
    const missing = new NodeApi({ host: '127.0.0.1', port: 1, account: '/nowhere', node: 'x' });
    await assert.rejects(missing.taints(signal), {
      message: /^\/nowhere\/token cannot be read \(ENOENT\)/,
    });
  });
});

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { Credentials } from '../basic-auth/credentials.ts';
import { instrument, type LabelledHandler } from '../http/instrument.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { Callers } from '../mirror/callers.ts';
import { OciError } from '../oci/errors.ts';
import { listen } from '../testing/listen.ts';
import { quiet } from '../testing/quiet.ts';
import { clusterKeys, makeSigningNode, type SigningNode } from '../testing/signing-nodes.ts';
import { guardWith, loadCredentials } from './basic-auth.ts';

const answer: LabelledHandler = (_, res) => {
  res.end();
  return Promise.resolve('v2');
};
const TARGET = '/v2/team/app/blobs/sha256:abc';
const REQUEST = { method: 'GET', target: TARGET, range: undefined };
const credentials = new Credentials('mirror', 'secret');

/** As the mirror, which serves only whose signature it accepts. */
function identifying(callers: Callers): LabelledHandler {
  return (req, res) => {
    try {
      callers.identify(req, res, (detail) => new OciError('BLOB_UNKNOWN', detail));
      res.writeHead(200).end();
    } catch (error) {
      assert.ok(error instanceof OciError);
      res.writeHead(error.status).end();
    }
    return Promise.resolve('mirror');
  };
}

describe('loadCredentials', () => {
  it('has none without --basic-auth-dir, and fails for a folder that cannot be used', async () => {
    assert.equal(await loadCredentials({ 'basic-auth-dir': '' }, quiet), undefined);
    await assert.rejects(loadCredentials({ 'basic-auth-dir': '/nowhere' }, quiet), {
      code: 'ERR_BASIC_AUTH',
    });
  });
});

describe('guardWith', () => {
  const admit = credentials.admit.bind(credentials);
  const stage = { peers: answer, node: answer };
  const authorization = credentials.authorization.reveal();
  const marked = { 'x-spegel-mirrored': 'true' };

  async function statusOf(
    t: TestContext,
    handler: LabelledHandler,
    headers: Readonly<Record<string, string>>,
  ): Promise<number> {
    const origin = await listen(t, instrument(createMetrics(), 'registry', handler));
    const response = await fetch(origin + TARGET, { headers: { ...headers, connection: 'close' } });
    await response.text();
    return response.status;
  }

  for (const isOpen of [false, true]) {
    it(`admits agents at the port for peers only, ${isOpen ? 'marked or signed' : 'by their signature'}`, async (t) => {
      const own = await makeSigningNode(clusterKeys());
      const member = await makeSigningNode(own.swarmKeys);
      const late = await makeSigningNode(own.swarmKeys);
      late.ahead = 3_600;
      const stranger = await makeSigningNode(clusterKeys());
      const callers = new Callers({ verifier: own.verifier }, { servesAnyone: isOpen });
      const { peers, node } = guardWith({ admit }, stage, callers);
      const sign = ({ signer }: SigningNode) => ({ ...signer.sign(own.peerId, REQUEST)?.fields });
      for (const [handler, headers, status] of [
        [peers, {}, 401],
        [peers, { 'signature-input': 'x' }, 401],
        [peers, sign(stranger), 401],
        [peers, sign(member), 200],
        // Of another time: what asks is an agent, and the mirror answers it with the right time.
        [peers, sign(late), 200],
        [peers, marked, isOpen ? 200 : 401],
        [peers, { authorization }, 200],
        [node, {}, 401],
        [node, marked, 401],
        [node, sign(member), 401],
        [node, { authorization }, 200],
      ] as const) {
        assert.equal(await statusOf(t, handler, headers), status, JSON.stringify(headers));
      }
    });
  }

  it('leaves a signature for the mirror to verify, which accepts it once', async (t) => {
    const own = await makeSigningNode(clusterKeys());
    const member = await makeSigningNode(own.swarmKeys);
    const refused: string[] = [];
    const callers = new Callers(
      { verifier: own.verifier, onRefused: (reason) => refused.push(reason) },
      { servesAnyone: false },
    );
    const { peers } = guardWith({ admit }, { ...stage, peers: identifying(callers) }, callers);
    const { fields = {} } = member.signer.sign(own.peerId, REQUEST) ?? {};
    assert.equal(await statusOf(t, peers, fields), 200);
    assert.deepEqual(refused, []);
  });

  it('counts a wrong signature that it refuses', async (t) => {
    const own = await makeSigningNode(clusterKeys());
    const stranger = await makeSigningNode(clusterKeys());
    const refused: string[] = [];
    const callers = new Callers(
      { verifier: own.verifier, onRefused: (reason) => refused.push(reason) },
      { servesAnyone: false },
    );
    const { peers } = guardWith({ admit }, { ...stage, peers: identifying(callers) }, callers);
    const { fields = {} } = stranger.signer.sign(own.peerId, REQUEST) ?? {};
    assert.equal(await statusOf(t, peers, fields), 401);
    assert.deepEqual(refused, ['signature']);
    // Once also where credentials let it through, and the mirror refuses it.
    const { fields: others = {} } = stranger.signer.sign(own.peerId, REQUEST) ?? {};
    assert.equal(await statusOf(t, peers, { ...others, authorization }), 401);
    assert.deepEqual(refused, ['signature', 'signature']);
  });

  it('changes nothing without credentials', () => {
    assert.deepEqual(guardWith(undefined, stage, new Callers()), stage);
  });
});

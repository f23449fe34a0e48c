import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { silent } from '../testing/test-network.ts';
import { StaticBootstrapper } from './bootstrap/static-bootstrapper.ts';
import { createRouterParts } from './create-router-parts.ts';
import { LookupKeys } from './dht/lookup-keys.ts';
import { ProviderRecords } from './dht/provider-records.ts';
import { NegativeCache } from './lookup/negative-cache.ts';
import { startStages, stopStages } from './stages.ts';

async function createParts() {
  const privateKey = await generateKeyPair('Ed25519');
  const ownPeerId = peerIdFromPrivateKey(privateKey).toString();
  const records = new ProviderRecords({ ownPeerId });
  const components = {
    privateKey,
    bootstrapper: new StaticBootstrapper([]),
    logger: silent,
    records,
    negativeCache: new NegativeCache(),
    lookupKeys: new LookupKeys(),
  };
  const listen = ['/ip4/127.0.0.1/tcp/0'];
  return { records, parts: await createRouterParts(components, { listen, registryPort: 5000 }) };
}

describe('createRouterParts', () => {
  it('makes parts that do nothing before their start', async () => {
    const { parts } = await createParts();
    assert.equal(parts.node.status, 'stopped');
    assert.deepEqual(parts.node.services.listening.addresses(), []);
    assert.deepEqual(parts.addresses.current(), []);
  });

  it('makes parts that withdraw the records and end the node when they stop', async () => {
    const { parts, records } = await createParts();
    await startStages(parts);
    assert.equal(parts.node.status, 'started');
    assert.equal(parts.addresses.current().length, 1);
    await parts.reprovider.advertise(['key']);
    assert.equal(records.size, 1);
    await stopStages(parts);
    assert.equal(records.size, 0);
    assert.equal(parts.node.status, 'stopped');
  });
});

describe('startStages and stopStages', () => {
  it('start one after another, and stop in reverse', async () => {
    const log: string[] = [];
    const stage = (name: string) => ({
      start: async () => {
        await Promise.resolve();
        log.push(`start ${name}`);
      },
      stop: async () => {
        await Promise.resolve();
        log.push(`stop ${name}`);
      },
    });
    const { parts } = await createParts();
    const stages = [stage('a'), {}, stage('b')];
    await startStages({ ...parts, stages });
    await stopStages({ ...parts, stages });
    assert.deepEqual(log, ['start a', 'start b', 'stop b', 'stop a']);
  });

  it('leave nothing running when a stage fails to start, or to stop', async () => {
    const { parts } = await createParts();
    const failing = () => Promise.reject(new Error('fails'));
    const failsToStart = [...parts.stages, { start: failing }];
    await assert.rejects(startStages({ stages: failsToStart }), /fails/);
    assert.equal(parts.node.status, 'stopped');

    const { parts: other } = await createParts();
    const failsToStop = [...other.stages, { stop: failing }];
    await startStages({ stages: failsToStop });
    assert.equal(other.node.status, 'started');
    await assert.rejects(stopStages({ stages: failsToStop }), /fails/);
    assert.equal(other.node.status, 'stopped');
  });
});

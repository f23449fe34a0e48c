import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { quietLogger } from './quiet-logger.ts';

describe('quietLogger', () => {
  it('is one logger for all components and scopes, which is off', () => {
    const logger = quietLogger.forComponent('libp2p:tcp');
    assert.equal(logger.enabled, false);
    assert.equal(quietLogger.forComponent('libp2p:dialer'), logger);
    assert.equal(logger.newScope('stream'), logger);
  });

  it('writes nothing', (t) => {
    const written = t.mock.method(process.stderr, 'write', () => true);
    const logger = quietLogger.forComponent('libp2p');
    logger('text %s', 'argument');
    logger.error('text');
    logger.trace('text');
    assert.equal(written.mock.callCount(), 0);
  });
});

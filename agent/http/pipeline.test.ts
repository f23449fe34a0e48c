import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';

import { Pipeline } from './pipeline.ts';
import { MAX_PIPELINED } from './request-head.ts';

/** Requests of one connection, whose responses close when the test decides. */
class Connection {
  readonly socket = new PassThrough();
  readonly responses: EventEmitter[] = [];
  readonly #pipeline: Pipeline;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  request(): Promise<boolean> {
    const res = new EventEmitter();
    this.responses.push(res);
    const req = { socket: this.socket } as unknown as IncomingMessage;
    return this.#pipeline.turn(req, res as unknown as ServerResponse);
  }
}

describe('Pipeline', () => {
  it('gives a request its turn when the earlier ones of its connection are answered', async () => {
    const pipeline = new Pipeline();
    const connection = new Connection(pipeline);
    const turns: string[] = [];
    const note = (name: string) => (): void => void turns.push(name);
    const first = connection.request().then(note('first'));
    const second = connection.request().then(note('second'));
    await first;
    await new Connection(pipeline).request().then(note('other connection'));
    assert.deepEqual(turns, ['first', 'other connection']);
    connection.responses[0]?.emit('close');
    await second;
    assert.deepEqual(turns, ['first', 'other connection', 'second']);
  });

  it('gives no turn when an earlier answer has closed the connection', async () => {
    const connection = new Connection(new Pipeline());
    await connection.request();
    const second = connection.request();
    connection.socket.end();
    connection.responses[0]?.emit('close');
    assert.equal(await second, false);
  });

  it('closes a connection over which too many requests wait', async () => {
    const connection = new Connection(new Pipeline());
    for (let count = 0; count <= MAX_PIPELINED; count += 1) void connection.request();
    assert.equal(connection.socket.destroyed, false);
    assert.equal(await connection.request(), false);
    assert.equal(connection.socket.destroyed, true);
  });

  it('knows whether further requests of a connection wait', async () => {
    const pipeline = new Pipeline();
    const connection = new Connection(pipeline);
    assert.equal(pipeline.hasSeveral(connection.socket), false);
    await connection.request();
    assert.equal(pipeline.hasSeveral(connection.socket), false);
    const second = connection.request();
    assert.equal(pipeline.hasSeveral(connection.socket), true);
    connection.responses[0]?.emit('close');
    await second;
    assert.equal(pipeline.hasSeveral(connection.socket), false);
  });

  it('knows the last answer that is due on a connection', async () => {
    const pipeline = new Pipeline();
    const connection = new Connection(pipeline);
    assert.equal(pipeline.lastAnswer(connection.socket), undefined);
    await connection.request();
    const last = pipeline.lastAnswer(connection.socket);
    assert.ok(last !== undefined);
    connection.responses[0]?.emit('close');
    await last;
    assert.equal(pipeline.lastAnswer(connection.socket), undefined);
  });
});

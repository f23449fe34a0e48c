import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';

import { KNOWN_SOCKETS } from '../../store/containerd/sockets.ts';
import { certsFolderOf, findSocket } from './distributions.ts';

describe('findSocket', () => {
  it('returns the first known socket that exists, or the default of containerd', () => {
    const expected = KNOWN_SOCKETS.find((socket) => existsSync(socket)) ?? KNOWN_SOCKETS[0];
    assert.equal(findSocket(), expected);
    assert.equal(new Set(KNOWN_SOCKETS).size, KNOWN_SOCKETS.length);
  });
});

describe('certsFolderOf', () => {
  it('returns the folder of the distribution with the socket', () => {
    assert.equal(certsFolderOf('/run/containerd/containerd.sock'), '/etc/containerd/certs.d');
    assert.equal(certsFolderOf('/run/k0s/containerd.sock'), '/etc/k0s/certs.d');
    assert.match(
      certsFolderOf('/run/k3s/containerd/containerd.sock'),
      /^\/var\/lib\/rancher\/k3s\//,
    );
  });

  it('returns the folder of containerd for an unknown socket', () => {
    assert.equal(certsFolderOf('/elsewhere/containerd.sock'), '/etc/containerd/certs.d');
  });
});

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { configFile } from './effective-config.ts';

for (const [command, file] of [
  [['/usr/bin/containerd'], '/etc/containerd/config.toml'],
  [['containerd', '--config', '/x.toml', '--root', '/r'], '/x.toml'],
  [['containerd', '-c', '/k3s.toml', '-a', '/c.sock'], '/k3s.toml'],
  [['containerd', '--config=/y.toml'], '/y.toml'],
] as const) {
  it(`${command.join(' ')} reads ${file}`, () => {
    assert.equal(configFile(command), file);
  });
}

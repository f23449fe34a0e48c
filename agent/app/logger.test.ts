import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';

import { PROGRAMS, runProgram, spawnProgram } from '../testing/agent-program.ts';

/** Starts an agent without containerd, and gives what it logs of the error. */
async function loggedError(level: string): Promise<Record<string, unknown>> {
  const child = spawnProgram(PROGRAMS.sources, [
    'registry',
    ...['--containerd-sock', '/nonexistent/containerd.sock', '--log-level', level],
    ...['--registry-addr', '127.0.0.1:0', '--router-addr', '127.0.0.1:0'],
    ...['--metrics-addr', '127.0.0.1:0', '--registries-yaml', 'off'],
  ]);
  const ended = once(child, 'exit');
  try {
    let text = '';
    for await (const chunk of child.stderr) {
      text += String(chunk);
      const line = text
        .split('\n')
        .slice(0, -1)
        .find((it) => it.includes('out of reach'));
      if (line !== undefined) {
        return (JSON.parse(line) as { err: Record<string, unknown> }).err;
      }
    }
    assert.fail(`no such line: ${text}`);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

/** The first line of the log of an agent without containerd. */
async function firstLine(options: readonly string[]): Promise<string> {
  const child = spawnProgram(PROGRAMS.sources, [
    ...['registry', '--containerd-sock', '/nonexistent/containerd.sock', ...options],
    ...['--registry-addr', '127.0.0.1:0', '--router-addr', '127.0.0.1:0'],
    ...['--metrics-addr', '127.0.0.1:0', '--registries-yaml', 'off'],
  ]);
  const ended = once(child, 'exit');
  try {
    let log = '';
    for await (const chunk of child.stderr) {
      log += String(chunk);
      if (log.includes('\n')) break;
    }
    return log;
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

/** Runs the program with a terminal, and gives what it shows. */
async function onTerminal(args: readonly string[]): Promise<string> {
  const words = [process.execPath, PROGRAMS.sources, ...args].map((word) => `'${word}'`);
  const child = spawn('script', ['-qec', words.join(' '), '/dev/null'], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return (await text(child.stdout)).replaceAll('\r\n', '\n');
}

describe('createLogger', () => {
  it('logs an error once with its cause, and its stack at level DEBUG only', async () => {
    const { type, message, code, ...more } = await loggedError('INFO');
    assert.deepEqual([type, code], ['StoreUnavailableError', 'ERR_STORE_UNAVAILABLE']);
    assert.equal(String(message).split('/nonexistent/containerd.sock').length, 2, String(message));
    assert.deepEqual(more, {});
    assert.match(String((await loggedError('DEBUG'))['stack']), /\n +at /);
  });

  const noTerminal = spawnSync('script', ['--version']).error
    ? 'NOT TESTED: script, of bsdutils, makes the terminal'
    : false;
  const folder = mkdtempSync(join(tmpdir(), 'peerglass-log-'));
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const cleanup = ['cleanup', '--containerd-registry-config-path', folder];

  it('speaks text on a terminal and JSON elsewhere', { skip: noTerminal }, async () => {
    const elsewhere = await runProgram(PROGRAMS.sources, cleanup);
    assert.match(elsewhere.stderr, /^\{"level":"info".*"msg":"cleaned up"\}$/m);
    assert.match(await onTerminal(cleanup), /^peerglass: cleaned up restored=0\n$/);
    const asked = await onTerminal([...cleanup, '--log-format', 'json']);
    assert.match(asked, /^\{"level":"info"/m);
  });

  it('speaks text where that is asked for, with time and level for the agent', async () => {
    const { stderr } = await runProgram(PROGRAMS.sources, [...cleanup, '--log-format=text']);
    assert.equal(stderr, 'peerglass: cleaned up restored=0\n');
    assert.match(
      await firstLine(['--log-format', 'text']),
      /^\d\d:\d\d:\d\d\.\d{3} [A-Z]+ +[a-z]+: /,
    );
  });
});

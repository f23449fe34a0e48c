import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { recordChild } from './run.ts';

/** How a process ended: exactly one of the two is set. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Options of {@link Child}. */
export interface ChildInit {
  readonly command: readonly [string, ...string[]];
  /** Receives standard output and standard error, behind what is in it. */
  readonly logFile: string;
  /** Network namespace to start in; default: the test's own. */
  readonly namespace?: string | undefined;
  /** Added to the environment of the test. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The words before a command that put it into a network namespace. */
function enterNamespace(namespace: string | undefined): string[] {
  // Not `ip netns exec`: that mounts a new /sys over the old one, and runc no longer finds the cgroups.
  return namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`];
}

/** A long-running process of the test, with its log in a file. It never outlives the test. */
export class Child implements AsyncDisposable {
  readonly pid: number;
  readonly logFile: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<ExitStatus>;

  constructor(init: ChildInit) {
    const [command = '', ...args] = [
      ...enterNamespace(init.namespace),
      // The kernel ends it when the test is killed outright. All of these words exec the next: one pid.
      ...['setpriv', '--pdeathsig', 'KILL', '--'],
      ...init.command,
    ];
    const log = openSync(init.logFile, 'a');
    this.logFile = init.logFile;
    try {
      this.#process = spawn(command, args, {
        stdio: ['ignore', log, log],
        env: { ...process.env, ...init.env },
        // A group of its own: Ctrl-C reaches the test only, which then ends things in order.
        detached: true,
      });
    } finally {
      closeSync(log);
    }
    if (this.#process.pid === undefined) throw new Error(`cannot start ${command}`);
    this.pid = this.#process.pid;
    // One that a test forgot ends with the test, and does not keep it from ending.
    this.#process.unref();
    recordChild(this.pid);
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        resolve({ code, signal });
      });
    });
  }

  /** Resolves when the process has ended, however it did. */
  get exited(): Promise<ExitStatus> {
    this.#process.ref();
    return this.#exited;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Sends a signal to the process alone. */
  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Asks the process to end, and makes it after `graceMs` (default 5 s). */
  async stop(graceMs = 5000): Promise<ExitStatus> {
    if (this.isRunning) {
      this.signal('SIGTERM');
      const patience = new AbortController();
      const late = sleep(graceMs, 'late', { signal: patience.signal }).catch(() => 'ended');
      if ((await Promise.race([this.exited, late])) === 'late') this.signal('SIGKILL');
      patience.abort();
    }
    return this.exited;
  }

  /** The last lines of the log, for people. */
  async logTail(lines = 40): Promise<string> {
    const text = await readFile(this.logFile, 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-lines).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Options of {@link execute}. */
export interface ExecuteOptions {
  readonly namespace?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds until it is killed and the call rejects; default two minutes. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
}

/** Runs a command to its end and gives its standard output. Rejects with all of its output when it fails. */
export function execute(
  [command, ...args]: readonly [string, ...string[]],
  options: ExecuteOptions = {},
): Promise<string> {
  const [program = '', ...words] = [...enterNamespace(options.namespace), command, ...args];
  const settings = {
    env: { ...process.env, ...options.env },
    timeout: options.timeoutMs ?? 120_000,
    killSignal: 'SIGKILL' as const,
    maxBuffer: 64 << 20,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  };
  return new Promise((resolve, reject) => {
    execFile(program, words, settings, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const how = error.killed === true ? 'was killed after its time limit' : 'failed';
      const said = [stderr, stdout].filter(Boolean).join('\n').trim();
      reject(new Error(`${[command, ...args].join(' ')} ${how}: ${said}`, { cause: error }));
    });
  });
}

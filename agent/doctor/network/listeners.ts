import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';

/** A TCP socket that listens. */
export interface Listener {
  /** Local address as the kernel writes it: hexadecimal. */
  readonly address: string;
  readonly inode: string;
  readonly port: number;
}

const LISTENING = '0A';

/**
 * Finds the TCP sockets that listen at the port, for IPv4 and IPv6.
 *
 * @param procNet `/proc/net`, or that of another network namespace, `/proc/PID/net`
 */
export async function listenersAt(port: number, procNet = '/proc/net'): Promise<Listener[]> {
  const found: Listener[] = [];
  for (const file of ['tcp', 'tcp6']) {
    const text = await readFile(`${procNet}/${file}`, 'utf8').catch(() => '');
    for (const row of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = row.trim().split(/\s+/);
      const [address = '', hex = ''] = local.split(':');
      if (state === LISTENING && Number.parseInt(hex, 16) === port) {
        found.push({ address, inode, port });
      }
    }
  }
  return found;
}

/** Upper bound for the processes that are searched; a node has a few hundred. */
const MAX_PROCESSES = 20_000;

/** A process with an open socket. */
export interface SocketOwner {
  readonly pid: number;
  /** Name of its program, `k3s-server`. */
  readonly name: string;
  /** Whether its command line is that of our agent. The command line itself is left out: it may hold secrets. */
  readonly isAgent: boolean;
}

/**
 * Finds the process that has the socket open.
 *
 * @returns undefined when no process is found whose descriptors may be read
 */
export async function ownerOf(inode: string): Promise<SocketOwner | undefined> {
  const target = `socket:[${inode}]`;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids.slice(0, MAX_PROCESSES)) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const fd of descriptors) {
      const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
      if (link !== target) continue;
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const isAgent = /peerglass|agent\/main\.ts/.test(command) && command.includes('registry');
      return { pid: Number(pid), name: await nameOf(pid, command), isAgent };
    }
  }
  return undefined;
}

/** Returns the kernel's name of the process, `k3s-server`; for a Node process the name of its program. */
async function nameOf(pid: string, command: string): Promise<string> {
  const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
  return name === '' || name === 'MainThread' ? basename(command.split('\0')[0] ?? '') : name;
}

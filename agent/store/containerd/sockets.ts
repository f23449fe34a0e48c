import { existsSync } from 'node:fs';

/** Where distributions have containerd's socket: containerd itself, k3s and RKE2, k0s, MicroK8s. */
export const KNOWN_SOCKETS: readonly string[] = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/run/k0s/containerd.sock',
  '/var/snap/microk8s/common/run/containerd.sock',
];

/** Returns the first known socket that exists, other than this one. */
export function otherSocket(
  path: string,
  known: readonly string[] = KNOWN_SOCKETS,
): string | undefined {
  return known.find((each) => each !== path && existsSync(each));
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no socket at',
  ECONNREFUSED: 'nothing listens at',
  EACCES: 'root only may open',
  EPERM: 'root only may open',
};

/**
 * Explains a failed connection, for which gRPC has `14 UNAVAILABLE: … connect ENOENT /run/c.sock. Resolution note:`.
 *
 * @param message of gRPC
 * @returns the message itself when it is about something else
 */
export function explainConnection(message: string, known?: readonly string[]): string {
  const [, code = '', path = ''] =
    /\bconnect (E[A-Z]+) (\/\S*?)(?:\.?(?:\s|$))/.exec(message) ?? [];
  const reason = REASONS[code];
  if (reason === undefined) return message.replace(/\.? *Resolution note: *$/, '');
  const other = code === 'ENOENT' || code === 'ECONNREFUSED' ? otherSocket(path, known) : undefined;
  const hint = other === undefined ? '' : `; there is one at ${other} (--containerd-sock)`;
  const rights = code === 'EACCES' || code === 'EPERM' ? '; run as root' : '';
  return `${reason} ${path} (${code})${hint}${rights}`;
}

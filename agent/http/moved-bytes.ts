import type { ServerResponse } from 'node:http';

const moved = new WeakMap<ServerResponse, number>();

/** Adds bytes of a response that the kernel has moved, which the socket does not count. */
export function addMovedBytes(res: ServerResponse, bytes: number): void {
  moved.set(res, movedBytes(res) + bytes);
}

/** Bytes of the response that the kernel has moved. */
export function movedBytes(res: ServerResponse): number {
  return moved.get(res) ?? 0;
}

import { endianness } from 'node:os';
import { getSystemErrorName } from 'node:util';

import { openLibc, type ForeignFunction } from './foreign.ts';

// From linux/fcntl.h, sys/epoll.h and bits/fcntl-linux.h; the same on x64 and arm64.
const F_DUPFD_CLOEXEC = 1030;
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const SPLICE_F_NONBLOCK_MOVE = 3;
const SPLICE_F_NONBLOCK = 2;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLONESHOT = 1 << 30;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

// From asm-generic/ioctls.h, where it is TIOCOUTQ; the same on x64 and arm64.
const SIOCOUTQ = 0x5411;

/** What to wait for: EPOLLIN and EPOLLOUT. */
export const READY = { toRead: 1, toWrite: 4 } as const;

/** Offset of `data` in `struct epoll_event`, and its size, in bytes. The struct is packed on x64 only. */
const EVENT = process.arch === 'x64' ? { data: 4, size: 12 } : { data: 8, size: 16 };

/** Events that one wait returns. */
const MAX_EVENTS = 64;

/**
 * System calls of Linux that Node.js does not offer. A negative result is an errno. Methods that return a promise run on
 * libuv's thread pool, and occupy a thread while they run.
 */
export class Libc {
  readonly #errno: () => number;
  readonly #fcntl: ForeignFunction;
  readonly #close: ForeignFunction;
  readonly #pipe: ForeignFunction;
  readonly #sendfile: ForeignFunction;
  readonly #splice: ForeignFunction;
  readonly #tee: ForeignFunction;
  readonly #epollCreate: ForeignFunction;
  readonly #epollControl: ForeignFunction;
  readonly #epollWait: ForeignFunction;
  readonly #getsockopt: ForeignFunction;
  readonly #ioctl: ForeignFunction;
  readonly #events = Buffer.alloc(MAX_EVENTS * EVENT.size);

  /** @throws Error when koffi or a function is missing, or the platform is not supported */
  constructor() {
    const { platform, arch } = process;
    if (platform !== 'linux' || !['x64', 'arm64'].includes(arch) || endianness() !== 'LE') {
      throw new Error(`not on ${platform}-${arch}`);
    }
    const { find, errno } = openLibc();
    this.#errno = errno;
    this.#fcntl = find('int fcntl(int fd, int command, int value)');
    this.#close = find('int close(int fd)');
    this.#pipe = find('int pipe2(void *fds, int flags)');
    this.#sendfile = find('int64_t sendfile(int to, int from, void *offset, size_t length)');
    this.#splice = find(
      'int64_t splice(int from, void *a, int to, void *b, size_t length, uint flags)',
    );
    this.#tee = find('int64_t tee(int from, int to, size_t length, uint flags)');
    this.#epollCreate = find('int epoll_create1(int flags)');
    this.#epollControl = find('int epoll_ctl(int epoll, int operation, int fd, void *event)');
    this.#epollWait = find('int epoll_wait(int epoll, void *events, int max, int timeout)');
    this.#getsockopt = find(
      'int getsockopt(int fd, int level, int name, void *value, void *length)',
    );
    this.#ioctl = find('int ioctl(int fd, uint64_t request, void *value)');
  }

  /**
   * Duplicates the descriptor; the caller closes the new one.
   *
   * @throws Error when there are too many descriptors
   */
  duplicate(fd: number): number {
    return this.#orThrow('dup', this.#fcntl(fd, F_DUPFD_CLOEXEC, 3));
  }

  close(fd: number): void {
    this.#close(fd);
  }

  /**
   * The ID of the process that listens at the other end of a Unix socket; 0 when this process cannot see it.
   *
   * @throws Error when the descriptor is not such a socket
   */
  peerProcess(fd: number): number {
    // `struct ucred`: pid, uid, gid.
    const credentials = Buffer.alloc(12);
    const length = Buffer.from(Int32Array.of(credentials.length).buffer);
    this.#orThrow('getsockopt', this.#getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length));
    return credentials.readInt32LE(0);
  }

  /**
   * Bytes that were written to a TCP connection and that its other end has not acknowledged; see tcp(7).
   *
   * @throws Error when the descriptor is not a connection
   */
  unsent(fd: number): number {
    const value = Buffer.alloc(4);
    this.#orThrow('ioctl', this.#ioctl(fd, SIOCOUTQ, value));
    return value.readInt32LE(0);
  }

  /**
   * Makes a pipe that does not block.
   *
   * @param wanted bytes that it holds; where the system does not allow that, it has a size that the system chooses
   * @returns both ends, and the bytes that it holds
   * @throws Error when there are too many descriptors
   */
  pipe(wanted: number): {
    readonly readEnd: number;
    readonly writeEnd: number;
    readonly capacity: number;
  } {
    const ends = Buffer.alloc(8);
    this.#orThrow('pipe2', this.#pipe(ends, O_CLOEXEC | O_NONBLOCK));
    const [readEnd, writeEnd] = [ends.readInt32LE(0), ends.readInt32LE(4)];
    this.#fcntl(writeEnd, F_SETPIPE_SZ, wanted);
    return { readEnd, writeEnd, capacity: this.#fcntl(writeEnd, F_GETPIPE_SZ, 0) };
  }

  /** @throws Error when there are too many descriptors */
  createEpoll(): number {
    return this.#orThrow('epoll_create1', this.#epollCreate(O_CLOEXEC));
  }

  /**
   * Has the epoll report the descriptor once.
   *
   * @param known whether the epoll has it already
   * @throws Error when the kernel refuses the descriptor
   */
  watch(epoll: number, fd: number, ready: number, known: boolean): void {
    const event = Buffer.alloc(EVENT.size);
    event.writeUInt32LE(ready | EPOLLONESHOT, 0);
    event.writeUInt32LE(fd, EVENT.data);
    const operation = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    this.#orThrow('epoll_ctl', this.#epollControl(epoll, operation, fd, event));
  }

  /** Must be called before a watched descriptor is closed: otherwise a duplicated one stays watched. */
  unwatch(epoll: number, fd: number): void {
    this.#epollControl(epoll, EPOLL_CTL_DEL, fd, Buffer.alloc(EVENT.size));
  }

  /**
   * Waits for descriptors to become ready, and returns them; none when the time is over. One wait at a time.
   *
   * @param timeout milliseconds
   */
  async ready(epoll: number, timeout: number): Promise<number[]> {
    const count = await this.#later(this.#epollWait, epoll, this.#events, MAX_EVENTS, timeout);
    return Array.from({ length: Math.max(0, count) }, (_, index) =>
      this.#events.readUInt32LE(index * EVENT.size + EVENT.data),
    );
  }

  /** sendfile(2). It adds to `offset` what was sent; that must stay at its address, see {@link fileOffset}. */
  sendfile(to: number, from: number, offset: BigInt64Array, length: number): Promise<number> {
    return this.#later(this.#sendfile, to, from, offset, length);
  }

  /** splice(2) to a connection, without waiting for either side. */
  splice(from: number, to: number, length: number): Promise<number> {
    return this.#later(this.#splice, from, null, to, null, length, SPLICE_F_NONBLOCK_MOVE);
  }

  /** splice(2) from a connection to a pipe, in this thread: no bytes are copied, so that it takes little time. */
  spliceNow(from: number, to: number, length: number): number {
    const result = this.#splice(from, null, to, null, length, SPLICE_F_NONBLOCK_MOVE);
    return result < 0 ? -this.#errno() : result;
  }

  /** tee(2) from one pipe to another, in this thread: both then hold the same pages, and no bytes are copied. */
  teeNow(from: number, to: number, length: number): number {
    const result = this.#tee(from, to, length, SPLICE_F_NONBLOCK);
    return result < 0 ? -this.#errno() : result;
  }

  #later(call: ForeignFunction, ...args: unknown[]): Promise<number> {
    return new Promise((resolve, reject) => {
      call.async(...args, (error: Error | null, result: number) => {
        if (error === null) resolve(result < 0 ? -this.#errno() : result);
        else reject(error);
      });
    });
  }

  #orThrow(name: string, result: number): number {
    if (result >= 0) return result;
    throw systemError(name, -this.#errno());
  }
}

/** An offset in a file for {@link Libc.sendfile}. It is outside of V8's heap, which moves its objects. */
export function fileOffset(position: number): BigInt64Array {
  const offset = new BigInt64Array(new ArrayBuffer(8));
  offset[0] = BigInt(position);
  return offset;
}

/**
 * Makes an error of a failed call.
 *
 * @param result the negative number that the call returned
 */
export function systemError(call: string, result: number): Error & { readonly code: string } {
  const code = getSystemErrorName(result);
  return Object.assign(new Error(`${call}: ${code}`), { code });
}
